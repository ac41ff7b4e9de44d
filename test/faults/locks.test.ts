import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { registry } from '../../src/cli/registry.ts'
import { acquireLock } from '../../src/engine/repository/lock.ts'
import { encodeLock, type LockInfo } from '../../src/engine/repository/lock-file.ts'
import { repositoryLockFiles } from '../../src/engine/repository/lock-files.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { parseTime } from '../../src/lib/go-time.ts'
import { type OurStage, ourStage } from '../support/our-stage.ts'
import { type OurWorld, ourWorld } from '../support/our-world.ts'
import { ProgramWorld, type RunResult } from '../support/program-world.ts'
import { lacks } from '../support/requirements.ts'
import { resticPrograms } from '../support/restic-trees.ts'
import { noise } from '../support/storage-victims.ts'
import { reopen } from '../support/test-repository.ts'
import { loadEverything } from '../support/whole-snapshots.ts'

const LOCKED = 11

/** What each command needs of others: nobody who removes (`read`, `append`), nobody at all (`exclusive`), or nothing. */
type Need = 'read' | 'append' | 'exclusive' | 'none'

interface Line {
  readonly need: Need
  /** The command line; what stands in braces is filled in. */
  readonly args: string
  /** Exit code when nothing is in the way; 0 by default. */
  readonly exitCode?: number
}

/** Every command that works on a repository. Those that change it in a way the next ones would notice come last. */
const lines: readonly Line[] = [
  { need: 'read', args: 'snapshots' },
  { need: 'read', args: 'ls latest' },
  { need: 'read', args: 'find one' },
  { need: 'read', args: 'dump latest /one' },
  { need: 'read', args: 'restore latest --target {folder}/out' },
  { need: 'read', args: 'stats' },
  { need: 'read', args: 'diff {snapshot} latest' },
  { need: 'read', args: 'cat config' },
  { need: 'read', args: 'list packs' },
  { need: 'read', args: 'key list' },
  { need: 'read', args: 'copy --from-repo {repository} --from-password-file {folder}/password -r {folder}/other' },
  { need: 'append', args: 'copy --from-repo {folder}/other --from-password-file {folder}/password' },
  { need: 'append', args: 'backup {folder}/password' },
  { need: 'append', args: 'rewrite --new-host x {snapshot}' },
  { need: 'append', args: 'key add --new-insecure-no-password' },
  { need: 'append', args: 'key export --shares 2 --needed 2 --output {folder}' },
  { need: 'none', args: 'key doctor' },
  { need: 'none', args: 'key import {folder}/password', exitCode: 1 },
  { need: 'none', args: 'backup --dry-run {folder}/password' },
  { need: 'none', args: 'rewrite --dry-run --forget --new-host x' },
  { need: 'none', args: 'repair snapshots --dry-run' },
  { need: 'none', args: 'list locks' },
  { need: 'none', args: 'unlock' },
  { need: 'none', args: 'init', exitCode: 1 },
  { need: 'none', args: 'cache' },
  { need: 'none', args: 'check --no-lock' },
  { need: 'none', args: 'prune --dry-run --no-lock' },
  { need: 'none', args: 'forget --keep-last 1 --dry-run --no-lock' },
  { need: 'exclusive', args: 'check' },
  { need: 'exclusive', args: 'prune --dry-run' },
  { need: 'exclusive', args: 'forget --keep-last 1 --dry-run' },
  { need: 'exclusive', args: 'tag --add x' },
  { need: 'exclusive', args: 'rewrite --forget --new-host y {snapshot}' },
  { need: 'exclusive', args: 'repair index' },
  { need: 'exclusive', args: `repair packs ${'0'.repeat(64)}`, exitCode: 1 },
  { need: 'exclusive', args: 'repair snapshots' },
  { need: 'exclusive', args: 'recover' },
  { need: 'exclusive', args: 'migrate' },
  { need: 'exclusive', args: 'key remove 00000000', exitCode: 1 },
  { need: 'exclusive', args: 'key passwd --new-password-file {folder}/password' },
  { need: 'exclusive', args: 'key rotate --new-password-file {folder}/password' },
  { need: 'exclusive', args: 'forget --keep-last 1' },
  { need: 'exclusive', args: 'prune' },
]

/** Whether a command gets its lock while somebody holds one. */
const isKeptOut = (need: Need, isExclusive: boolean): boolean =>
  need === 'exclusive' || (isExclusive && need !== 'none')

