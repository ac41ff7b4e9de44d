import { Binary, BSON, Double, Int32, Long, MongoClient, ObjectId, Timestamp } from 'mongodb'
import { expect, test } from 'vitest'
import { type ScriptedMongo, startScriptedMongo } from './scripted.ts'

async function connect(server: ScriptedMongo): Promise<MongoClient> {
  return await new MongoClient(server.url, { serverSelectionTimeoutMS: 5000 }).connect()
}

test('documents come back with the bytes they went in with', async () => {
  await using server = await startScriptedMongo()
  await using client = await connect(server)
  const db = client.db('shop')
  const id = new ObjectId()
  await db.collection('odd').insertOne({
    _id: id,
    int: new Int32(1),
    long: Long.fromNumber(2),
    double: new Double(3),
    date: new Date(0),
    ts: new Timestamp({ t: 1, i: 2 }),
    binary: new Binary(Buffer.from('x'), 5),
    nested: { a: [1, 'two', null, { b: true }] },
  })
  const raw = await db.collection('odd').find({}, { raw: true }).toArray()
  expect(BSON.deserialize(raw[0] as unknown as Buffer, { promoteValues: false })).toMatchObject({
    _id: id,
    long: Long.fromNumber(2),
    binary: new Binary(Buffer.from('x'), 5),
  })
  expect(await db.listCollections().toArray()).toMatchObject([{ name: 'odd', type: 'collection', options: {} }])
  expect(await db.collection('odd').indexes()).toEqual([{ v: 2, key: { _id: 1 }, name: '_id_' }])
})

test('cursors give all documents in batches, and are gone when killed', async () => {
  await using server = await startScriptedMongo({ replicaSet: 'rs0' })
  await using client = await connect(server)
  const collection = client.db('shop').collection<{ _id: number }>('many')
  await collection.insertMany(Array.from({ length: 1000 }, (_, n) => ({ _id: (n * 7) % 1000 })))
  const natural = await collection.find({}, { batchSize: 10 }).toArray()
  expect(natural.map(({ _id }) => _id).slice(0, 3)).toEqual([0, 7, 14])
  const ordered = await collection.find({ _id: { $gte: 10, $lt: 20 } }, { hint: { _id: 1 } }).toArray()
  expect(ordered.map(({ _id }) => _id)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
  const cursor = collection.find({}, { batchSize: 10 })
  await cursor.next()
  server.killCursors()
  await expect(cursor.toArray()).rejects.toMatchObject({ code: 43 })
})

test('planned faults hit the commands they are planned for', async () => {
  await using server = await startScriptedMongo()
  await using client = await new MongoClient(server.url, { retryReads: false }).connect()
  const collection = client.db('shop').collection('a')
  await collection.insertMany(Array.from({ length: 50 }, (_, n) => ({ n })))
  server.faults.add({ command: 'getMore', after: 1, times: 1, code: 11_602, message: 'stepping down' })
  const read = (): Promise<unknown[]> => collection.find({}, { batchSize: 10 }).toArray()
  await expect(read()).rejects.toMatchObject({ code: 11_602 })
  expect(await read()).toHaveLength(50)
  server.faults.add({ command: 'find', collection: 'a', times: 1, cut: 'before' })
  await expect(read()).rejects.toThrow(/connection .* closed/)
  expect(await read()).toHaveLength(50)
  server.faults.add({
    command: 'getMore',
    times: 1,
    run: async () => void (await client.db('shop').dropCollection('a')),
  })
  await expect(read()).rejects.toMatchObject({ code: 175 })
  server.faults.add({ command: 'find', times: 1, delayMs: 300 })
  const started = performance.now()
  await read()
  expect(performance.now() - started).toBeGreaterThan(290)
})

test('what is not known is refused', async () => {
  await using server = await startScriptedMongo()
  await using client = await connect(server)
  await expect(client.db('a').command({ fly: 1 })).rejects.toMatchObject({ code: 59 })
  await expect(client.db('a').command({ find: 'b', fly: 1 })).rejects.toMatchObject({ code: 40_415 })
  await expect(
    client
      .db('a')
      .collection('b')
      .find({ a: { $fly: 1 } })
      .toArray(),
  ).rejects.toMatchObject({ code: 2 })
  await expect(client.db('a').collection('b.').insertOne({})).rejects.toThrow()
})

test('idle cursors are gone after ten minutes, and used ones are not', async () => {
  await using server = await startScriptedMongo()
  await using client = await connect(server)
  const db = client.db('shop')
  await db.collection('a').insertMany(Array.from({ length: 10 }, (_, n) => ({ n })))
  const { cursor } = await db.command({ find: 'a', batchSize: 1 })
  const more = { getMore: cursor.id, collection: 'a', batchSize: 1 }
  for (let n = 0; n < 3; n++) {
    server.leaveCursorsIdle(9 * 60_000)
    await db.command(more)
  }
  expect(server.openCursors).toBe(1)
  server.leaveCursorsIdle(11 * 60_000)
  await expect(db.command(more)).rejects.toMatchObject({ code: 43 })
  expect(server.openCursors).toBe(0)
})
