import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cpSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { ageKey } from '../../src/engine/keys/age/age-key.ts'
import { openBySealed } from '../../src/engine/keys/open-sealed.ts'
import { sealPassword } from '../../src/engine/keys/seal-password.ts'
import { initRepository, openRepository } from '../../src/engine/repository/repository.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { countFiles, runProgram } from '../support/killed-program.ts'
import { backUp, CHEAP_KDF, PASSWORD, reopen, scratchFolder } from '../support/test-repository.ts'
import { loadEverything } from '../support/whole-snapshots.ts'

/** `HOLDFAST_KILLS=500 npx vitest run test/faults/key-rotation.test.ts` for the long run. */
const KILLS = Math.ceil(Number(process.env.HOLDFAST_KILLS ?? 30) / 10)

const program = join(import.meta.dirname, '../../bin/holdfast')

/** Moments at which the process is killed, by the files in the repository. */
const moments: Readonly<Record<string, (repository: string, before: readonly string[]) => boolean>> = {
  'with its lock and nothing else': (repository) => readdirSync(join(repository, 'locks')).length > 0,
  'with the new key file beside the old one': (repository, before) => keysIn(repository).length > before.length,
  'with the new key file only': (repository, before) => !keysIn(repository).includes(before[0]!),
}

const keysIn = (repository: string): readonly string[] =>
  readdirSync(join(repository, 'keys')).filter((name) => /^[0-9a-f]{64}$/.test(name))

