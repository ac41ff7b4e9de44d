import { mkdirSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { copyStorage } from '../../../test/support/copy-storage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import {
  backUp,
  CHEAP_KDF,
  expectResticContent,
  memoryRepository,
  overStorage,
  PASSWORD,
  reopen,
  restic,
  scratchFolder,
} from '../../../test/support/test-repository.ts'
import { loadEverything } from '../../../test/support/whole-snapshots.ts'
import { fromUtf8, utf8 } from '../../lib/bytes.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { createCipher } from '../kernels/cipher.ts'
import { sha256Hex } from '../kernels/sha256.ts'
import { withFaults } from '../storage/layers/with-faults.ts'
import { openMemoryStorage } from '../storage/memory/memory-storage.ts'
import type { FileRef, Storage } from '../storage/storage.ts'
import { errorFrom } from '../storage/testing.ts'
import { encodeConfig } from './config.ts'
import { addKey } from './key-management.ts'
import { createKeyFile } from './keys.ts'
import { initRepository, openRepository, type Repository, saveKeyFile } from './repository.ts'
import { loadSnapshots } from './snapshots.ts'
import { BlobWriter } from './write/blob-writer.ts'

const open = (storage: Storage, password = PASSWORD, keyHint?: string): Promise<Repository> =>
  openRepository(storage, { password, keyHint })

const cheap = { kdf: CHEAP_KDF }

/** The storage with other bytes in one file. */
async function changed(from: Storage, file: FileRef, change: (bytes: Uint8Array) => Uint8Array): Promise<Storage> {
  const storage = await copyStorage(from)
  const bytes = change(await storage.get(file))
  await storage.delete(file)
  await storage.put(file, bytes)
  return storage
}

const flip = (bytes: Uint8Array): Uint8Array => bytes.with(40, bytes[40]! ^ 1)

describe('making a repository', () => {
  test('writes one key and the config, of the version that is asked for', async () => {
    for (const version of [1, 2] as const) {
      const repository = await initRepository(openMemoryStorage(), { password: PASSWORD }, { version, key: cheap })
      expect(repository.config.version).toBe(version)
      const opened = await open(repository.storage)
      expect(opened.config).toEqual(repository.config)
      expect(opened.masterKey).toEqual(repository.masterKey)
      expect(await opened.list('key')).toEqual([repository.keyId])
    }
  })

  test('cuts files as another repository does where that is wanted', async () => {
    const options = { key: cheap, chunkerPolynomial: 0x25b468838dcb75n }
    const { storage } = await initRepository(openMemoryStorage(), { password: PASSWORD }, options)
    expect((await open(storage)).config.chunkerPolynomial).toBe(0x25b468838dcb75n)
  })

  test.each(['config', 'key', 'snapshot'] as const)('is refused where there is a %s', async (kind) => {
    const storage = openMemoryStorage()
    await storage.create()
    await storage.put(kind === 'config' ? { kind } : { kind, name: 'a'.repeat(64) }, utf8('{}'))
    const error = await errorFrom(() => initRepository(storage, { password: PASSWORD }, { key: cheap }))
    expect(error.code).toBe('HF_REPO_EXISTS')
  })
})

describe('making a repository that was cut off between key and config', () => {
  const put = (storage: Storage, kind: 'index' | 'data') => storage.put({ kind, name: 'a'.repeat(64) }, utf8('{}'))
  async function begun(): Promise<Storage> {
    const { storage } = await initRepository(openMemoryStorage(), { password: PASSWORD }, { key: cheap })
    await storage.delete({ kind: 'config' })
    return storage
  }

  test('is finished with the same password', async () => {
    const storage = await begun()
    const { config, keyId } = await initRepository(storage, { password: PASSWORD }, { key: cheap })
    const opened = await open(storage)
    expect(opened.config).toEqual(config)
    expect(await opened.list('key')).toEqual([keyId])
  })

  test('is refused with another one, and where anything is stored', async () => {
    expect((await errorFrom(async () => initRepository(await begun(), { password: 'x' }))).code).toBe('HF_REPO_EXISTS')
    for (const kind of ['index', 'data'] as const) {
      const storage = await begun()
      await put(storage, kind)
      const error = await errorFrom(() => initRepository(storage, { password: PASSWORD }))
      expect(error).toMatchObject({ code: 'HF_REPO_EXISTS', message: expect.stringContaining(kind) })
    }
  })
})

