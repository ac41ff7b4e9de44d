import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { countFiles, runProgram } from '../support/killed-program.ts'
import { lacks } from '../support/requirements.ts'
import { noise } from '../support/storage-victims.ts'
import {
  expectResticContent,
  newRepository,
  PASSWORD,
  reopen,
  restic,
  scratchFolder,
} from '../support/test-repository.ts'

const MIB = 1024 * 1024
const FILES = 7
const FILE_BYTES = 48 * MIB

/** Signals, and how many packs a run has stored by then. */
const interruptions: readonly (readonly [NodeJS.Signals, number])[] = [
  ['SIGINT', 1],
  ['SIGTERM', 2],
  ['SIGINT', 1],
]

/** Each file is cut by all threads at the same time, which go on with it while what they have is being stored. */
test.skipIf(lacks('restic'))(
  'a backup of large files that is interrupted again and again stores nothing that it did not read',
  { timeout: 10 * 60_000 },
  async () => {
    using scratch = scratchFolder()
    const [data, path] = [scratch.join('data'), scratch.join('repository')]
    mkdirSync(data)
    for (let i = 0; i < FILES; i++) writeFileSync(join(data, `${i}`), noise(i + 1, FILE_BYTES))
    await (await newRepository(path)).close()
    const count = (kind: string): number => countFiles(path, kind)

    /** Backs up, and sends `signal` once so many packs are stored. */
    const backUp = (signal?: NodeJS.Signals, packs = 0) => {
      const goal = count('data') + packs
      const when = signal && (() => count('data') >= goal)
      const args = ['-r', path, '--no-cache', 'backup', '--read-concurrency', '2', data]
      return runProgram(args, { environment: { HOLDFAST_PASSWORD: PASSWORD }, when, ...(signal ? { signal } : {}) })
    }

    for (const [signal, packs] of interruptions) {
      const indexes = count('index')
      expect(await backUp(signal, packs)).toMatchObject({ status: 130 })
      expect(count('snapshots')).toBe(0)
      expect(count('locks')).toBe(0)
      // What was read by then is stored and listed, and no more than that.
      expect(count('index')).toBeGreaterThan(indexes)
      expect((await reopen(path)).index.packCount).toBe(count('data'))
    }
    const { status, output } = await backUp()
    expect(status, output).toBe(0)
    expectResticContent(path)
    const restored = restic(path, 'restore', 'latest', '--target', scratch.join('restored'))
    expect(restored.status, restored.stderr).toBe(0)
    for (let i = 0; i < FILES; i++)
      expect(readFileSync(scratch.join('restored', data, `${i}`)).equals(noise(i + 1, FILE_BYTES))).toBe(true)
  },
)

test.skipIf(lacks('restic'))(
  'a stream that is interrupted stores what was read, and the next one goes on from there',
  { timeout: 120_000 },
  async () => {
    using scratch = scratchFolder()
    const [data, path] = [scratch.join('data'), scratch.join('repository')]
    const content = noise(9, 96 * MIB)
    writeFileSync(data, content)
    await (await newRepository(path)).close()
    const backUp = (when?: () => boolean) => {
      const args = ['-r', path, '--no-cache', 'backup', '--json', '--stdin-from-command', '--', 'cat', data]
      const environment = { HOLDFAST_PASSWORD: PASSWORD }
      return runProgram(args, { environment, when, signal: when ? 'SIGINT' : 'SIGKILL' })
    }
    expect(await backUp(() => countFiles(path, 'data') > 1)).toMatchObject({ status: 130 })
    expect([countFiles(path, 'snapshots'), countFiles(path, 'locks')]).toEqual([0, 0])
    const { index } = await reopen(path)
    expect(index.packCount).toBe(countFiles(path, 'data'))
    const { status, output } = await backUp()
    expect(status, output).toBe(0)
    const summary = JSON.parse(output.trim().split('\n').at(-1)!)
    expect(summary.data_added).toBeLessThan(content.length - 20 * MIB)
    expectResticContent(path)
    const restored = restic(path, 'restore', 'latest', '--target', scratch.join('restored'))
    expect(restored.status, restored.stderr).toBe(0)
    expect(readFileSync(scratch.join('restored', 'stdin')).equals(content)).toBe(true)
  },
)