test.each(Object.entries(moments))(
  'a rotation killed %s is finished by the next one',
  { timeout: 120_000 + KILLS * 30_000 },
  async (_, isTime) => {
    using scratch = scratchFolder()
    const { generateX25519Identity } = await import('age-encryption')
    const identity = await generateX25519Identity()
    writeFileSync(scratch.join('identity'), identity, { mode: 0o600 })
    const keys = [await ageKey({ source: 'test', text: identity })]
    const origin = await initRepository(
      openLocalStorage(scratch.join('origin')),
      { password: PASSWORD },
      { key: { kdf: CHEAP_KDF }, seal: (repository) => sealPassword(keys, PASSWORD, { repository }) },
    )
    const repository = scratch.join('repository')
    const main = { url: repository, keys: [{ age: `file:${scratch.join('identity')}` }] }
    writeFileSync(scratch.join('holdfast.yaml'), JSON.stringify({ version: 1, repositories: { main } }))
    const run = (...args: readonly string[]) =>
      spawn(program, args, {
        // In the cache the next one finds whose lock it was.
        env: { ...process.env, HOLDFAST_CONFIG: scratch.join('holdfast.yaml'), XDG_CACHE_HOME: scratch.join('cache') },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
    for (let round = 0; round < Math.ceil(KILLS / 3); round++) {
      cpSync(scratch.join('origin'), repository, { recursive: true })
      const before = keysIn(repository)
      const victim = run('key', 'rotate')
      const ended = new Promise<NodeJS.Signals | null>((resolve) =>
        victim.on('close', (_code, signal) => resolve(signal)),
      )
      while (victim.exitCode === null && !isTime(repository, before)) await sleep(1)
      victim.kill('SIGKILL')
      await ended
      const storage = openLocalStorage(repository)
      const open = async (): Promise<string> =>
        (await openBySealed(storage, keys, (password, keyHint) => openRepository(storage, { password, keyHint })))
          .result.config.id
      expect(await open()).toBe(origin.config.id)
      const rerun = run('key', 'rotate')
      let stderr = ''
      rerun.stderr!.on('data', (text) => (stderr += text))
      const status = await new Promise((resolve) => rerun.on('close', resolve))
      expect(status, stderr).toBe(0)
      expect(keysIn(repository)).toHaveLength(1)
      expect(keysIn(repository)).not.toEqual(before)
      expect(await open()).toBe(origin.config.id)
      rmSync(repository, { recursive: true })
    }
  },
)

/** Moments of a move to another master key; each run is killed once there is so much more than when it began. */
const copying: readonly (readonly [kind: string, more: number])[] = [
  ['keys', 1],
  ['data', 1],
  ['data', 2],
  ['index', 1],
  ['snapshots', 1],
  ['snapshots', 2],
]
/** The same of what is removed in the end. */
const removing: readonly string[] = ['snapshots', 'index', 'data']

test('a new master key, killed while copying and while removing, loses no snapshot', {
  timeout: 240_000 + KILLS * 60_000,
}, async () => {
  using scratch = scratchFolder()
  const [old, next] = [scratch.join('old'), scratch.join('next')]
  writeFileSync(scratch.join('password'), PASSWORD, { mode: 0o600 })
  /** Runs it to its end, or until the moment comes; what is killed leaves its locks, which the next one takes away. */
  const run = async (args: readonly string[], when?: () => boolean): Promise<number | null> => {
    const environment = { HOLDFAST_CONFIG: scratch.join('holdfast.yaml'), XDG_CACHE_HOME: scratch.join('cache') }
    const { status, output } = await runProgram(['--pack-size', '4', ...args], { environment, when })
    if (status !== 0 && status !== null) throw new Error(output)
    return status
  }
  let kills = 0
  for (let round = 0; kills < KILLS; round++) {
    expect(round, 'runs that ended before they were killed').toBeLessThan(2 * KILLS)
    for (const repository of [old, next]) rmSync(repository, { recursive: true, force: true })
    const main = { url: old, password: `file:${scratch.join('password')}` }
    writeFileSync(scratch.join('holdfast.yaml'), JSON.stringify({ version: 1, repositories: { main } }))
    await initRepository(openLocalStorage(old), { password: PASSWORD }, { key: { kdf: CHEAP_KDF } })
    for (let i = 0; i < 3; i++) {
      writeFileSync(scratch.join('file'), randomBytes(9_000_000))
      const repository = await reopen(old, { packBytes: 4 * 1024 * 1024 })
      await backUp(repository, scratch.join('file'))
      await repository.close()
    }
    const before = await loadEverything(openLocalStorage(old))
    const rotate = ['key', 'rotate', '--master', '--to', next]
    // A short run takes some of the moments, a long one all of them, again and again.
    for (const [kind, more] of copying.slice(0, Math.max(2, KILLS - kills))) {
      const goal = countFiles(next, kind) + more
      if ((await run(rotate, () => countFiles(next, kind) >= goal)) === null) kills++
      expect(countFiles(old, 'snapshots')).toBe(3)
    }
    expect(await run([...rotate, '--write'])).toBe(0)
    const copies = await loadEverything(openLocalStorage(next))
    expect(copies.map(({ tree }) => tree).sort()).toEqual(before.map(({ tree }) => tree).sort())
    const finish = ['key', 'rotate', '--finish', '--from', old]
    for (const kind of removing) {
      const count = countFiles(old, kind)
      if ((await run(finish, () => countFiles(old, kind) < count)) === null) kills++
    }
    // Also when a run has removed everything before it was killed.
    for (let times = 0; times < 2; times++) expect(await run(finish)).toBe(0)
    expect(existsSync(join(old, 'config'))).toBe(false)
    expect(['data', 'index', 'snapshots', 'keys'].map((kind) => countFiles(old, kind))).toEqual([0, 0, 0, 0])
    expect(await run(['check', '--read-data'])).toBe(0)
  }
})

test('a repository with sealed keys, cut off before its config is there, is finished by the next one', async () => {
  using scratch = scratchFolder()
  const { generateX25519Identity } = await import('age-encryption')
  writeFileSync(scratch.join('identity'), await generateX25519Identity(), { mode: 0o600 })
  const repository = scratch.join('repository')
  const main = { url: repository, keys: [{ age: `file:${scratch.join('identity')}` }] }
  writeFileSync(scratch.join('holdfast.yaml'), JSON.stringify({ version: 1, repositories: { main } }))
  const environment = { HOLDFAST_CONFIG: scratch.join('holdfast.yaml') }
  const run = (...args: readonly string[]) => runProgram(['--no-cache', ...args], { environment })
  expect(await run('init')).toMatchObject({ status: 0 })
  rmSync(join(repository, 'config'))
  const again = await run('init')
  expect(again.status, again.output).toBe(0)
  expect(countFiles(repository, 'keys')).toBe(1)
  expect(await run('snapshots')).toMatchObject({ status: 0 })
})
