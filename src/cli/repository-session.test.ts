import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type OurStage, ourStage } from '../../test/support/our-stage.ts'
import { noise } from '../../test/support/storage-victims.ts'
import { reopen } from '../../test/support/test-repository.ts'
import { currentHolder, encodeLock } from '../engine/repository/lock-file.ts'
import type { Repository } from '../engine/repository/repository.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { utcTimestamp } from '../lib/go-time.ts'

const filesOf = (stage: OurStage, folder: string): readonly string[] =>
  readdirSync(stage.path('repository', folder), { recursive: true, withFileTypes: true }).flatMap((entry) =>
    entry.isFile() ? [entry.name] : [],
  )

/** How long a command waits before it looks for locks of the same moment. */
const RACE_WAIT_MS = 200

/** Runs a command, and does `work` between its lock and its second look, however long that takes. */
async function meanwhile(
  stage: OurStage,
  args: readonly string[],
  work: () => Promise<void> | void,
): ReturnType<OurStage['run']> {
  const done = Promise.withResolvers<void>()
  const clock: Clock = {
    ...systemClock,
    sleep: async (milliseconds, signal) =>
      await (milliseconds === RACE_WAIT_MS ? done.promise : systemClock.sleep(milliseconds, signal)),
  }
  const running = stage.run(args, { clock })
  while (filesOf(stage, 'locks').length === 0) await setTimeout(2)
  try {
    await work()
  } finally {
    done.resolve()
  }
  return await running
}

/** Long enough for a command to read a small index. */
const READING_MS = 1000

/** Takes an exclusive lock as somebody on another machine would who looked a moment before. */
async function lockExclusively(repository: Repository): Promise<void> {
  const lock = { ...currentHolder(), hostname: 'elsewhere', time: utcTimestamp(systemClock.now()), exclusive: true }
  await repository.saveUnpacked('lock', encodeLock(lock))
}

function dataIn(stage: OurStage): string {
  const data = stage.path('data')
  mkdirSync(data)
  // More than a pack, so that threads want to write before the lock is certain.
  for (let i = 0; i < 20; i++) writeFileSync(`${data}/${i}`, noise(i, 1_500_000))
  return data
}

test('a backup that meets an exclusive lock of the same moment writes nothing and leaves nothing', async () => {
  using stage = await ourStage()
  const data = dataIn(stage)
  const repository = await reopen(stage.path('repository'))
  const { exitCode, stderr } = await meanwhile(stage, ['backup', data], () => lockExclusively(repository))
  expect(stderr).toContain('locked exclusively')
  expect(exitCode).toBe(11)
  for (const folder of ['data', 'index', 'snapshots']) expect(filesOf(stage, folder), folder).toEqual([])
  expect(filesOf(stage, 'locks').length).toBe(1)
})

test('a backup whose index was rewritten while it began says so and writes nothing', async () => {
  using stage = await ourStage()
  const data = dataIn(stage)
  await stage.must(['backup', data])
  const before = filesOf(stage, 'snapshots')
  // New data as well, which threads want to store meanwhile.
  for (let i = 0; i < 20; i++) writeFileSync(`${data}/new ${i}`, noise(100 + i, 1_500_000))
  const packs = filesOf(stage, 'data').toSorted()
  const { exitCode, stderr } = await meanwhile(stage, ['backup', data, '--force'], async () => {
    await setTimeout(READING_MS)
    for (const name of filesOf(stage, 'index')) rmSync(stage.path('repository', 'index', name))
  })
  expect(stderr).toContain('somebody tidied the repository')
  expect(exitCode).toBe(11)
  expect(filesOf(stage, 'snapshots')).toEqual(before)
  expect(filesOf(stage, 'data').toSorted()).toEqual(packs)
  expect(filesOf(stage, 'locks')).toEqual([])
})

test.each([
  { command: 'restore', rest: (stage: OurStage) => ['latest', '--target', stage.path('target')], success: 'Summary' },
  { command: 'check', rest: () => ['--read-data'], success: 'no errors' },
])('a $command that meets an exclusive lock of the same moment does not say that it succeeded', async (tried) => {
  using stage = await ourStage()
  await stage.backUp('file', 'content')
  const repository = await reopen(stage.path('repository'))
  const args = [tried.command, ...tried.rest(stage)]
  const { exitCode, stdout, stderr } = await meanwhile(stage, args, () => lockExclusively(repository))
  expect(exitCode).toBe(11)
  expect(stderr).toContain('locked exclusively')
  expect(stdout).not.toContain(tried.success)
  expect(filesOf(stage, 'locks')).toHaveLength(1)
})

test('a check during which the index was rewritten calls that by its name', async () => {
  using stage = await ourStage()
  await stage.backUp('file', 'content')
  const { exitCode, stdout, stderr } = await meanwhile(stage, ['check'], async () => {
    await setTimeout(READING_MS)
    // As a prune leaves it that began a moment before: the index says the same in another file.
    const [name] = filesOf(stage, 'index')
    const repository = await reopen(stage.path('repository'))
    await repository.saveUnpacked('index', await repository.loadUnpacked('index', name!))
    rmSync(stage.path('repository', 'index', name!))
  })
  expect(stderr).toContain('somebody tidied the repository')
  expect(exitCode).toBe(11)
  expect(stdout).not.toContain('no errors')
})
