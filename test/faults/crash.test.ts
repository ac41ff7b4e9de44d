import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { loadSnapshots } from '../../src/engine/repository/snapshots.ts'
import { monotonicMilliseconds } from '../../src/lib/clock.ts'
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

const program = join(import.meta.dirname, '../../bin/holdfast')

/** The same sequence every time for a seed, so that a failure can be looked at again. */
function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

interface Ended {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
  readonly tookMs: number
}

/** Runs the real program in a process of its own, and kills it after `killAfterMs` if it still runs. */
async function run(args: readonly string[], killAfterMs?: number): Promise<Ended> {
  const started = monotonicMilliseconds()
  const child = spawn(program, ['--no-cache', '--pack-size', '4', ...args], {
    env: {
      ...process.env,
      HOLDFAST_PASSWORD: PASSWORD,
      HOLDFAST_FROM_PASSWORD: PASSWORD,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (text) => (output += text))
  child.stderr.on('data', (text) => (output += text))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) =>
      resolve({ status, signal, output, tookMs: monotonicMilliseconds() - started }),
    )
  })
  if (killAfterMs !== undefined) {
    await Promise.race([ended, sleep(killAfterMs)])
    child.kill('SIGKILL')
  }
  return await ended
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
async function prepare(folder: string, random: () => number): Promise<void> {
  const repository = await newRepository(join(folder, 'repository'), { packBytes: 4 * 1024 * 1024 })
  await repository.close()
  for (let round = 0; round < 3; round++) {
    writeFiles(join(folder, 'data'), random, round === 0 ? 40 : 15)
    const { status, output } = await run(['-r', join(folder, 'repository'), 'backup', join(folder, 'data')])
    expect(status, output).toBe(0)
  }
}

const snapshotIds = async (path: string): Promise<string[]> =>
  (await loadSnapshots(await reopen(path))).map(({ id }) => id)

interface Victim {
  readonly name: string
  /** Arguments after `-r REPOSITORY`. */
  readonly args: (folder: string) => readonly string[]
  /** What is done to a fresh copy before. */
  readonly before?: (folder: string, random: () => number) => Promise<void>
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
    before: async (folder, random) => writeFiles(join(folder, 'data'), random, 25),
    keeps: all,
    // Two more when the first run was killed after its last write.
    endsWith: (before) => [before + 1, before + 2],
  },
  {
    name: 'prune',
    args: () => ['prune', '--max-unused', '0'],
    before: async (folder) => {
      const { status, output } = await run(['-r', join(folder, 'repository'), 'forget', '--keep-last', '1'])
      expect(status, output).toBe(0)
    },
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

describe.skipIf(lacks('restic'))('the real program, killed at a random moment', () => {
  test.each(victims)(
    '$name: the repository stays whole, loses no snapshot, and the rerun completes',
    { timeout: 15 * 60_000 },
    async ({ name, args, before, keeps, endsWith }) => {
      using scratch = scratchFolder()
      const random = seededRandom(name.length * 7919 + 1)
      const origin = scratch.join('origin')
      await prepare(origin, random)
      const kills = Math.ceil(KILLS / victims.length)
      let killed = 0
      let usualMs = 0
      for (let round = 0; killed < kills; round++) {
        expect(round, 'runs that ended before they were killed').toBeLessThan(3 * kills)
        const folder = scratch.join(`round ${round}`)
        cpSync(origin, folder, { recursive: true })
        await before?.(folder, random)
        const path = join(folder, 'repository')
        const snapshots = await snapshotIds(path)
        const command = ['-r', path, ...args(folder)]
        // The first run tells how long it takes; then it is cut off somewhere in between.
        const cut = await run(command, round === 0 ? undefined : usualMs * (0.15 + random() * 0.7))
        if (round === 0) {
          expect(cut.status, cut.output).toBe(0)
          usualMs = cut.tookMs
        } else if (cut.signal === 'SIGKILL') killed++
        // A killed process leaves its lock behind; nobody else holds one.
        expect(restic(path, 'unlock', '--remove-all').status).toBe(0)
        expectResticContent(path)
        expect(await snapshotIds(path)).toEqual(expect.arrayContaining([...keeps(snapshots)]))

        const rerun = await run(command)
        expect(rerun.status, rerun.output).toBe(0)
        expectResticContent(path)
        const after = await snapshotIds(path)
        expect(after).toEqual(expect.arrayContaining([...keeps(snapshots)]))
        expect(endsWith(snapshots.length)).toContain(after.length)
        rmSync(folder, { recursive: true })
      }
    },
  )
})
