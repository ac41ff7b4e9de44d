import { randomBytes } from 'node:crypto'
import { describe, expect, test, vi } from 'vitest'
import { nodesOf } from '../../../test/support/stored-nodes.ts'
import { memoryRepository, plainOptions } from '../../../test/support/test-repository.ts'
import { backupEntries } from '../../engine/archive/entries-backup.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import type { Id } from '../../lib/id.ts'
import { storedContent } from './stored-content.ts'

const content = randomBytes(3_000_000)

async function storeFile(): Promise<{ readonly repository: Repository; readonly ids: readonly Id[] }> {
  const repository = await memoryRepository()
  const options = plainOptions(repository)
  const { time: mtime, uid, gid } = options.labels
  const { tree } = await backupEntries(repository, {
    ...options,
    paths: ['/a'],
    write: async (entries) => {
      const input = (async function* () {
        yield content
      })()
      await entries.file('/a', { mode: 0o600, mtime, uid, gid }, input, { kind: 'content', averageBytes: 64 * 1024 })
    },
  })
  return { repository, ids: (await nodesOf(repository, tree)).get('/a')!.content! }
}

const read = async (repository: Repository, ids: readonly Id[], signal?: AbortSignal): Promise<readonly Buffer[]> =>
  await Array.fromAsync(storedContent(repository, ids, signal), (piece) => Buffer.from(piece))

describe('the content of a stored file', () => {
  test('comes in few pieces, also when its blobs lie in another order or come again', async () => {
    const { repository, ids } = await storeFile()
    using gets = vi.spyOn(repository.storage, 'get')
    expect(Buffer.concat(await read(repository, ids)).equals(content)).toBe(true)
    expect(gets.mock.calls.length).toBeLessThan(ids.length / 4)
    const mixed = [...ids.toReversed(), ids[0]!, ids[0]!, ids[1]!]
    const blobs = await Promise.all(mixed.map((id) => repository.loadBlob('data', id)))
    expect(Buffer.concat(await read(repository, mixed)).equals(Buffer.concat(blobs))).toBe(true)
    expect(await read(repository, [])).toEqual([])
  })

  test('is nothing else than what was stored: a damaged blob is named', async () => {
    const { repository, ids } = await storeFile()
    const wanted = repository.index.findAll('data', ids[3]!)
    const { pack, offset } = [...wanted][0]!
    await expect(read(repository, [...ids, 'f'.repeat(64)])).rejects.toMatchObject({ code: 'HF_BLOB_NOT_FOUND' })
    await expect(read(repository, ids, AbortSignal.abort())).rejects.toMatchObject({ code: 'HF_INTERRUPTED' })
    const get = repository.storage.get.bind(repository.storage)
    using _ = vi.spyOn(repository.storage, 'get').mockImplementation(async (file, range, options) => {
      const bytes = Uint8Array.from(await get(file, range, options))
      const at = offset + 20 - (range?.offset ?? 0)
      if (file.kind === 'data' && file.name === pack && at >= 0 && at < bytes.length) bytes[at]! ^= 1
      return bytes
    })
    await expect(read(repository, ids)).rejects.toMatchObject({
      code: 'HF_PACK_DAMAGED',
      message: expect.stringContaining(ids[3]!),
    })
  })
})
