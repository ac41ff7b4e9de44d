import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { newRepository, reopen, scratchFolder } from '../../../../test/support/test-repository.ts'
import { createCipher } from '../../kernels/cipher.ts'
import { newMasterKey } from '../keys.ts'
import { rowsOf } from '../pack/blob-rows.ts'
import { BlobWriter } from '../write/blob-writer.ts'
import { IndexCache } from './index-cache.ts'

const NAME = 'a'.repeat(64)
const listing = {
  pack: 'b'.repeat(64),
  rows: rowsOf([{ type: 'data', id: 'c'.repeat(64), offset: 1, length: 50, uncompressedLength: 90 }]),
}

describe('the cache of decoded indexes', () => {
  test('gives back what was kept, to who has the key', async () => {
    using scratch = scratchFolder()
    const cache = new IndexCache(scratch.path, createCipher(newMasterKey()))
    expect(await cache.read(NAME)).toBeUndefined()
    await cache.write(NAME, [listing])
    const [kept] = (await cache.read(NAME))!
    expect(kept!.pack).toBe(listing.pack)
    expect(new Uint8Array(kept!.rows)).toEqual(listing.rows)
    expect(await new IndexCache(scratch.path, createCipher(newMasterKey())).read(NAME)).toBeUndefined()
    const file = scratch.join('decoded-index', NAME)
    expect(readFileSync(file).includes(Buffer.from('c'.repeat(64), 'hex'))).toBe(false)
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  test('never gives back anything damaged', async () => {
    using scratch = scratchFolder()
    const cache = new IndexCache(scratch.path, createCipher(newMasterKey()))
    await cache.write(NAME, [listing])
    const file = scratch.join('decoded-index', NAME)
    const intact = readFileSync(file)
    for (let at = 0; at < intact.length; at++) {
      const damaged = Buffer.from(intact)
      damaged[at]! ^= 1
      // The nonce is covered by its effect on the authentication code.
      writeFileSync(file, damaged)
      expect(await cache.read(NAME), `byte ${at}`).toBeUndefined()
    }
    for (const length of [0, 31, 32, intact.length - 1]) {
      writeFileSync(file, intact.subarray(0, length))
      const read = await cache.read(NAME)
      expect(read ?? [], `${length} bytes`).toEqual([])
    }
  })

  test('drops what no longer exists', async () => {
    using scratch = scratchFolder()
    const cache = new IndexCache(scratch.path, createCipher(newMasterKey()))
    await cache.retain(new Set())
    for (const name of [NAME, 'd'.repeat(64)]) await cache.write(name, [listing])
    writeFileSync(scratch.join('decoded-index', 'unrelated'), '')
    await cache.retain(new Set([NAME]))
    expect(readdirSync(scratch.join('decoded-index')).sort()).toEqual([NAME, 'unrelated'])
  })

  test('makes no difference to what a repository knows, whole, damaged or forbidden', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('repository')
    const cacheDirectory = scratch.join('cache')
    const made = await newRepository(path)
    const writer = new BlobWriter(made)
    const { id } = await writer.save('data', new Uint8Array(1000))
    await writer.flush()
    const place = made.index.find('data', id)
    const first = await reopen(path, { cacheDirectory })
    const folder = `${cacheDirectory}/${first.config.id}/decoded-index`
    expect(readdirSync(folder)).toEqual([...first.loadedIndexes])
    expect((await reopen(path, { cacheDirectory })).index.find('data', id)).toEqual(place)
    for (const name of readdirSync(folder)) writeFileSync(`${folder}/${name}`, 'damaged')
    expect((await reopen(path, { cacheDirectory })).index.find('data', id)).toEqual(place)
    chmodSync(folder, 0)
    expect((await reopen(path, { cacheDirectory })).index.find('data', id)).toEqual(place)
    chmodSync(folder, 0o700)
  })
})
