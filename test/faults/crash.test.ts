import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadSnapshots } from '../../src/engine/repository/snapshots.ts'
import { ChangeCounter } from '../support/change-counter.ts'
import { type ProgramEnd, runProgram } from '../support/killed-program.ts'
import { lacks } from '../support/requirements.ts'
import {
  CHEAP_KDF,
  expectResticContent,
  newRepository,
  PASSWORD,
  reopen,
  restic,
  scratchFolder,
} from '../support/test-repository.ts'

/** `HOLDFAST_KILLS=500 npx vitest run test/faults/crash.test.ts` for the long run. */
const KILLS = Number(process.env.HOLDFAST_KILLS ?? 100)

/** The same sequence every time for a seed, so that a failure can be looked at again. */
function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

const environment = { HOLDFAST_PASSWORD: PASSWORD, HOLDFAST_FROM_PASSWORD: PASSWORD }

const run = (args: readonly string[], when?: () => boolean): Promise<ProgramEnd> =>
  runProgram(['--no-cache', '--pack-size', '4', ...args], { environment, when })

/** Runs what has to succeed. */
async function must(args: readonly string[]): Promise<void> {
  const { status, output } = await run(args)
  expect(status, output).toBe(0)
}

/** Content that no other call makes, in files that share nothing. */
function writeFiles(folder: string, random: () => number, files: number): void {
  mkdirSync(folder, { recursive: true })
  for (let i = 0; i < files; i++) {
    const bytes = Buffer.alloc(50_000 + Math.floor(random() * 400_000))
    for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.writeUInt32LE(Math.floor(random() * 2 ** 32), at)
    writeFileSync(join(folder, `file ${i}`), bytes)
  }
}

/** A repository with a history to be killed over, as folder to be copied. */
async function prepare(folder: string): Promise<void> {
  const random = seededRandom(1)
  const repository = await newRepository(join(folder, 'repository'), { packBytes: 4 * 1024 * 1024 })
  await repository.close()
  for (let round = 0; round < 3; round++) {
    writeFiles(join(folder, 'data'), random, round === 0 ? 40 : 15)
    await must(['-r', join(folder, 'repository'), 'backup', join(folder, 'data')])
  }
}

const snapshotIds = async (path: string): Promise<string[]> =>
  (await loadSnapshots(await reopen(path))).map(({ id }) => id)

interface Victim {
  readonly name: string
  /** Arguments after `-r REPOSITORY`. */
  readonly args: (folder: string) => readonly string[]
  /** What is done to the folder before it is copied for each kill. */
  readonly before?: (folder: string) => Promise<void>
  /** Snapshots that must be there afterwards, of those before. */
  readonly keeps: (before: readonly string[]) => readonly string[]
  /** How many snapshots there may be after the rerun, given how many there were. */
  readonly endsWith: (before: number) => readonly number[]
}

const all = (before: readonly string[]): readonly string[] => before

const victims: readonly Victim[] = [
  {
    name: 'backup',
    args: (folder) => ['backup', join(folder, 'data')],
    before: async (folder) => writeFiles(join(folder, 'data'), seededRandom(2), 25),
    keeps: all,
    // Two more when the first run was killed after its last write.
    endsWith: (before) => [before + 1, before + 2],
  },
  {
    name: 'prune',
    args: () => ['prune', '--max-unused', '0'],
    before: (folder) => must(['-r', join(folder, 'repository'), 'forget', '--keep-last', '1']),
    keeps: all,
    endsWith: () => [1],
  },
  {
    name: 'forget',
    args: () => ['forget', '--keep-last', '1', '--prune', '--max-unused', '0'],
    keeps: (before) => before.slice(-1),
    endsWith: () => [1],
  },
  {
    name: 'repair index',
    args: () => ['repair', 'index', '--read-all-packs'],
    keeps: all,
    endsWith: (before) => [before],
  },
  {
    name: 'copy',
    args: (folder) => ['copy', '--from-repo', join(folder, 'source')],
    before: async (folder) => {
      cpSync(join(folder, 'repository'), join(folder, 'source'), { recursive: true })
      rmSync(join(folder, 'repository'), { recursive: true })
      await (
        await newRepository(join(folder, 'repository'), { packBytes: 4 * 1024 * 1024, key: { kdf: CHEAP_KDF } })
      ).close()
    },
    keeps: all,
    endsWith: () => [3],
  },
]

describe.skipIf(lacks('restic'))('the real program, killed at any moment', () => {
  const scratch = scratchFolder()
  const origin = scratch.join('origin')
  beforeAll(() => prepare(origin))
  afterAll(() => scratch[Symbol.dispose]())

  test.each(victims)(
    '$name: the repository stays whole, loses no snapshot, and the rerun completes',
    { timeout: 30 * 60_000 },
    async ({ name, args, before, keeps, endsWith }) => {
      const random = seededRandom(name.length * 7919 + 1)
      const stage = scratch.join(`before ${name}`)
      cpSync(origin, stage, { recursive: true })
      await before?.(stage)
      const snapshots = await snapshotIds(join(stage, 'repository'))
      const folder = scratch.join('now')
      const path = join(folder, 'repository')
      const command = ['-r', path, ...args(folder)]

      /** Runs it on a fresh copy, kills it when so much has changed in the repository, and looks at what is left. */
      const runUntil = async (changes: number): Promise<{ cut: ProgramEnd; changed: number }> => {
        rmSync(folder, { recursive: true, force: true })
        cpSync(stage, folder, { recursive: true })
        using counter = new ChangeCounter(path)
        const cut = await run(command, () => counter.count >= changes)
        const changed = counter.count
        // A killed process leaves its lock behind; nobody else holds one.
        expect(restic(path, 'unlock', '--remove-all').status).toBe(0)
        expectResticContent(path)
        expect(await snapshotIds(path)).toEqual(expect.arrayContaining([...keeps(snapshots)]))
        return { cut, changed }
      }
      const rerun = async (): Promise<void> => {
        await must(command)
        expectResticContent(path)
        const after = await snapshotIds(path)
        expect(after).toEqual(expect.arrayContaining([...keeps(snapshots)]))
        expect(endsWith(snapshots.length)).toContain(after.length)
      }

      const whole = await runUntil(Number.POSITIVE_INFINITY)
      expect(whole.cut.status, whole.cut.output).toBe(0)
      await rerun()
      // Of as many equal parts of all changes as there are kills, each has one.
      const kills = Math.ceil(KILLS / victims.length)
      let missed = 0
      for (let kill = 0; kill < kills; ) {
        const { cut } = await runUntil(Math.max(1, Math.floor((whole.changed * (kill + random())) / kills)))
        if (cut.status === null) kill++
        else expect(++missed, 'runs that ended before they were killed').toBeLessThan(kills)
        await rerun()
      }
    },
  )
})
