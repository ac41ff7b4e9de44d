import { describe, expect, test } from 'vitest'
import { CHEAP_KDF, overStorage } from '../../../test/support/test-repository.ts'
import { HoldfastError } from '../../lib/errors.ts'
import type { WrappedPassword } from '../repository/key-envelope.ts'
import { initRepository, openRepository, type Repository } from '../repository/repository.ts'
import { openMemoryStorage } from '../storage/memory/memory-storage.ts'
import type { Storage } from '../storage/storage.ts'
import { errorFrom } from '../storage/testing.ts'
import { ageKey } from './age/age-key.ts'
import { keyUnavailable } from './key-failure.ts'
import { loadSealed, openBySealed } from './open-sealed.ts'
import type { PasswordKey } from './password-key.ts'
import { type Rotation, rotateKey, rotatePassword } from './rotate-key.ts'
import { sealPassword } from './seal-password.ts'

const key = { kdf: CHEAP_KDF }
const newKey = async (source: string): Promise<PasswordKey> => {
  const { generateX25519Identity } = await import('age-encryption')
  return ageKey({ source, text: await generateX25519Identity() })
}

async function newSealed(keys: readonly PasswordKey[], password = 'first'): Promise<Repository> {
  const seal = (repository: string) => sealPassword(keys, password, { repository })
  return await initRepository(openMemoryStorage(), { password }, { key, seal })
}

const openBy = async (
  storage: Storage,
  keys: readonly PasswordKey[],
): Promise<{ repository: Repository; password: string }> => {
  const { result, password } = await openBySealed(storage, keys, (secret, keyHint) =>
    openRepository(storage, { password: secret, keyHint }),
  )
  return { repository: result, password }
}

const keyFiles = ({ storage }: Repository): Promise<string[]> =>
  Array.fromAsync(storage.list('key'), ({ name }) => name)

const opens = (storage: Storage, password: string): Promise<boolean> =>
  openRepository(storage, { password }).then(
    () => true,
    () => false,
  )

/** A storage that is gone once so many files were written or removed, as for a process that is killed then. */
function mortal(storage: Storage, changes: number): Storage {
  let left = changes
  const alive = <T>(isChange: boolean, call: () => T): T => {
    if (left < 0 || (isChange && left-- === 0)) {
      left = -1
      throw new HoldfastError('HF_INTERNAL', 'killed')
    }
    return call()
  }
  return {
    ...storage,
    location: storage.location,
    properties: storage.properties,
    create: (options) => storage.create(options),
    close: () => storage.close(),
    put: async (...args) => alive(true, () => storage.put(...args)),
    delete: async (...args) => alive(true, () => storage.delete(...args)),
    get: async (...args) => alive(false, () => storage.get(...args)),
    stat: async (...args) => alive(false, () => storage.stat(...args)),
    list: (...args) => alive(false, () => storage.list(...args)),
  }
}

