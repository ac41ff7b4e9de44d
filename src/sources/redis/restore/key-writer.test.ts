import { describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import {
  databasesOf,
  fillWithEveryType,
  readRdbFile,
  saved,
  startRedis,
} from '../../../../test/support/servers/redis.ts'
import { redisSnapshot } from '../../../../test/support/servers/redis-source.ts'
import { noise } from '../../../../test/support/storage-victims.ts'
import { memoryRepository } from '../../../../test/support/test-repository.ts'
import { RedisClient } from '../client.ts'
import { selectionOf } from '../selection.ts'
import { openSnapshot } from '../snapshot.ts'
import { survey } from '../survey.ts'
import { KeyTarget } from './key-target.ts'
import { writeKeys } from './key-writer.ts'

describe.skipIf(lacks('redis-server'))('keys that are written one by one', () => {
  test('arrive whatever pieces the file comes in, many at a time', async () => {
    const server = await startRedis()
    const target = await startRedis()
    try {
      await fillWithEveryType(server)
      await server.command('DEBUG', 'POPULATE', '8000', 'key', '40')
      for (let i = 0; i < 3; i++) await server.command('SET', `long:${i}`, noise(i, 1_200_000 + i))
      const repository = await memoryRepository()
      const snapshot = await openSnapshot(repository, await redisSnapshot(repository, { url: server.url }))
      const selection = selectionOf({ include: [], exclude: [], rename: [] })
      const found = await survey(snapshot, selection)
      const file = Buffer.concat(await Array.fromAsync(snapshot.rdb()))
      using client = await RedisClient.connect({ address: { path: target.socket } })
      for (const size of [4099, 100_003, file.length]) {
        const pieces = async function* (): AsyncGenerator<Uint8Array> {
          for (let at = 0; at < file.length; at += size) yield file.subarray(at, at + size)
        }
        const errors: string[] = []
        const server = { kind: 'redis', version: '7.0.0' } as const
        const to = new KeyTarget({ client, server, format: found.summary, replace: true })
        const written = await writeKeys({
          targets: [to],
          targetOf: () => to,
          rdb: pieces(),
          selection,
          survey: found,
          now: 0n,
          observer: { onProgress: () => undefined, onError: (item, error) => errors.push(`${item}: ${error.message}`) },
        })
        expect(errors).toEqual([])
        expect(written).toMatchObject({ keys: found.keys, errors: 0, expired: 0 })
        expect(databasesOf(readRdbFile(await saved(target)).entries)).toEqual(databasesOf(readRdbFile(file).entries))
      }
    } finally {
      await server.stop()
      await target.stop()
    }
  })
})
