import { Long, MongoClient, Timestamp } from 'mongodb'
import { expect, test } from 'vitest'
import { doc, type ScriptedMongo, startScriptedMongo } from './scripted.ts'

async function connect(server: ScriptedMongo): Promise<MongoClient> {
  return await new MongoClient(server.url, { serverSelectionTimeoutMS: 5000 }).connect()
}

type Entry = Readonly<Record<string, unknown>>

async function oplogOf(client: MongoClient, ns = /^shop\./): Promise<readonly Entry[]> {
  const all = await client.db('local').collection('oplog.rs').find().toArray()
  return all.filter((entry) => ns.test(String(entry.ns)))
}

test('the oplog has an entry for all that happens', async () => {
  await using server = await startScriptedMongo({ replicaSet: 'rs0' })
  await using client = await connect(server)
  const db = client.db('shop')
  await db.createCollection('a', { capped: false })
  await db.collection('a').createIndex({ x: 1 })
  await db.collection<{ _id: number }>('a').insertOne({ _id: 1, x: 1, deep: { list: [1, 2, 3], y: 1 } } as never)
  await db
    .collection<{ _id: number }>('a')
    .updateOne({ _id: 1 }, { $set: { 'deep.list.1': 9, z: 1 }, $unset: { x: 1 } })
  await db.collection<{ _id: number }>('a').replaceOne({ _id: 1 }, { w: 1 } as never)
  await db.collection('a').createIndex({ w: 1 })
  await db.collection('a').dropIndex('w_1')
  await db.collection('a').rename('b')
  await db.collection<{ _id: number }>('b').deleteOne({ _id: 1 })
  await db.command({ collMod: 'b', validationLevel: 'off' })
  await db.collection('b').drop()
  const entries = await oplogOf(client)
  const idIndex = { v: 2, key: { _id: 1 }, name: '_id_' }
  expect(entries.map(({ op, o, o2 }) => ({ op, o, ...(o2 !== undefined && { o2 }) }))).toEqual([
    { op: 'c', o: { create: 'a', idIndex } },
    { op: 'c', o: { createIndexes: 'a', v: 2, key: { x: 1 }, name: 'x_1' } },
    { op: 'i', o: { _id: 1, x: 1, deep: { list: [1, 2, 3], y: 1 } }, o2: { _id: 1 } },
    {
      op: 'u',
      o: { $v: 2, diff: { d: { x: false }, i: { z: 1 }, sdeep: { slist: { a: true, u1: 9 } } } },
      o2: { _id: 1 },
    },
    { op: 'u', o: { _id: 1, w: 1 }, o2: { _id: 1 } },
    {
      op: 'c',
      o: { startIndexBuild: 'a', indexBuildUUID: expect.anything(), indexes: [{ v: 2, key: { w: 1 }, name: 'w_1' }] },
    },
    {
      op: 'c',
      o: { commitIndexBuild: 'a', indexBuildUUID: expect.anything(), indexes: [{ v: 2, key: { w: 1 }, name: 'w_1' }] },
    },
    { op: 'c', o: { dropIndexes: 'a', index: 'w_1' }, o2: { v: 2, key: { w: 1 }, name: 'w_1' } },
    { op: 'c', o: { renameCollection: 'shop.a', to: 'shop.b', stayTemp: false }, o2: { numRecords: 0 } },
    { op: 'd', o: { _id: 1 } },
    { op: 'c', o: { collMod: 'b', validationLevel: 'off' }, o2: { collectionOptions_old: {} } },
    { op: 'c', o: { drop: 'b' }, o2: { numRecords: 0 } },
  ])
  const times = entries.map(({ ts }) => (ts as Timestamp).toBigInt())
  expect(times).toEqual([...times].sort((a, b) => (a < b ? -1 : 1)))
})

test('a tailable cursor on the oplog waits for what comes, and says when it was overtaken', async () => {
  await using server = await startScriptedMongo({ replicaSet: 'rs0' })
  await using client = await connect(server)
  const from = server.data.clock.last
  const cursor = client
    .db('local')
    .collection('oplog.rs')
    .find({ ts: { $gte: new Timestamp(from) } }, { tailable: true, awaitData: true, maxAwaitTimeMS: 2000 })
  expect(await cursor.next()).toMatchObject({ op: 'n' })
  const next = cursor.next()
  await client.db('shop').collection('a').insertOne({ n: 1 })
  expect(await next).toMatchObject({ op: 'c' })
  expect(await cursor.next()).toMatchObject({ op: 'i', ns: 'shop.a' })
  await client.db('shop').collection('a').insertOne({ n: 2 })
  server.data.oplog!.rollOver(1)
  expect(await client.db('local').collection('oplog.rs').countDocuments()).toBe(1)
  await expect(cursor.next()).rejects.toMatchObject({ code: 136 })
})

