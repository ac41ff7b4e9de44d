import { createHash } from 'node:crypto'
import { closeSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { monotonicMilliseconds } from '../../src/lib/clock.ts'
import { measure } from './measure.ts'

/** What this machine needs for the same tree when nothing is asked of it but to read, hash or copy. */
export interface Floor {
  readonly what: string
  readonly wallMs: number
  readonly cpuMs: number
}

const BUFFER_BYTES = 1024 * 1024

/** Measures the floors on `tree`, one thread each; `copy` is a folder that is made and that the caller deletes. */
export async function measureFloors(tree: string, copy: string): Promise<readonly Floor[]> {
  const files = readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
  const buffer = Buffer.alloc(BUFFER_BYTES)
  return [
    timed('read every byte', () => readAll(files, buffer, () => {})),
    timed('SHA-256 of every byte', () => {
      const hash = createHash('sha256')
      readAll(files, buffer, (bytes) => hash.update(bytes))
      hash.digest()
    }),
    { what: 'cp -a', ...(await measureCopy(tree, copy)) },
  ]
}

function timed(what: string, work: () => void): Floor {
  const started = monotonicMilliseconds()
  const before = process.cpuUsage()
  work()
  const used = process.cpuUsage(before)
  return { what, wallMs: monotonicMilliseconds() - started, cpuMs: (used.user + used.system) / 1000 }
}

async function measureCopy(tree: string, copy: string): Promise<{ wallMs: number; cpuMs: number }> {
  const { wallMs, cpuMs, exitCode, stderr } = await measure(['cp', '-a', '--', tree, copy])
  if (exitCode !== 0) throw new Error(`cp -a failed: ${stderr}`)
  return { wallMs, cpuMs }
}

function readAll(files: readonly string[], buffer: Buffer, use: (bytes: Buffer) => void): void {
  for (const file of files) {
    const descriptor = openSync(file, 'r')
    try {
      for (let count = readSync(descriptor, buffer); count > 0; count = readSync(descriptor, buffer))
        use(buffer.subarray(0, count))
    } finally {
      closeSync(descriptor)
    }
  }
}
