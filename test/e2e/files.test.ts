import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { acquireLock } from '../../src/engine/repository/lock.ts'
import { repositoryLockFiles } from '../../src/engine/repository/lock-files.ts'
import { describeFolder } from '../../src/engine/restore/testing.ts'
import { randomBytes } from '../../src/lib/random.ts'
import { makeOddFolder } from '../support/odd-folder.ts'
import { type OurWorld, ourWorld } from '../support/our-world.ts'
import type { ProgramWorld, RunResult } from '../support/program-world.ts'
import { lacks } from '../support/requirements.ts'
import { expectResticContent, reopen, restic } from '../support/test-repository.ts'

test.skipIf(lacks('root', 'setfattr', 'restic'))(
  'everything a file system of Linux can hold comes back as it was, by us and by restic',
  { timeout: 10 * 60_000 },
  async () => {
    await using world = await ourWorld()
    const odd = world.path('odd')
    makeOddFolder(odd)
    // As a person would: a key that is hard to guess, everything by default.
    const { exitCode } = await world.run(['init'])
    expect(exitCode).toBe(0)
    await world.must(['backup', 'odd'])
    expectResticContent(world.path('repository'))
    await world.must(['restore', 'latest', '--target', 'ours', '--verify'])
    expect(describeFolder(world.path('ours', 'odd'))).toEqual(describeFolder(odd))
    const theirs = restic(world.path('repository'), 'restore', 'latest', '--target', world.path('theirs'))
    expect(theirs.status, theirs.stderr).toBe(0)
    // Before 0.16 restic could not keep a target that is no UTF-8.
    const unlessOld = ({ '/link-invalid': _, ...rest }: ReturnType<typeof describeFolder>) => rest
    expect(unlessOld(describeFolder(world.path('theirs', 'odd')))).toEqual(unlessOld(describeFolder(odd)))
    // In place, after some of it is lost.
    for (const name of ['plain.txt', 'dir-empty', 'link-plain', 'fifo']) rmSync(join(odd, name), { recursive: true })
    chmodSync(join(odd, 'setuid'), 0o600)
    await world.must(['restore', 'latest', '--target', '.'])
    expect(describeFolder(odd)).toEqual(describeFolder(world.path('ours', 'odd')))
  },
)

describe('exit codes', () => {
  const exitCodeOf = async (
    world: ProgramWorld,
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<number> => (await world.run(args, { environment })).exitCode

  test('tell what a script has to know', { timeout: 10 * 60_000 }, async () => {
    await using world = await ourWorld()
    await world.must(['init'])
    expect(await exitCodeOf(world, ['backup', 'tree'])).toBe(0)
    expect(await exitCodeOf(world, ['backup', 'missing'])).toBe(1)
    expect(await exitCodeOf(world, ['backup', 'tree', 'missing'])).toBe(3)
    expect(await exitCodeOf(world, ['backup', 'tree', '--frob'])).toBe(1)
    expect(await exitCodeOf(world, ['backup', 'tree'], { RESTIC_REPOSITORY: 'nowhere' })).toBe(10)
    expect(await exitCodeOf(world, ['snapshots'], { RESTIC_PASSWORD_FILE: 'wrong-password' })).toBe(12)
    const repository = await reopen(world.path('repository'))
    {
      await using _lock = await acquireLock(repositoryLockFiles(repository), { exclusive: true })
      expect(await exitCodeOf(world, ['backup', 'tree'])).toBe(11)
      expect(await exitCodeOf(world, ['restore', 'latest', '--target', 'out'])).toBe(11)
      expect(await exitCodeOf(world, ['restore', 'latest', '--target', 'out', '--no-lock'])).toBe(0)
    }
    expect(await exitCodeOf(world, ['snapshots'])).toBe(0)
    await repository.close()
  })

  test.skipIf(lacks('root'))('tell of files that may not be read', { timeout: 10 * 60_000 }, async () => {
    await using world = await ourWorld()
    await world.must(['init'])
    writeFileSync(world.path('tree', 'secret'), 'x', { mode: 0o600 })
    const user = 65_534
    for (const [path, mode] of [
      [world.folder, 0o755],
      [world.path('home'), 0o777],
      [world.path('password'), 0o644],
    ] as const)
      chmodSync(path, mode)
    const open = (folder: string): void => {
      chmodSync(folder, 0o777)
      for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
        chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o777 : 0o666)
    }
    open(world.path('repository'))
    const child = world.start(['backup', 'tree', '--json'], { user })
    const { exitCode, stderr } = await world.finish(child)
    expect(exitCode).toBe(3)
    expect(stderr.toString()).toContain(`"item":"${world.path('tree', 'secret')}"`)
  })
})

