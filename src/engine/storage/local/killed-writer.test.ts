import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { listFiles } from '../list-files.ts'
import { openLocalStorage } from './local-storage.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'holdfast-killed-'))
  mkdirSync(join(root, 'data'))
})
afterEach(() => rmSync(root, { recursive: true }))

const imported = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href)

/** Ways to write a pack `id` of `bytes` to `directory`, as code for a process of its own. */
const writers = {
  threads: `const { writePackFile } = await import(${imported('./pack-files.ts')})
    const write = (id, bytes) => writePackFile(directory, id, bytes)`,
  storage: `const { openLocalStorage } = await import(${imported('./local-storage.ts')})
    const storage = openLocalStorage(directory.path)
    const write = (name, bytes) => storage.put({ kind: 'data', name }, bytes)`,
  careless: `const { mkdirSync, openSync, writeSync } = await import('node:fs')
    const write = async (id, bytes) => {
      const folder = directory.path + '/data/' + id.slice(0, 2)
      mkdirSync(folder, { recursive: true })
      writeSync(openSync(folder + '/' + id, 'w'), bytes, 0, bytes.length / 2)
      process.stdout.write('.')
      await new Promise((resolve) => setTimeout(resolve, 600_000))
    }`,
}

/** Runs a writer of packs without end and kills it `delayMs` after its first sign of life. */
async function killAfter(delayMs: number, writer: string): Promise<void> {
  const code = `
    import { createHash, randomFillSync } from 'node:crypto'
    const directory = ${JSON.stringify({ path: root, fileMode: 0o600, directoryMode: 0o700 })}
    ${writer}
    const bytes = randomFillSync(new Uint8Array(4 << 20))
    for (let number = 0; ; number += 1) {
      new DataView(bytes.buffer).setUint32(0, number)
      await write(createHash('sha256').update(bytes).digest('hex'), bytes)
      process.stdout.write('.')
    }`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise((resolve) => child.once('close', resolve))
  await new Promise((resolve) => child.stdout.once('data', resolve))
  await new Promise((resolve) => setTimeout(resolve, delayMs))
  child.kill('SIGKILL')
  await ended
}

/** Under how many final names lies what belongs there, and under how many something else. */
function inspect(): { whole: number; half: number } {
  const found = { whole: 0, half: 0 }
  for (const prefix of readdirSync(join(root, 'data'))) {
    for (const name of readdirSync(join(root, 'data', prefix))) {
      if (name.includes('-tmp-')) continue
      const hash = createHash('sha256')
        .update(readFileSync(join(root, 'data', prefix, name)))
        .digest('hex')
      found[hash === name ? 'whole' : 'half'] += 1
    }
  }
  return found
}

test.each(['threads', 'storage'] as const)(
  'a killed writer leaves no half pack under a final name (%s)',
  async (kind) => {
    for (const delayMs of [3, 7, 12, 18, 25]) await killAfter(delayMs, writers[kind])
    const { whole, half } = inspect()
    expect(half).toBe(0)
    expect(whole).toBeGreaterThanOrEqual(5)
    const listed = await listFiles(openLocalStorage(root), 'data')
    expect(listed).toHaveLength(whole)
    expect(listed.every(({ sizeBytes }) => sizeBytes === 4 << 20)).toBe(true)
  },
)

test('a writer that writes under the final name is caught', async () => {
  await killAfter(0, writers.careless)
  expect(inspect()).toEqual({ whole: 0, half: 1 })
})
