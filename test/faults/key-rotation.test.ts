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
import { CHEAP_KDF, PASSWORD, scratchFolder } from '../support/test-repository.ts'

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
  { timeout: 120_000 },
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
      spawn(program, ['--no-cache', ...args], {
        env: { ...process.env, HOLDFAST_CONFIG: scratch.join('holdfast.yaml') },
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
      rmSync(join(repository, 'locks'), { recursive: true })
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

test('a new master key, killed while copying and while removing, loses no snapshot', { timeout: 240_000 }, async () => {
  using scratch = scratchFolder()
  const [old, next] = [scratch.join('old'), scratch.join('next')]
  writeFileSync(scratch.join('password'), PASSWORD, { mode: 0o600 })
  const main = { url: old, password: `file:${scratch.join('password')}` }
  writeFileSync(scratch.join('holdfast.yaml'), JSON.stringify({ version: 1, repositories: { main } }))
  await initRepository(openLocalStorage(old), { password: PASSWORD }, { key: { kdf: CHEAP_KDF } })
  const start = (...args: readonly string[]) =>
    spawn(program, ['--no-cache', '--pack-size', '4', ...args], {
      env: { ...process.env, HOLDFAST_CONFIG: scratch.join('holdfast.yaml') },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
  /** Runs it, and kills it once `isTime`. */
  const run = async (args: readonly string[], isTime: () => boolean = () => false): Promise<number | null> => {
    const child = start(...args)
    let stderr = ''
    child.stderr!.on('data', (text) => (stderr += text))
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
    while (child.exitCode === null && child.signalCode === null && !isTime()) await sleep(2)
    if (isTime()) child.kill('SIGKILL')
    const status = await ended
    for (const repository of [old, next]) rmSync(join(repository, 'locks'), { recursive: true, force: true })
    if (status !== 0 && status !== null) throw new Error(stderr)
    return status
  }
  const count = (repository: string, kind: string): number => {
    const folder = join(repository, kind)
    if (!existsSync(folder)) return 0
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
    return entries.filter((entry) => entry.isFile() && /^[0-9a-f]{64}$/.test(entry.name)).length
  }
  for (let i = 0; i < 3; i++) {
    writeFileSync(scratch.join('file'), randomBytes(9_000_000))
    expect(await run(['backup', scratch.join('file')])).toBe(0)
  }
  const rotate = ['key', 'rotate', '--master', '--to', next]
  await run(rotate, () => existsSync(join(next, 'config')))
  await run(rotate, () => count(next, 'data') > 0)
  expect(count(old, 'snapshots')).toBe(3)
  expect(await run([...rotate, '--write'])).toBe(0)
  expect(count(next, 'snapshots')).toBe(3)
  const packs = count(old, 'data')
  const finish = ['key', 'rotate', '--finish', '--from', old]
  const cut = await run(finish, () => count(old, 'data') < packs)
  // Where the machine was too quick to be killed, there is nothing left to do.
  if (cut === null) expect(await run(finish)).toBe(0)
  expect(['data', 'index', 'snapshots', 'keys'].map((kind) => count(old, kind))).toEqual([0, 0, 0, 0])
  expect(await run(['check', '--read-data'])).toBe(0)
})