describe('opening a repository', () => {
  test('tells what is wrong', async () => {
    const { storage, keyId } = await memoryRepository()
    const empty = openMemoryStorage()
    await empty.create()
    expect((await errorFrom(() => open(empty))).code).toBe('HF_REPO_NOT_FOUND')
    for (const password of ['', 'wrong', `${PASSWORD} `])
      expect((await errorFrom(() => open(storage, password))).code, password).toBe('HF_KEY_WRONG_PASSWORD')
    const keyless = await copyStorage(storage)
    await keyless.delete({ kind: 'key', name: keyId })
    const nobody = await errorFrom(() => open(keyless))
    expect(nobody.code).toBe('HF_KEY_INVALID')
    expect(nobody.message).toMatch('has no key file')
    const garbage = await changed(storage, { kind: 'key', name: keyId }, () => utf8('{'))
    expect((await errorFrom(() => open(garbage))).code).toBe('HF_KEY_INVALID')
  })

  test('works with any of several keys, and beside damaged ones', async () => {
    const repository = await memoryRepository()
    const { storage } = repository
    for (const password of ['two', 'three']) await addKey(repository, password, cheap)
    for (const damaged of [
      '',
      'garbage',
      'null',
      '{"kdf":"scrypt"}',
      JSON.stringify({ kdf: 'scrypt', N: 2 ** 24, r: 64, p: 1 }),
    ])
      await saveKeyFile(storage, utf8(damaged))
    const ids = new Set<string>()
    for (const password of [PASSWORD, 'two', 'three']) {
      const opened = await open(storage, password)
      ids.add(opened.keyId)
      expect(opened.masterKey).toEqual(repository.masterKey)
    }
    expect(ids.size).toBe(3)
  })

  test('tries twenty keys, the hinted one first', async () => {
    const repository = await memoryRepository()
    const passwords = new Map([[repository.keyId, PASSWORD]])
    for (let i = 0; i < 20; i++) passwords.set(await addKey(repository, `${i}`, cheap), `${i}`)
    const { storage } = repository
    const names = (await Array.fromAsync(storage.list('key'))).map(({ name }) => name)
    const [first, last] = [names[0]!, names.at(-1)!]
    expect((await open(storage, passwords.get(names[19]!)!)).keyId).toBe(names[19])
    const error = await errorFrom(() => open(storage, passwords.get(last)!))
    expect(error).toMatchObject({ code: 'HF_KEY_WRONG_PASSWORD', context: { keysTried: 20 } })
    expect(error.hint).toBe('only 20 of 21 keys were tried; name the right one with --key-hint')
    const watched = withFaults(storage, [])
    expect((await open(watched, passwords.get(last)!, last.slice(0, 12))).keyId).toBe(last)
    expect(watched.calls.filter((call) => call.startsWith('get key'))).toEqual([`get key/${last.slice(0, 8)}`])
    // A hint that leads nowhere, or to another key, is no reason to fail.
    for (const hint of ['f'.repeat(64), 'x', last])
      expect((await open(storage, passwords.get(first)!, hint)).keyId).toBe(first)
  })

  test('refuses a damaged or foreign config, and versions to come', async () => {
    const repository = await memoryRepository()
    const { storage, masterKey, config } = repository
    const sealed = (json: Uint8Array): Uint8Array => {
      const bytes = new Uint8Array(json.length + 32)
      createCipher(masterKey).seal(new Uint8Array(16).fill(7), json, bytes)
      return bytes
    }
    const cases: readonly (readonly [string, (bytes: Uint8Array) => Uint8Array])[] = [
      ['HF_CRYPTO_AUTH', flip],
      ['HF_CRYPTO_AUTH', (bytes) => bytes.slice(0, -1)],
      ['HF_DATA_DAMAGED', () => new Uint8Array(31)],
      ['HF_DATA_DAMAGED', () => new Uint8Array(0)],
      ['HF_REPO_CONFIG', () => sealed(utf8('{}').subarray(1))],
      ['HF_REPO_VERSION', () => sealed(utf8(fromUtf8(encodeConfig(config)).replace('"version":2', '"version":3')))],
      ['HF_REPO_VERSION', () => sealed(utf8('{}'))],
    ]
    for (const [code, change] of cases) {
      const damaged = await changed(storage, { kind: 'config' }, change)
      expect((await errorFrom(() => open(damaged))).code).toBe(code)
    }
    const foreign = await (await memoryRepository()).storage.get({ kind: 'config' })
    const mixed = await changed(storage, { kind: 'config' }, () => foreign)
    expect((await errorFrom(() => open(mixed))).code).toBe('HF_CRYPTO_AUTH')
  })
})

