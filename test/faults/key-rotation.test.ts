import { spawn } from 'node:child_process'
import { cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
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