describe('a rotation', () => {
  test('leaves one new key file, which all keys open', async () => {
    const [one, two] = [await newKey('one'), await newKey('two')]
    const before = await newSealed([one])
    const rotation = await rotateKey(before, [one, two], 'second', { key })
    expect(rotation).toEqual({ id: expect.any(String), removed: [before.keyId], isResumed: false })
    expect(await keyFiles(before)).toEqual([rotation.id])
    for (const by of [one, two])
      expect((await openBy(before.storage, [by])).repository.config.id).toBe(before.config.id)
    expect(await opens(before.storage, 'first')).toBe(false)
    const again = await rotateKey((await openBy(before.storage, [two])).repository, [two], 'second', { key })
    expect(again.isResumed).toBe(false)
    expect(await errorFrom(() => openBy(before.storage, [one]))).toMatchObject({ code: 'HF_KEY_UNAVAILABLE' })
    expect(await opens(before.storage, 'second')).toBe(true)
  })

  test('with a key that cannot be used changes nothing', async () => {
    const one = await newKey('one')
    const fail = () => Promise.reject(keyUnavailable('kms x', 'disabled', 'the key is disabled'))
    const kms: PasswordKey = { ...one, type: 'kms', title: 'kms x', matches: () => false, seal: fail, open: fail }
    const before = await newSealed([one])
    expect(await errorFrom(() => rotateKey(before, [one, kms], 'second', { key }))).toMatchObject({
      code: 'HF_KEY_UNAVAILABLE',
    })
    expect(await keyFiles(before)).toEqual([before.keyId])
    // One that seals what it does not open is found out before the old key file goes.
    const wrong = async (): Promise<WrappedPassword> => ({ type: 'kms', key: '', ciphertext: new Uint8Array(9) })
    expect(await errorFrom(() => rotateKey(before, [one, { ...kms, seal: wrong }], 'second', { key }))).toMatchObject({
      code: 'HF_KEY_UNAVAILABLE',
    })
    expect(await keyFiles(before)).toEqual([before.keyId])
  })

  test('seals anew without the password where a key can, and with it where that fails', async () => {
    const one = await newKey('one')
    const calls: string[] = []
    const resealing = (result: 'works' | 'fails'): PasswordKey => ({
      ...one,
      seal: (...args) => {
        calls.push('seal')
        return one.seal(...args)
      },
      reseal: async (sealed) => {
        calls.push(`reseal ${result}`)
        if (result === 'fails') throw keyUnavailable('old', 'missing', 'is gone')
        return sealed
      },
    })
    const before = await newSealed([one])
    await rotateKey(before, [resealing('works')], 'first', { key })
    await rotateKey((await openBy(before.storage, [one])).repository, [resealing('fails')], 'first', { key })
    expect(calls).toEqual(['reseal works', 'reseal fails', 'seal'])
    expect((await openBy(before.storage, [one])).password).toBe('first')
  })

  test.each([0, 1, 2])('killed after %i changes is finished by the next one', async (changes) => {
    const keys = [await newKey('one'), await newKey('two')]
    const before = await newSealed(keys)
    const killed = overStorage(before, mortal(before.storage, changes))
    const isDone = await rotateKey(killed, keys, 'first', { key }).then(
      () => true,
      () => false,
    )
    expect(isDone).toBe(changes === 2)
    expect(await keyFiles(before)).toHaveLength(changes === 1 ? 2 : 1)
    // Opened by the old key file or by the new one, whichever comes first.
    for (const opener of await keyFiles(before)) {
      const { storage } = await copyOf(before)
      const reopened = await openRepository(storage, { password: 'first', keyHint: opener })
      const next = await rotateKey(reopened, keys, 'first', { key })
      expect(next.isResumed).toBe(changes === 1)
      expect(await Array.fromAsync(storage.list('key'), ({ name }) => name)).toEqual([next.id])
      expect((await openBy(storage, [keys[1]!])).repository.config.id).toBe(before.config.id)
    }
  })

  test('what was begun for other keys is done anew for those of now', async () => {
    const [one, two] = [await newKey('one'), await newKey('two')]
    const before = await newSealed([one])
    await rotateKey(overStorage(before, mortal(before.storage, 1)), [one], 'first', { key }).catch(() => undefined)
    expect(await keyFiles(before)).toHaveLength(2)
    const begun = (await loadSealed(before.storage)).find(({ envelope }) => envelope.replaces === before.keyId)!
    const reopened = await openRepository(before.storage, { password: 'first', keyHint: begun.id })
    const next = await rotateKey(reopened, [one, two], 'first', { key })
    expect(next.removed).toEqual([begun.id, before.keyId])
    expect(await keyFiles(before)).toEqual([next.id])
  })

  test('a key file that claims to be the successor and does not open is not believed', async () => {
    const one = await newKey('one')
    const before = await newSealed([one])
    const foreign = await newSealed([one])
    const envelope = await sealPassword([one], 'first', { repository: before.config.id })
    const forged = await rotateKey(foreign, [one], 'first', { key })
    const fields = JSON.parse(Buffer.from(await foreign.storage.get({ kind: 'key', name: forged.id })).toString())
    fields.holdfast = { ...fields.holdfast, repository: envelope.repository, replaces: before.keyId }
    const { sha256Hex } = await import('../kernels/sha256.ts')
    const bytes = Buffer.from(JSON.stringify(fields))
    await before.storage.put({ kind: 'key', name: sha256Hex(bytes) }, bytes)
    const next = await rotateKey(before, [one], 'first', { key })
    expect(next.isResumed).toBe(false)
    expect(next.removed).toEqual([before.keyId])
    expect((await openBy(before.storage, [one])).repository.keyId).toBe(next.id)
  })
})

test.each([0, 1, 2])(
  'a change of the password killed after %i changes is finished by the next one',
  async (changes) => {
    const before = await initRepository(openMemoryStorage(), { password: 'old' }, { key })
    await rotatePassword(overStorage(before, mortal(before.storage, changes)), 'new', { key }).catch(() => undefined)
    const reopened = await openRepository(before.storage, { password: changes === 2 ? 'new' : 'old' })
    if (changes < 2) {
      const rotation: Rotation = await rotatePassword(reopened, 'new', { key })
      expect(rotation.isResumed).toBe(changes === 1)
    }
    expect(await keyFiles(before)).toHaveLength(1)
    expect(await opens(before.storage, 'old')).toBe(false)
    expect(await opens(before.storage, 'new')).toBe(true)
  },
)

/** The config and the key files of a repository in a storage of their own. */
async function copyOf({ storage }: Repository): Promise<{ readonly storage: Storage }> {
  const copy = openMemoryStorage()
  await copy.put({ kind: 'config' }, await storage.get({ kind: 'config' }))
  for await (const { name } of storage.list('key'))
    await copy.put({ kind: 'key', name }, await storage.get({ kind: 'key', name }))
  return { storage: copy }
}