describe('files of a repository', () => {
  test('are sealed, compressed in version 2, and named by their content', async () => {
    for (const version of [1, 2] as const) {
      const repository = await memoryRepository({ version })
      const json = utf8(`{"packs":[${' '.repeat(1000)}]}`)
      const name = await repository.saveUnpacked('index', json)
      const stored = await repository.storage.get({ kind: 'index', name })
      expect(sha256Hex(stored)).toBe(name)
      expect(stored.length === json.length + 32).toBe(version === 1)
      expect(await repository.loadUnpacked('index', name)).toEqual(json)
      expect(await repository.saveUnpacked('index', json)).not.toBe(name)
    }
  })

  test('are refused when they are not what they are named by', async () => {
    const repository = await memoryRepository()
    const [first, second] = [
      await repository.saveUnpacked('snapshot', utf8('{"a":1}')),
      await repository.saveUnpacked('snapshot', utf8('{"b":2}')),
    ]
    const file = { kind: 'snapshot', name: first } as const
    const load = async (storage: Storage, name = first): Promise<string> =>
      (await errorFrom(() => overStorage(repository, storage).loadUnpacked('snapshot', name))).code
    expect(await load(await changed(repository.storage, file, flip))).toBe('HF_DATA_DAMAGED')
    expect(await load(await changed(repository.storage, file, (bytes) => bytes.slice(0, 20)))).toBe('HF_DATA_DAMAGED')
    const other = await repository.storage.get({ kind: 'snapshot', name: second })
    expect(await load(await changed(repository.storage, file, () => other))).toBe('HF_DATA_DAMAGED')
    expect(await load(repository.storage, 'f'.repeat(64))).toBe('HF_STORAGE_NOT_FOUND')
    // Rightly named, but of somebody without the key.
    const forged = utf8('{"forged":true, "and long enough to be sealed":true}')
    await repository.storage.put({ kind: 'snapshot', name: sha256Hex(forged) }, forged)
    expect(await load(repository.storage, sha256Hex(forged))).toBe('HF_CRYPTO_AUTH')
  })

  test('that exist already are what an earlier try has stored', async () => {
    const plain = await memoryRepository()
    const error = new HoldfastError('HF_STORAGE_EXISTS', 'it is there')
    const storage = withFaults(plain.storage, [
      { operation: 'put', kind: 'index', effect: { type: 'fail-after', error } },
    ])
    const name = await overStorage(plain, storage).saveUnpacked('index', utf8('{}'))
    expect(await plain.list('index')).toEqual([name])
  })
})