describe('what each command needs', () => {
  let stage: OurStage
  let snapshot: string

  beforeAll(async () => {
    stage = await ourStage()
    snapshot = await stage.backUp('one', 'text')
    writeFileSync(stage.path('password'), 'correct horse', { mode: 0o600 })
    await stage.must(['init', '-r', stage.path('other')])
  })

  afterAll(() => stage[Symbol.dispose]())

  const wordsOf = ({ args }: Line): readonly string[] =>
    args
      .replaceAll('{folder}', stage.path())
      .replace('{snapshot}', snapshot)
      .replace('{repository}', stage.path('repository'))
      .split(' ')

  test('is known of all of them', () => {
    const tried = new Set(lines.map(({ args }) => args))
    const untried = registry.commands.filter(
      ({ name }) =>
        !['version', 'help', 'completion'].includes(name) && ![...tried].some((args) => args.startsWith(name)),
    )
    expect(untried.map(({ name }) => name)).toEqual([])
  })

  test.each([false, true])('is refused while somebody else is in the way (exclusively: %s)', async (exclusive) => {
    const repository = await reopen(stage.path('repository'))
    await using lock = await acquireLock(repositoryLockFiles(repository), { exclusive })
    for (const line of lines.filter(({ need }) => isKeptOut(need, exclusive))) {
      const { exitCode, stderr } = await stage.run(wordsOf(line))
      expect(exitCode, line.args).toBe(LOCKED)
      expect(stderr, line.args).toContain(
        `the repository is locked ${exclusive ? 'exclusively ' : ''}by process ${process.pid} `,
      )
      // It took nothing away and left nothing behind.
      expect((await repositoryLockFiles(repository).list()).map(({ name }) => name)).toEqual([lock.id])
    }
  })

  test('is refused to nobody who reads without a lock', async () => {
    const repository = await reopen(stage.path('repository'))
    await using _ = await acquireLock(repositoryLockFiles(repository), { exclusive: true })
    for (const line of lines.filter(({ need }) => need === 'read')) {
      const { exitCode, stderr } = await stage.run([...wordsOf(line), '--no-lock'])
      expect(exitCode, `${line.args}: ${stderr}`).toBe(0)
    }
    // The option is for readers: what writes takes its lock all the same.
    for (const line of ['backup {folder}/password', 'tag --add x', 'key add --new-insecure-no-password'])
      expect((await stage.run([...wordsOf({ need: 'append', args: line }), '--no-lock'])).exitCode).toBe(LOCKED)
  })

  test('is granted beside a shared lock to all but those who want to be alone', async () => {
    const repository = await reopen(stage.path('repository'))
    await using lock = await acquireLock(repositoryLockFiles(repository), { exclusive: false })
    for (const line of lines.filter(({ need }) => !isKeptOut(need, false))) {
      const { exitCode, stderr } = await stage.run(wordsOf(line))
      expect(exitCode, `${line.args}: ${stderr}`).toBe(line.exitCode ?? 0)
      expect((await repositoryLockFiles(repository).list()).map(({ name }) => name)).toEqual([lock.id])
    }
  })

  test('is granted to everybody when nobody is there, and no lock stays', async () => {
    for (const line of lines.filter(({ need }) => need === 'exclusive')) {
      const { exitCode, stderr } = await stage.run(wordsOf(line))
      expect(exitCode, `${line.args}: ${stderr}`).toBe(line.exitCode ?? 0)
    }
    const repository = await reopen(stage.path('repository'))
    expect(await repositoryLockFiles(repository).list()).toEqual([])
  })
})

/** What does not compress, as text. */
const text = (seed: number, sizeBytes: number): string => Buffer.from(noise(seed, sizeBytes)).toString('base64')

/** Resolves when there are so many locks. */
async function locks(world: ProgramWorld, count: number): Promise<readonly string[]> {
  for (let tries = 0; tries < 400; tries++) {
    const found = await world.files('locks')
    if (found.length === count) return found
    await systemClock.sleep(50)
  }
  throw new Error(`there are ${(await world.files('locks')).length} locks instead of ${count}`)
}

interface Holder {
  readonly child: ChildProcess
  /** Lets it go on to its end. */
  release(): Promise<number>
  kill(): Promise<void>
}

