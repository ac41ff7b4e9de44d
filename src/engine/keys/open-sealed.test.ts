import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { CHEAP_KDF, scratchFolder } from '../../../test/support/test-repository.ts'
import { fromUtf8, utf8 } from '../../lib/bytes.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { sha256Hex } from '../kernels/sha256.ts'
import { parseEnvelope } from '../repository/key-envelope.ts'
import { initRepository, openRepository, type Repository } from '../repository/repository.ts'
import { openLocalStorage } from '../storage/local/local-storage.ts'
import { openMemoryStorage } from '../storage/memory/memory-storage.ts'
import type { Storage } from '../storage/storage.ts'
import { errorFrom } from '../storage/testing.ts'
import { ageKey, passphraseKey } from './age/age-key.ts'
import { loadSealed, type Opened, openBySealed } from './open-sealed.ts'
import type { PasswordKey } from './password-key.ts'
import { newPassword, sealPassword } from './seal-password.ts'
import { unusableKey } from './unusable-key.ts'

const newIdentity = async (): Promise<string> => (await import('age-encryption')).generateX25519Identity()
const identityKey = async (source = 'test'): Promise<PasswordKey> => ageKey({ source, text: await newIdentity() })

async function newSealed(keys: readonly PasswordKey[], storage: Storage = openMemoryStorage()): Promise<Repository> {
  const password = newPassword()
  return await initRepository(
    storage,
    { password },
    { key: { kdf: CHEAP_KDF }, seal: (repository) => sealPassword(keys, password, { repository }) },
  )
}

const open = ({ storage }: Repository, keys: readonly PasswordKey[]): Promise<Opened<Repository>> =>
  openBySealed(storage, keys, (password, keyHint) => openRepository(storage, { password, keyHint }))

/** Puts another key file in the place of the only one. */
async function rewriteKeyFile(
  { storage, keyId }: Pick<Repository, 'storage' | 'keyId'>,
  change: (fields: { readonly holdfast: { readonly wrapped: Record<string, string>[] } }) => unknown,
): Promise<void> {
  const fields = JSON.parse(fromUtf8(await storage.get({ kind: 'key', name: keyId })))
  const changed = utf8(JSON.stringify(change(fields)))
  await storage.delete({ kind: 'key', name: keyId })
  await storage.put({ kind: 'key', name: sha256Hex(changed) }, changed)
}

describe('a repository whose password is sealed', () => {
  test('opens by any one of its keys, and says which failed before', async () => {
    const [lost, age] = [await identityKey('lost'), await identityKey('kept')]
    const phrase = passphraseKey('test', 'hush hush')
    const repository = await newSealed([lost, age, phrase])
    const reason = new HoldfastError('HF_SECRET_UNAVAILABLE', 'the file is gone')
    const broken = unusableKey('age', 'age lost', reason)
    const opened = await open(repository, [broken, age])
    expect(opened.key.title).toBe('age kept')
    expect(opened.result.config.id).toBe(repository.config.id)
    expect(opened.failures.map(({ error }) => [error.code, error.message])).toEqual([
      ['HF_KEY_UNAVAILABLE', 'age lost: the file is gone'],
    ])
    expect((await open(repository, [phrase])).password).toBe(opened.password)
  })

  test('opens by none of others, each with its reason', async () => {
    const repository = await newSealed([await identityKey(), passphraseKey('here', 'right')])
    const error = await errorFrom(async () =>
      open(repository, [await identityKey('foreign'), passphraseKey('typed', 'wrong')]),
    )
    expect(error).toMatchObject({ code: 'HF_KEY_UNAVAILABLE' })
    expect(error.message).toContain('age foreign: nothing in the repository is sealed for it')
    expect(error.message).toContain('passphrase typed: does not open the sealed password')
  })

  test('is not made when only others could open it', async () => {
    const { identityToRecipient } = await import('age-encryption')
    const recipient = await ageKey({
      source: 'safe',
      text: `# of the safe\n${await identityToRecipient(await newIdentity())}\n`,
    })
    const storage = openMemoryStorage()
    expect(await errorFrom(() => newSealed([recipient], storage))).toMatchObject({ code: 'HF_USAGE' })
    expect(await errorFrom(() => storage.stat({ kind: 'config' }))).toMatchObject({ code: 'HF_STORAGE_NOT_FOUND' })
    const own = await identityKey()
    const repository = await newSealed([recipient, own])
    // What cannot open is passed over without a word.
    expect((await open(repository, [recipient, own])).failures).toEqual([])
  })

  test('with a key file that somebody else brought opens by its own all the same', async () => {
    const age = await identityKey()
    const repository = await newSealed([age])
    const foreign = await newSealed([age])
    const { keyId, storage } = foreign
    const file = await storage.get({ kind: 'key', name: keyId })
    await repository.storage.put({ kind: 'key', name: keyId }, file)
    const fields = JSON.parse(fromUtf8(await repository.storage.get({ kind: 'key', name: repository.keyId })))
    // Newer than all others, and sealed for nothing that opens it.
    const decoy = utf8(
      JSON.stringify({ ...fields, created: '2090-01-01T00:00:00Z', data: fields.data.replace(/^..../, 'AAAA') }),
    )
    await repository.storage.put({ kind: 'key', name: sha256Hex(decoy) }, decoy)
    expect((await loadSealed(repository.storage))[0]!.id).toBe(sha256Hex(decoy))
    await repository.storage.delete({ kind: 'key', name: keyId })
    expect((await open(repository, [age])).result.keyId).toBe(repository.keyId)
  })

  test.each<[string, (ciphertext: string) => string]>([
    ['changed in its body', (text) => flipped(text, -1)],
    ['changed in its head', (text) => flipped(text, 60)],
    ['cut off', (text) => text.slice(0, 40)],
  ])('%s opens nothing', async (_, change) => {
    const age = await identityKey()
    const repository = await newSealed([age])
    await rewriteKeyFile(repository, (fields) => {
      const [wrapped] = fields.holdfast.wrapped
      wrapped!.ciphertext = change(wrapped!.ciphertext!)
      return fields
    })
    const error = await errorFrom(() => open(repository, [age]))
    expect(error).toMatchObject({ code: 'HF_KEY_UNAVAILABLE' })
    expect(error.message).toContain('does not open the sealed password')
  })
})