describe('blobs', () => {
  test('come from any pack that has them intact', async () => {
    const repository = await memoryRepository()
    const content = utf8('kept twice')
    const id = sha256Hex(content)
    for (const duplicate of [false, true]) {
      const writer = new BlobWriter(repository)
      await writer.save('data', content, id, { duplicate })
      await writer.flush()
    }
    const [one, two] = await repository.list('data')
    const load = async (storage: Storage): Promise<Uint8Array> => {
      const over = overStorage(repository, storage)
      await over.loadIndex()
      return await over.loadBlob('data', id)
    }
    const first = await changed(repository.storage, { kind: 'data', name: one! }, (bytes) =>
      bytes.with(20, bytes[20]! ^ 1),
    )
    expect(await load(first)).toEqual(content)
    await first.delete({ kind: 'data', name: one! })
    expect(await load(first)).toEqual(content)
    await first.delete({ kind: 'data', name: two! })
    expect((await errorFrom(() => load(first))).code).toBe('HF_STORAGE_NOT_FOUND')
  })

  test('of the other type, or none, are not found', async () => {
    const repository = await memoryRepository()
    const writer = new BlobWriter(repository)
    const { id } = await writer.save('data', utf8('data'))
    await writer.flush()
    expect(await repository.loadBlob('data', id)).toEqual(utf8('data'))
    expect((await errorFrom(() => repository.loadBlob('tree', id))).code).toBe('HF_BLOB_NOT_FOUND')
  })

  test('with a place that cannot be are damaged, not a crash', async () => {
    const repository = await memoryRepository()
    const writer = new BlobWriter(repository)
    const { id } = await writer.save('data', utf8('some data'.repeat(10)))
    await writer.flush()
    const place = repository.index.find('data', id)!
    const bytes = await repository.storage.get({ kind: 'data', name: place.pack })
    const sealed = bytes.subarray(place.offset, place.offset + place.length)
    const lies = [
      { ...place, length: 31 },
      { ...place, uncompressedLength: place.uncompressedLength - 1 },
      { ...place, uncompressedLength: 0 },
    ]
    for (const lie of lies) {
      const error = await errorFrom(() => repository.openBlob('data', id, lie, sealed.subarray(0, lie.length)))
      expect(error.code).toBe('HF_PACK_DAMAGED')
    }
    expect((await errorFrom(() => repository.openBlob('data', 'f'.repeat(64), place, sealed))).message).toMatch(
      'does not have the content its id stands for',
    )
  })
})

describe.skipIf(lacks('restic'))('a repository of restic', () => {
  test.each(['1', '2'])('of version %s is read, continued, and still good for restic', async (version) => {
    using scratch = scratchFolder()
    const path = scratch.join('repository')
    expect(restic(path, 'init', '--repository-version', version).status).toBe(0)
    mkdirSync(scratch.join('data'))
    for (let i = 0; i < 20; i++) writeFileSync(scratch.join('data', `file ${i}`), `content ${i}\n`.repeat(i * 1000))
    expect(restic(path, 'backup', '--host', 'test-host', scratch.join('data')).status).toBe(0)
    const repository = await reopen(path)
    expect(repository.config.version).toBe(Number(version))
    expect(await loadEverything(repository.storage)).toMatchObject([{ paths: [scratch.join('data')] }])
    const before = repository.index.count
    const { summary } = await backUp(repository, scratch.join('data'))
    expect(summary).toMatchObject({ filesNew: 0, filesUnmodified: 20, dataBlobs: 0 })
    // The folder for temporary files, which lies above, may have changed; what restic wrote for all below it is what we write.
    expect(summary.treeBlobs).toBeLessThanOrEqual(1)
    expect((await reopen(path)).index.count).toBe(before + summary.treeBlobs)
    expect(await loadSnapshots(repository)).toHaveLength(2)
    expectResticContent(path)
  })

  test('opens with a key of ours', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('repository')
    restic(path, 'init')
    const repository = await reopen(path)
    const json = await createKeyFile(repository.masterKey, 'second', cheap)
    const id = await saveKeyFile(repository.storage, json)
    expect((await open(repository.storage, 'second')).keyId).toBe(id)
    expect(restic(path, '--key-hint', id, 'cat', 'key', id).status).toBe(0)
  })
})