test('a snapshot shows one moment until it is too old', async () => {
  await using server = await startScriptedMongo({ replicaSet: 'rs0' })
  await using client = await connect(server)
  const db = client.db('shop')
  const a = db.collection<{ _id: number; v: number }>('a')
  await a.insertMany(Array.from({ length: 300 }, (_, n) => ({ _id: n, v: 1 })))
  const first = await db.command({ find: 'a', batchSize: 10, readConcern: { level: 'snapshot' } })
  const { atClusterTime, id } = first.cursor as { atClusterTime: Timestamp; id: Long }
  await a.updateMany({}, { $set: { v: 2 } })
  await a.deleteMany({ _id: { $gt: 100 } })
  await a.insertOne({ _id: 1000, v: 2 })
  const rest = await db.command({ getMore: id, collection: 'a' })
  expect(rest.cursor.nextBatch).toHaveLength(290)
  expect(rest.cursor.nextBatch.every(({ v }: { v: number }) => v === 1)).toBe(true)
  const readConcern = { level: 'snapshot', atClusterTime }
  expect(await db.command({ find: 'a', filter: { _id: 200 }, readConcern })).toMatchObject({
    cursor: { firstBatch: [{ _id: 200, v: 1 }], atClusterTime },
  })
  const open = await db.command({ find: 'a', batchSize: 10, readConcern })
  server.expireSnapshots()
  await expect(db.command({ find: 'a', readConcern })).rejects.toMatchObject({ code: 239 })
  await expect(db.command({ getMore: open.cursor.id, collection: 'a' })).rejects.toMatchObject({ code: 239 })
  await a.drop()
  await expect(db.command({ getMore: open.cursor.id, collection: 'a' })).rejects.toMatchObject({ code: 43 })
})

test('before 7.0 a snapshot cannot look behind changes of the catalog', async () => {
  await using server = await startScriptedMongo({ replicaSet: 'rs0', version: '6.0.21' })
  await using client = await connect(server)
  const db = client.db('shop')
  await db.createCollection('a')
  const readConcern = { level: 'snapshot', atClusterTime: new Timestamp(server.data.clock.last) }
  await db.collection('a').createIndex({ x: 1 })
  await expect(db.command({ find: 'a', readConcern })).rejects.toMatchObject({ code: 246 })
})

test('transactions are in the oplog as one entry, as several, or prepared', async () => {
  await using server = await startScriptedMongo({ replicaSet: 'rs0' })
  await using client = await connect(server)
  const a = client.db('shop').collection<{ _id: number; v?: number }>('a')
  await a.insertOne({ _id: 0 })
  await client.withSession((session) =>
    session.withTransaction(async () => {
      await a.insertOne({ _id: 1 }, { session })
      await a.updateOne({ _id: 0 }, { $set: { v: 1 } }, { session })
    }),
  )
  const large = server.beginTransaction()
  large.add('i', 'shop.a', doc({ _id: 2 }))
  large.flush()
  expect(await client.db('config').collection('transactions').findOne({ state: 'inProgress' })).toMatchObject({
    startOpTime: { ts: expect.anything() },
  })
  large.add('i', 'shop.a', doc({ _id: 3 }))
  expect(await a.countDocuments()).toBe(2)
  large.commit()
  const prepared = server.beginTransaction()
  prepared.add('d', 'shop.a', doc({ _id: 0 }))
  const at = prepared.prepare()
  expect(await a.countDocuments()).toBe(4)
  prepared.commit()
  const aborted = server.beginTransaction()
  aborted.add('i', 'shop.a', doc({ _id: 9 }))
  aborted.prepare()
  aborted.abort()
  expect((await a.find().sort({ _id: 1 }).toArray()).map(({ _id }) => _id)).toEqual([1, 2, 3])
  const entries = await oplogOf(client, /^admin\.\$cmd$/)
  expect(
    entries.map(({ o, prevOpTime }) => ({
      o,
      isFirst: (prevOpTime as { t: unknown }).t !== undefined && Number((prevOpTime as { t: unknown }).t) === -1,
    })),
  ).toMatchObject([
    {
      o: {
        applyOps: [
          { op: 'i', o: { _id: 1 } },
          { op: 'u', o2: { _id: 0 } },
        ],
      },
      isFirst: true,
    },
    { o: { applyOps: [{ op: 'i', o: { _id: 2 } }], partialTxn: true }, isFirst: true },
    { o: { applyOps: [{ op: 'i', o: { _id: 3 } }], count: 2 }, isFirst: false },
    { o: { applyOps: [{ op: 'd' }], prepare: true }, isFirst: true },
    { o: { commitTransaction: 1, commitTimestamp: new Timestamp(at) }, isFirst: false },
    { o: { applyOps: [{ op: 'i' }], prepare: true }, isFirst: true },
    { o: { abortTransaction: 1 }, isFirst: false },
  ])
})