test('an interrupted backup leaves no lock and no snapshot, and what it read need not be stored again', {
  timeout: 10 * 60_000,
}, async () => {
  await using world = await ourWorld()
  await world.must(['init'])
  mkdirSync(world.path('many'))
  for (let i = 0; i < 6; i++) writeFileSync(world.path('many', `${i}.bin`), randomBytes(24 << 20))
  const child = world.start(['backup', 'many', '--json', '--pack-size', '4'])
  await packsAppear(world, 4)
  expect(await world.files('locks')).toHaveLength(1)
  child.kill('SIGINT')
  const { exitCode, stderr } = await world.finish(child)
  expect(exitCode).toBe(130)
  expect(stderr.toString()).toContain('"code":130')
  expect(await world.files('locks')).toEqual([])
  expect(await world.files('snapshots')).toEqual([])
  const stored = await storedBytes(world)
  expect(stored).toBeGreaterThan(16 << 20)
  const summary = JSON.parse((await world.must(['backup', 'many', '--json'])).trimEnd().split('\n').at(-1)!)
  // What was under way when the signal came may be stored twice.
  expect(summary.data_added_packed).toBeLessThan(6 * (24 << 20) - stored / 2)
})

async function packsAppear(world: OurWorld, count: number): Promise<void> {
  for (let tries = 0; (await world.files('data')).length < count; tries++) {
    if (tries > 1000) throw new Error('no packs appear')
    await sleep(10)
  }
}

async function storedBytes(world: OurWorld): Promise<number> {
  return (await world.files('data')).reduce((sum, id) => sum + statSync(world.packFile(id)).size, 0)
}

test('without native calls a backup says what is missing, once, and does the rest', {
  timeout: 10 * 60_000,
}, async () => {
  await using world = await ourWorld()
  await world.must(['init'])
  const environment = { HOLDFAST_NATIVE: 'off' }
  const { exitCode, stderr } = await world.run(['backup', 'tree'], { environment })
  expect(exitCode).toBe(0)
  expect(stderr.toString().trimEnd().split('\n')).toEqual([expect.stringMatching(/^Warning: .*extended attributes/)])
  await world.must(['restore', 'latest', '--target', 'out'], { environment })
  expect(readFileSync(world.path('out', 'tree', 'big.bin')).equals(readFileSync(world.path('tree', 'big.bin')))).toBe(
    true,
  )
})

test('bytes go in by arguments and come out of dump and ls as they are', { timeout: 10 * 60_000 }, async () => {
  await using world = await ourWorld()
  await world.must(['init'])
  const content = randomBytes(3 << 20)
  const name = Buffer.from('bad\xff\x01name', 'latin1')
  writeFileSync(Buffer.concat([Buffer.from(`${world.path('tree')}/`), name]), content)
  // A shell hands over what no string of ours can.
  const shell = (script: string): Promise<RunResult> => {
    const child = spawn('sh', ['-c', script, world.program[0]!], {
      cwd: world.folder,
      env: world.environment(),
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    return world.finish(child)
  }
  const named = await shell(`exec "$0" backup "$(printf 'tree/bad\\377\\001name')"`)
  expect(named.exitCode, named.stderr.toString()).toBe(0)
  const dumped = await shell(`exec "$0" dump latest "$(printf '/tree/bad\\377\\001name')"`)
  expect(dumped.stdout.equals(content), dumped.stderr.toString()).toBe(true)
  await world.must(['backup', 'tree'])
  const listing = await world.run(['ls', '-q', 'latest'])
  expect(listing.stdout.includes(Buffer.concat([Buffer.from('\n/tree/'), name, Buffer.from('\n')]))).toBe(true)
  const big = await world.run(['dump', 'latest', '/tree/big.bin'])
  expect(big.stdout.equals(readFileSync(world.path('tree', 'big.bin')))).toBe(true)
})