/** A program that holds a lock: a backup that waits for more, or a change of password that waits for the password. */
async function hold(world: ProgramWorld, kind: 'shared' | 'exclusive'): Promise<Holder> {
  const before = (await world.files('locks')).length
  const args = kind === 'shared' ? ['backup', '--stdin', '--quiet'] : ['key', 'passwd']
  const child = world.start(args)
  child.stdout!.resume()
  child.stderr!.resume()
  if (kind === 'shared') child.stdin!.write('x')
  const ended = once(child, 'close') as Promise<[number]>
  await locks(world, before + 1)
  // It looks a second time after 200 ms.
  await systemClock.sleep(400)
  return {
    child,
    async release() {
      // An empty password ends a change of password.
      child.stdin!.end()
      return (await ended)[0]
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

const said = ({ stdout, stderr }: RunResult): string => `${stdout}${stderr}`

async function worldWithSnapshot(): Promise<OurWorld> {
  const world = await ourWorld()
  await world.must(['init'])
  await world.must(['backup', 'tree'])
  return world
}

describe('our programs at the same time', () => {
  test('one that removes waits for one that writes as long as it is told to', async () => {
    await using world = await worldWithSnapshot()
    const backup = await hold(world, 'shared')
    const refused = await world.run(['prune'])
    expect(refused.exitCode).toBe(LOCKED)
    expect(refused.stderr.toString()).toMatch(
      new RegExp(
        `^Fatal: the repository is locked by process ${backup.child.pid} of .* ago, lock [0-9a-f]{8}\\)\n.*--retry-lock`,
      ),
    )
    const prune = world.run(['prune', '--retry-lock', '1m'])
    await systemClock.sleep(1000)
    expect(await backup.release()).toBe(0)
    const { exitCode, stdout } = await prune
    expect(exitCode).toBe(0)
    expect(stdout.toString()).toMatch(/waiting up to 60 s\n(.*\n)*done\n$/)
    await locks(world, 0)
    expect(await loadEverything(openLocalStorage(world.path('repository')))).toHaveLength(2)
  })

  test('one that waits gives up when its time is over, and at once when it is interrupted', async () => {
    await using world = await worldWithSnapshot()
    const backup = await hold(world, 'shared')
    expect((await world.run(['forget', '--keep-last', '1', '--retry-lock', '1s'])).exitCode).toBe(LOCKED)
    const waiting = world.start(['tag', '--add', 'x', '--retry-lock', '1h'])
    let told = ''
    waiting.stdout!.on('data', (chunk) => {
      told += chunk
    })
    await expect.poll(() => told, { timeout: 120_000 }).toContain('waiting up to 3600 s')
    waiting.kill('SIGINT')
    expect((await once(waiting, 'close'))[0]).toBe(130)
    await backup.release()
    await locks(world, 0)
  })

  test('backups run side by side, and all are there', async () => {
    await using world = await worldWithSnapshot()
    const contents = ['one', 'two', 'three', 'four'].map((name, i) => ({
      name,
      input: text(i, 100_000),
    }))
    const results = await Promise.all(
      contents.map(({ name, input }) => world.run(['backup', '--stdin', '--stdin-filename', name], { input })),
    )
    expect(results.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0])
    expect(await world.snapshots()).toHaveLength(5)
    for (const { name, input } of contents)
      expect(await world.must(['dump', 'latest', '--path', `/${name}`, name])).toBe(input)
    await world.must(['check', '--read-data'])
  })

  test('those who want to be alone are: of several prunes at once none harms another', async () => {
    await using world = await worldWithSnapshot()
    for (const name of ['one', 'two', 'three'])
      await world.must(['backup', '--stdin', '--stdin-filename', name], {
        input: text(name.length, 50_000),
      })
    await world.must(['forget', '--keep-last', '1', '--group-by', ''])
    const results = await Promise.all(
      [1, 2, 3].map(() => world.run(['prune', '--max-unused', '0', '--retry-lock', '2m'])),
    )
    expect(results.map(({ exitCode, stderr }) => `${exitCode} ${stderr}`)).toEqual(['0 ', '0 ', '0 '])
    await locks(world, 0)
    await world.must(['check', '--read-data'])
    expect(await loadEverything(openLocalStorage(world.path('repository')))).toHaveLength(1)
  })
})

describe('a lock that was left behind', () => {
  test('keeps others out until it is unlocked, and is called what it is', async () => {
    await using world = await worldWithSnapshot()
    const backup = await hold(world, 'shared')
    await backup.kill()
    // Without the cache nobody knows that it was noted on this machine.
    const refused = await world.run(['--no-cache', 'prune'])
    expect(refused.exitCode).toBe(LOCKED)
    expect(refused.stderr.toString()).toContain('That lock was left behind: "unlock" removes it.')
    await world.must(['--no-cache', 'snapshots'])
    expect(await world.must(['unlock'])).toBe('successfully removed 1 locks\n')
    await world.must(['prune'])
  })

  test('is taken away by the next run on the same machine', async () => {
    await using world = await worldWithSnapshot()
    const [killed, going] = [await hold(world, 'shared'), await hold(world, 'shared')]
    await killed.kill()
    const refused = await world.run(['prune'])
    expect(refused.exitCode).toBe(LOCKED)
    expect(refused.stderr.toString()).toMatch(/^removed lock [0-9a-f]{8}, which a run on this machine left/m)
    await locks(world, 1)
    await going.kill()
    const pruned = await world.run(['prune'])
    expect(pruned.exitCode).toBe(0)
    await locks(world, 0)
  })

  test('is one of a process that is gone or silent for half an hour, and no other', async () => {
    using stage = await ourStage()
    const repository = await reopen(stage.path('repository'))
    const files = repositoryLockFiles(repository)
    const lockOf = (time: string, more: Partial<LockInfo>): Promise<string> => {
      const holder = { hostname: 'elsewhere', username: 'ann', pid: 1, uid: 1, gid: 1, exclusive: false }
      return files.save(encodeLock({ ...holder, time: parseTime(time)!, ...more }))
    }
    const minutesAgo = (minutes: number): string =>
      new Date(Number(systemClock.now() / 1_000_000n) - minutes * 60_000).toISOString()
    const stale = [await lockOf(minutesAgo(31), {}), await lockOf(minutesAgo(31), { exclusive: true })]
    const used = [await lockOf(minutesAgo(29), {}), await lockOf(minutesAgo(1), { exclusive: true })]
    const listed = async (): Promise<readonly string[]> => (await files.list()).map(({ name }) => name).toSorted()
    expect(await listed()).toEqual([...stale, ...used].toSorted())
    expect(await stage.json(['unlock'])).toEqual([{ message_type: 'summary', removed_locks: 2 }])
    expect(await listed()).toEqual(used.toSorted())
    expect(await stage.must(['unlock'])).toBe('')
    expect(await stage.must(['unlock', '--remove-all'])).toBe('successfully removed 2 locks\n')
    expect(await listed()).toEqual([])
  })

  test('that nobody can read keeps others out, and goes only with --remove-all', async () => {
    using stage = await ourStage()
    mkdirSync(stage.path('repository', 'locks'), { recursive: true })
    writeFileSync(stage.path('repository', 'locks', 'a'.repeat(64)), 'rubbish')
    const refused = await stage.run(['prune'], { clock: { ...systemClock, sleep: async () => undefined } })
    expect(refused.exitCode).toBe(1)
    expect(refused.stderr).toContain('unlock --remove-all')
    expect(await stage.must(['unlock'])).toBe('')
    expect(await stage.must(['unlock', '--remove-all'])).toBe('successfully removed 1 locks\n')
    await stage.must(['prune'])
  })
})

describe.skipIf(lacks('restic')).each(resticPrograms)('%s and our program at the same time', (program) => {
  test('keep to the locks of each other', async () => {
    await using ours = await worldWithSnapshot()
    const theirs = new ProgramWorld([program], ours.folder)
    for (const [holders, others, isTheirs] of [
      [ours, theirs, true],
      [theirs, ours, false],
    ] as const) {
      const outcome = async (...args: readonly string[]): Promise<string> => {
        const result = await others.run(args)
        if (result.exitCode === 0) return 'done'
        if (!isTheirs) expect(result.exitCode).toBe(LOCKED)
        return /locked/.test(said(result)) ? 'locked' : said(result)
      }
      const shared = await hold(holders, 'shared')
      expect(await outcome('snapshots')).toBe('done')
      expect(await outcome('backup', 'tree')).toBe('done')
      expect(await outcome('prune')).toBe('locked')
      expect(await outcome('forget', '--keep-last', '1')).toBe('locked')
      // Asking whether its holder is there does the holder no harm.
      expect(await outcome('unlock')).toBe('done')
      await locks(ours, 1)
      expect(await shared.release()).toBe(0)

      const exclusive = await hold(holders, 'exclusive')
      expect(await outcome('snapshots')).toBe('locked')
      expect(await outcome('backup', 'tree')).toBe('locked')
      expect(await outcome('prune')).toBe('locked')
      expect(await outcome('snapshots', '--no-lock')).toBe('done')
      expect(await outcome('unlock')).toBe('done')
      await locks(ours, 1)
      await exclusive.release()
      await locks(ours, 0)
      expect(await outcome('prune')).toBe('done')
    }
    await ours.must(['check', '--read-data'])
    await theirs.must(['check', '--read-data'])
    await ours.must(['snapshots'])
  })

  test('clean up after each other', async () => {
    await using ours = await worldWithSnapshot()
    const theirs = new ProgramWorld([program], ours.folder)
    for (const [holders, others] of [
      [ours, theirs],
      [theirs, ours],
    ] as const) {
      await (await hold(holders, 'shared')).kill()
      expect(said(await others.run(['prune']))).toMatch(/locked/)
      await others.must(['unlock'])
      await others.must(['prune'])
    }
  })

  test('write at the same time, and each finds all that both wrote', async () => {
    await using ours = await worldWithSnapshot()
    const theirs = new ProgramWorld([program], ours.folder)
    const results = await Promise.all(
      [ours, theirs, ours, theirs].map((world, i) =>
        world.run(['backup', '--stdin', '--stdin-filename', `file ${i}`], {
          input: text(i, 80_000),
        }),
      ),
    )
    expect(results.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0])
    for (const world of [ours, theirs]) {
      expect(await world.snapshots()).toHaveLength(5)
      await world.must(['check', '--read-data'])
    }
  })
})
