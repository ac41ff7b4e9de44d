import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Builds `src/engine/kernels/wasm/*.wasm` from the AssemblyScript beside it. `--check` builds elsewhere and fails when a committed file
 * differs in any byte: `node scripts/build-wasm.ts [--check]`.
 */

const common: readonly string[] = ['-O3', '--noAssert', '--runtime', 'stub']

/** 32768 pages of 64 KiB, 2 GiB, are the most there may be; the host chooses. */
const inSharedMemory: readonly string[] = [
  '--importMemory',
  '--sharedMemory',
  '--initialMemory',
  '1',
  '--maximumMemory',
  '32768',
]

const modules: Readonly<Record<string, readonly string[]>> = {
  'line-sum': [],
  poly1305: [],
  rabin: ['--enable', 'threads,simd,relaxed-simd', ...inSharedMemory],
  scrypt: ['--enable', 'threads,simd', ...inSharedMemory],
  sha256: ['--enable', 'simd'],
}

const kernels = fileURLToPath(new URL('../src/engine/kernels/', import.meta.url))
const compiler = createRequire(import.meta.url).resolve('assemblyscript/bin/asc.js')

/** Compiles all modules into a folder. */
export function buildModules(folder: string): void {
  for (const [name, options] of Object.entries(modules)) {
    // Run where the sources are, with relative names: paths become part of the output.
    const args = [compiler, `${name}.ts`, ...common, ...options, '--outFile', join(folder, `${name}.wasm`)]
    execFileSync(process.execPath, args, { cwd: join(kernels, 'assembly'), stdio: ['ignore', 'inherit', 'inherit'] })
  }
}

/** Names of the modules that differ between two folders. */
export function differingModules(folder: string, other: string): string[] {
  const read = (from: string, name: string): Buffer => readFileSync(join(from, `${name}.wasm`))
  return Object.keys(modules).filter((name) => !read(folder, name).equals(read(other, name)))
}

export const committedWasm: string = join(kernels, 'wasm')

/** Names of the committed modules that are not what their source compiles to. */
function outdatedModules(): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-wasm-'))
  try {
    buildModules(folder)
    return differingModules(folder, committedWasm)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

if (import.meta.main) {
  if (process.argv.includes('--check')) {
    const names = outdatedModules()
    for (const name of names)
      console.error(`src/engine/kernels/wasm/${name}.wasm is not what its source compiles to; run npm run build:wasm`)
    if (names.length > 0) process.exitCode = 1
  } else {
    buildModules(committedWasm)
  }
}