test('applyOps does what entries say, and is strict where servers are', async () => {
  await using server = await startScriptedMongo({ replicaSet: 'rs0', version: '8.0.6' })
  await using client = await connect(server)
  const admin = client.db('admin')
  const db = client.db('shop')
  await db.createCollection('a')
  const entry = { ns: 'shop.a', ts: new Timestamp(1n), t: Long.fromNumber(1), v: Long.fromNumber(2), wall: new Date() }
  await admin.command({
    applyOps: [
      { ...entry, op: 'i', o: { _id: 1, x: { y: 1 } } },
      { ...entry, op: 'u', o: { $v: 2, diff: { sx: { u: { y: 2 } }, i: { z: 3 } } }, o2: { _id: 1 } },
      { ...entry, op: 'd', o: { _id: 7 } },
      { ...entry, op: 'u', b: true, o: { $v: 2, diff: { i: { up: 1 } } }, o2: { _id: 8 } },
    ],
  })
  expect(await db.collection('a').find().toArray()).toEqual([
    { _id: 1, x: { y: 2 }, z: 3 },
    { _id: 8, up: 1 },
  ])
  const update = { ...entry, op: 'u', o: { $v: 2, diff: { i: { a: 1 } } }, o2: { _id: 99 } }
  await expect(admin.command({ applyOps: [update] })).rejects.toMatchObject({ code: 218 })
  await expect(
    admin.command({
      applyOps: [{ op: 'c', ns: 'shop.$cmd', o: { createIndexes: 'a', v: 2, key: { a: 1 }, name: 'a' } }],
    }),
  ).rejects.toMatchObject({ code: 72 })
  await admin.command({ applyOps: [{ op: 'c', ns: 'shop.$cmd', o: { renameCollection: 'shop.a', to: 'shop.b' } }] })
  expect(await db.collection('b').countDocuments()).toBe(2)
  await db.collection('b').insertMany([{ n: 1 }, { n: 2 }])
  expect((await oplogOf(client, /^admin\./)).at(-1)).toMatchObject({
    multiOpType: 1,
    o: { applyOps: [{ op: 'i' }, { op: 'i' }] },
  })
})

test('a set has members with roles, and elections', async () => {
  await using primary = await startScriptedMongo({ replicaSet: 'rs0' })
  await using secondary = await startScriptedMongo({ memberOf: primary })
  await using hidden = await startScriptedMongo({ memberOf: primary, isHidden: true })
  await using arbiter = await startScriptedMongo({ memberOf: primary, role: 'arbiter' })
  await using client = await new MongoClient(primary.setUrl, { serverSelectionTimeoutMS: 5000 }).connect()
  const a = client.db('shop').collection('a')
  await a.insertOne({ n: 1 })
  expect(await a.find({}, { readPreference: 'secondary' }).toArray()).toHaveLength(1)
  const { config } = await client.db('admin').command({ replSetGetConfig: 1 })
  expect(config.members).toMatchObject([
    { host: `127.0.0.1:${primary.port}`, hidden: false },
    { host: `127.0.0.1:${secondary.port}`, hidden: false },
    { host: `127.0.0.1:${hidden.port}`, hidden: true, priority: 0 },
    { host: `127.0.0.1:${arbiter.port}`, arbiterOnly: true },
  ])
  primary.elect('secondary')
  secondary.elect('primary')
  await a.insertOne({ n: 2 })
  expect(secondary.faults.commands).toContain('insert')
  await using direct = await connect(primary)
  await expect(direct.db('shop').collection('a').insertOne({}, {})).rejects.toMatchObject({ code: 10_107 })
  expect(await direct.db('admin').command({ hello: 1 })).toMatchObject({ secondary: true, isWritablePrimary: false })
})

test('a router says that it is one', async () => {
  await using router = await startScriptedMongo({ role: 'mongos' })
  await using client = await connect(router)
  expect(await client.db('admin').command({ hello: 1 })).toMatchObject({ msg: 'isdbgrid' })
  await expect(client.db('admin').command({ applyOps: [] })).rejects.toMatchObject({ code: 59 })
})
