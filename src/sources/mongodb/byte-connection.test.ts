import { MongoClient } from 'mongodb'
import { expect, test } from 'vitest'
import { startScriptedMongo } from '../../../test/support/servers/mongo/scripted.ts'
import { unpackArray } from './bson/batch.ts'
import { MongoConnection } from './connection.ts'
import { readCursor } from './cursor.ts'
import { type MongoEndpoint, parseMongoUrl } from './endpoint.ts'

test('large replies come into the memory of those before, once it is given back', async () => {
  await using server = await startScriptedMongo()
  await using client = await new MongoClient(server.url).connect()
  const text = 'x'.repeat(2000)
  await client
    .db('shop')
    .collection<{ _id: number; text: string }>('a')
    .insertMany(Array.from({ length: 500 }, (_, i) => ({ _id: i, text })))
  await using connection = await MongoConnection.open({
    endpoint: parseMongoUrl(server.url) as MongoEndpoint,
    password: undefined,
  })
  const read = async (): Promise<Buffer> => await connection.cursor('shop', { find: 'a', batchSize: 500 })
  const first = await read()
  const second = await read()
  expect(second.buffer).not.toBe(first.buffer)
  connection.release(first)
  const third = await read()
  expect(third.buffer).toBe(first.buffer)
  for (const reply of [second, third]) expect(unpackArray(readCursor(reply).batch).count).toBe(500)
})
