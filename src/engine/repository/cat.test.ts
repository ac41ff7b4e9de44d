import { mkdirSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import {
  backUp,
  memoryRepository,
  newRepository,
  restic,
  scratchFolder,
} from '../../../test/support/test-repository.ts'
import { utf8 } from '../../lib/bytes.ts'
import { sha256Hex } from '../kernels/sha256.ts'
import { errorFrom } from '../storage/testing.ts'
import {
  blobContent,
  configText,
  indexText,
  keyText,
  lockText,
  masterKeyText,
  packContent,
  snapshotText,
} from './cat.ts'
import { listBlobs, listFileIds } from './list-files.ts'
import { acquireLock } from './lock.ts'
import { repositoryLockFiles } from './lock-files.ts'
import { BlobWriter } from './write/blob-writer.ts'

/** A master key with the bits of mac.r cleared that Poly1305 ignores; an old restic prints it so. */
function clamped(masterKey: string): string {
  return masterKey.trimEnd().replace(/(?<="r": ")[^"]+/, (text) => {
    const r = Buffer.from(text, 'base64')
    const bytes = r.map((byte, i) => byte & (i % 4 === 3 ? 0x0f : i % 4 === 0 && i > 0 ? 0xfc : 0xff))
    return Buffer.from(bytes).toString('base64')
  })
}

describe.skipIf(lacks('restic'))('what restic prints for a repository of ours', () => {
  test('is what we print', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('repository')
    const repository = await newRepository(path)
    mkdirSync(scratch.join('data'))
    writeFileSync(scratch.join('data', 'a <&> b'), 'content')
    const { snapshot, tree } = await backUp(repository, scratch.join('data'), { tags: ['<tag>'] })
    const cat = (...args: string[]): string => restic(path, '--no-lock', 'cat', ...args).stdout
    const lines = (text: string): string[] => text.trimEnd().split('\n').sort()
    const list = (what: string): string[] => lines(restic(path, '--no-lock', 'list', what).stdout)

    expect(`${configText(repository)}\n`).toBe(cat('config'))
    expect(clamped(masterKeyText(repository))).toBe(clamped(cat('masterkey')))
    expect(`${await keyText(repository, repository.keyId)}\n`).toBe(cat('key', repository.keyId))
    expect(await blobContent(repository, tree)).toEqual(new Uint8Array(Buffer.from(cat('blob', tree))))
    const [index] = await listFileIds(repository, 'index')
    expect(await indexText(repository, index!)).toBe(cat('index', index!).replace(/\n+$/, '\n'))
    // Of a snapshot an old restic leaves out what it does not know.
    expect(JSON.parse(snapshotText(snapshot!))).toMatchObject(JSON.parse(cat('snapshot', snapshot!.id)))
    await using lock = await acquireLock(repositoryLockFiles(repository), { exclusive: false })
    const [held] = await listFileIds(repository, 'locks')
    expect(`${await lockText(repository, held!)}\n`).toBe(cat('lock', held!))
    expect(lock.signal.aborted).toBe(false)

    for (const what of ['packs', 'index', 'snapshots', 'keys', 'locks'] as const)
      expect(await listFileIds(repository, what), what).toEqual(list(what))
    const blobs = (await Array.fromAsync(listBlobs(repository))).map(({ type, id }) => `${type} ${id}`)
    expect(blobs.sort()).toEqual(list('blobs'))
  })
})

describe('cat', () => {
  test('shows a damaged pack too, and says so', async () => {
    const repository = await memoryRepository()
    const bytes = utf8('not what the name says')
    const name = sha256Hex(utf8('something else'))
    await repository.storage.put({ kind: 'data', name }, bytes)
    expect(await packContent(repository, name)).toEqual({ bytes, isIntact: false })
    const intact = sha256Hex(bytes)
    await repository.storage.put({ kind: 'data', name: intact }, bytes)
    expect(await packContent(repository, intact)).toEqual({ bytes, isIntact: true })
  })

  test('says that a blob is unknown', async () => {
    const repository = await memoryRepository()
    expect((await errorFrom(() => blobContent(repository, 'f'.repeat(64)))).code).toBe('HF_BLOB_NOT_FOUND')
  })
})

describe('list', () => {
  test('gives a blob for each pack it lies in', async () => {
    const repository = await memoryRepository()
    const content = utf8('twice')
    for (const duplicate of [false, true]) {
      const writer = new BlobWriter(repository)
      await writer.save('data', content, sha256Hex(content), { duplicate })
      await writer.flush()
    }
    const blob = { type: 'data', id: sha256Hex(content) }
    expect(await Array.fromAsync(listBlobs(repository))).toEqual([blob, blob])
  })
})