describe('what may stand in a key file', () => {
  const good = { version: 1, repository: 'a'.repeat(64), wrapped: [{ type: 'age', key: '', ciphertext: 'AAAA' }] }
  test.each<[string, unknown]>([
    ['no object', 'x'],
    ['a list', [good]],
    ['another version', { ...good, version: 2 }],
    ['no repository', { ...good, repository: '../../etc' }],
    ['a wrong predecessor', { ...good, replaces: 'x' }],
    ['no list', { ...good, wrapped: {} }],
    ['too many', { ...good, wrapped: Array.from({ length: 33 }, () => good.wrapped[0]) }],
    ['an empty entry', { ...good, wrapped: [null] }],
    ['no type', { ...good, wrapped: [{ ...good.wrapped[0], type: 'A B' }] }],
    ['a name for terminals', { ...good, wrapped: [{ ...good.wrapped[0], key: '\u001b[2J' }] }],
    ['no content', { ...good, wrapped: [{ ...good.wrapped[0], ciphertext: '' }] }],
    ['a lot of content', { ...good, wrapped: [{ ...good.wrapped[0], ciphertext: 'A'.repeat(90_000) }] }],
  ])('%s is refused', async (_, field) => {
    expect(await errorFrom(() => parseEnvelope(field, 'b'.repeat(64)))).toMatchObject({ code: 'HF_KEY_INVALID' })
  })

  test('a field we do not understand does not keep the password from opening it', async () => {
    const repository = await newSealed([await identityKey()])
    const password = 'a password'
    const { storage } = await initRepository(openMemoryStorage(), { password }, { key: { kdf: CHEAP_KDF } })
    const [file] = await Array.fromAsync(storage.list('key'))
    await rewriteKeyFile({ storage, keyId: file!.name }, (fields) => ({ ...fields, holdfast: 'rubbish' }))
    expect((await openRepository(storage, { password })).config.id).not.toBe(repository.config.id)
    expect(await loadSealed(storage)).toEqual([])
  })
})

describe('identities', () => {
  test.each([
    ['', 'holds no identity and no recipient'],
    ['# only words\n', 'holds no identity and no recipient'],
    ['AGE-SECRET-KEY-1QQQQ\n', 'holds an identity that is damaged'],
    ['ssh-ed25519 AAAA\n', 'line 1 is no identity and no recipient of age'],
    ['# x\n\nAGE-PLUGIN-YUBIKEY-1QQ\n', 'line 3 is no identity'],
  ])('%j is refused', async (text, message) => {
    const error = await errorFrom(() => ageKey({ source: 'here', text }))
    expect(error).toMatchObject({ code: 'HF_KEY_UNAVAILABLE' })
    expect(error.message).toContain(message)
  })

  test('that are sealed by a passphrase want it', async () => {
    const { armorAge, sealAge } = await import('./age/age-file.ts')
    const identity = await newIdentity()
    const text = await armorAge(await sealAge(utf8(`# secret\n${identity}\n`), { passphrase: 'four words of it' }))
    const passphrase = async (): Promise<string> => 'four words of it'
    const repository = await newSealed([await ageKey({ source: 'plain', text: identity })])
    expect((await open(repository, [await ageKey({ source: 'sealed', text, passphrase })])).failures).toEqual([])
    expect(await errorFrom(() => ageKey({ source: 'sealed', text }))).toMatchObject({
      code: 'HF_KEY_UNAVAILABLE',
      message: 'age sealed: is sealed by a passphrase',
    })
    const wrong = await errorFrom(() => ageKey({ source: 'sealed', text, passphrase: async () => 'three words' }))
    expect(wrong.message).toBe('age sealed: does not open with its passphrase')
  })
})

test.skipIf(lacks('age', 'restic'))(
  'age opens what was sealed for its identity, and restic opens the repository with it',
  async () => {
    using scratch = scratchFolder()
    const run = (program: string, ...args: readonly string[]): string => {
      const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
      if (status !== 0) throw new Error(`${program}: ${stderr}`)
      return stdout
    }
    const identity = run('age-keygen')
    writeFileSync(scratch.join('identity'), identity)
    mkdirSync(scratch.join('repository'))
    const key = await ageKey({ source: 'age-keygen', text: identity })
    const repository = await newSealed([key], await openLocalStorage(scratch.join('repository')))
    const [file] = await loadSealed(repository.storage)
    writeFileSync(scratch.join('sealed'), file!.envelope.wrapped[0]!.ciphertext)
    const password = run('age', '--decrypt', '--identity', scratch.join('identity'), scratch.join('sealed'))
    for (const args of [['snapshots'], ['key', 'list'], ['check']]) {
      const { status, stderr } = spawnSync('restic', ['--no-cache', '-r', scratch.join('repository'), ...args], {
        encoding: 'utf8',
        env: { ...process.env, RESTIC_PASSWORD: password },
      })
      expect(status, stderr).toBe(0)
    }
  },
)

/** The base64 text with one bit of what it stands for changed. */
function flipped(base64: string, at: number): string {
  const bytes = Buffer.from(base64, 'base64')
  const index = at < 0 ? bytes.length + at : at
  bytes[index] = bytes[index]! ^ 1
  return bytes.toString('base64')
}
