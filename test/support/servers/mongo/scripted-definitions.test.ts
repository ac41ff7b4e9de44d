import { Binary, type Db, MongoClient, Timestamp } from 'mongodb'
import { expect, test } from 'vitest'
import { type ScriptedMongo, startScriptedMongo } from './scripted.ts'

async function connect(server: ScriptedMongo): Promise<MongoClient> {
  return await new MongoClient(server.url, { serverSelectionTimeoutMS: 5000 }).connect()
}

async function collectionsOf(db: Db): Promise<ReadonlyMap<string, Readonly<Record<string, unknown>>>> {
  const all = await db.listCollections().toArray()
  return new Map(all.map((entry) => [entry.name, entry as Readonly<Record<string, unknown>>]))
}

test('options of collections are shown as servers complete them', async () => {
  await using server = await startScriptedMongo()
  await using client = await connect(server)
  const db = client.db('shop')
  await db.createCollection('log', { capped: true, size: 4096, max: 2 })
  await db.createCollection('names', { collation: { locale: 'de', strength: 2 } })
  await db.createCollection('strict', { validator: { $jsonSchema: { required: ['a'] } } })
  await db.createCollection('ordered', { clusteredIndex: { key: { _id: 1 }, unique: true } })
  await db.createCollection('weather', { timeseries: { timeField: 'at', metaField: 'sensor' }, expireAfterSeconds: 60 })
  await db.createCollection('red', { viewOn: 'names', pipeline: [{ $match: { colour: 'red' } }] })
  const all = await collectionsOf(db)
  expect([...all.keys()].sort()).toEqual(
    ['log', 'names', 'ordered', 'red', 'strict', 'system.buckets.weather', 'system.views', 'weather'].sort(),
  )
  expect(all.get('log')).toMatchObject({ options: { capped: true, size: 4096, max: 2 }, info: { readOnly: false } })
  expect((all.get('log')!.info as { uuid: Binary }).uuid.sub_type).toBe(Binary.SUBTYPE_UUID)
  expect(all.get('names')).toMatchObject({
    options: { collation: { locale: 'de', strength: 2, version: '57.1', caseLevel: false } },
    idIndex: { key: { _id: 1 }, collation: { locale: 'de' } },
  })
  expect(all.get('strict')).toMatchObject({ options: { validationLevel: 'strict', validationAction: 'error' } })
  expect(all.get('ordered')).toEqual(expect.not.objectContaining({ idIndex: expect.anything() }))
  expect(all.get('weather')).toMatchObject({
    type: 'timeseries',
    options: { timeseries: { granularity: 'seconds', bucketMaxSpanSeconds: 3600 }, expireAfterSeconds: 60 },
  })
  expect(all.get('red')).toMatchObject({ type: 'view', info: { readOnly: true } })

  await db.collection('log').insertMany([{ n: 1 }, { n: 2 }, { n: 3 }])
  expect((await db.collection('log').find().toArray()).map(({ n }) => n)).toEqual([2, 3])
  await expect(db.collection('strict').insertOne({ b: 1 })).rejects.toMatchObject({ code: 121 })
  await db.collection('strict').insertOne({ b: 1 }, { bypassDocumentValidation: true })
  await db.collection('names').insertMany([{ colour: 'red' }, { colour: 'blue' }])
  expect(await db.collection('red').countDocuments()).toBe(1)
  await db.collection('weather').insertMany([
    { at: new Date(60_000), sensor: 'a', t: 1 },
    { at: new Date(61_000), sensor: 'a', t: 2 },
  ])
  expect(await db.collection('system.buckets.weather').countDocuments()).toBe(1)
  expect((await db.collection('weather').find().toArray()).map(({ t }) => t)).toEqual([1, 2])
  await db.collection('weather').drop()
  expect([...(await collectionsOf(db)).keys()]).not.toContain('system.buckets.weather')
  await expect(db.command({ create: 'x', colour: 'red' })).rejects.toMatchObject({ code: 40_415 })
  await expect(db.createCollection('log', { capped: true, size: 8192 })).rejects.toMatchObject({ code: 48 })
})

test('indexes keep their options, and hold what is unique', async () => {
  await using server = await startScriptedMongo()
  await using client = await connect(server)
  const db = client.db('shop')
  const people = db.collection('people')
  await people.createIndexes([
    { key: { email: 1 }, name: 'email', unique: true, sparse: true },
    { key: { seen: -1 }, name: 'seen', expireAfterSeconds: 60, hidden: true },
    { key: { name: 1 }, name: 'name', collation: { locale: 'fr' }, partialFilterExpression: { age: { $gt: 1 } } },
    { key: { place: '2dsphere' }, name: 'place' },
    { key: { text: 'text', title: 'text' }, name: 'words', weights: { title: 3, text: 1 } },
    { key: { '$**': 1 }, name: 'all', wildcardProjection: { a: 1 } },
    { key: { h: 'hashed' }, name: 'h' },
  ])
  expect(await people.indexes()).toEqual([
    { v: 2, key: { _id: 1 }, name: '_id_' },
    { v: 2, key: { email: 1 }, name: 'email', unique: true, sparse: true },
    { v: 2, key: { seen: -1 }, name: 'seen', expireAfterSeconds: 60, hidden: true },
    {
      v: 2,
      key: { name: 1 },
      name: 'name',
      partialFilterExpression: { age: { $gt: 1 } },
      collation: expect.objectContaining({ locale: 'fr', version: '57.1' }),
    },
    { v: 2, key: { place: '2dsphere' }, name: 'place', '2dsphereIndexVersion': 3 },
    {
      v: 2,
      key: { _fts: 'text', _ftsx: 1 },
      name: 'words',
      weights: { title: 3, text: 1 },
      default_language: 'english',
      language_override: 'language',
      textIndexVersion: 3,
    },
    { v: 2, key: { '$**': 1 }, name: 'all', wildcardProjection: { a: 1 } },
    { v: 2, key: { h: 'hashed' }, name: 'h' },
  ])
  await people.insertMany([{ _id: 1 as never, email: 'a' }, { email: 'b' }, { none: 1 }, { none: 2 }])
  const failed = await people
    .insertMany([{ _id: 1 as never }, { email: 'a' }, { email: 'c' }], { ordered: false })
    .catch((error: unknown) => error)
  expect(failed).toMatchObject({ code: 11_000, writeErrors: [{ index: 0 }, { index: 1 }], insertedCount: 1 })
  await expect(people.createIndex({ other: 1 }, { name: 'email' })).rejects.toMatchObject({ code: 86 })
  await expect(
    db.command({ createIndexes: 'people', indexes: [{ key: { a: 1 }, name: 'a', odd: 1 }] }),
  ).rejects.toMatchObject({ code: 197 })
  await db.command({ collMod: 'people', index: { name: 'seen', hidden: false } })
  expect((await people.indexes()).find(({ name }) => name === 'seen')).not.toHaveProperty('hidden')
  await people.dropIndex('seen')
  await expect(people.dropIndex('seen')).rejects.toMatchObject({ code: 27 })
})

test('empty timestamps are replaced unless the server knows how not to', async () => {
  await using old = await startScriptedMongo({ version: '6.0.10' })
  await using now = await startScriptedMongo({ version: '8.0.6' })
  await using oldClient = await connect(old)
  await using client = await connect(now)
  const insert = { insert: 'a', documents: [{ _id: 1, at: new Timestamp(0n) }] }
  await expect(oldClient.db('x').command({ ...insert, bypassEmptyTsReplacement: true })).rejects.toMatchObject({
    code: 40_415,
  })
  await oldClient.db('x').command(insert)
  expect((await oldClient.db('x').collection('a').findOne())!.at.isZero()).toBe(false)
  await client.db('x').command({ ...insert, bypassEmptyTsReplacement: true })
  expect((await client.db('x').collection('a').findOne())!.at.isZero()).toBe(true)
})

test('aggregations, distinct values and updates', async () => {
  await using server = await startScriptedMongo()
  await using client = await connect(server)
  const orders = client.db('shop').collection<{ _id: number; sum: number; state: string }>('orders')
  await orders.insertMany(
    Array.from({ length: 100 }, (_, n) => ({ _id: n, sum: n, state: n % 4 === 0 ? 'new' : 'done' })),
  )
  const groups = await orders
    .aggregate([
      { $match: { sum: { $gte: 50 } } },
      { $group: { _id: '$state', n: { $sum: 1 }, most: { $max: '$sum' } } },
      { $sort: { n: 1 } },
    ])
    .toArray()
  expect(groups).toEqual([
    { _id: 'new', n: 12, most: 96 },
    { _id: 'done', n: 38, most: 99 },
  ])
  const buckets = await orders.aggregate([{ $bucketAuto: { groupBy: '$_id', buckets: 4 } }]).toArray()
  expect(buckets.map(({ count }) => count)).toEqual([25, 25, 25, 25])
  expect(await orders.distinct('state')).toEqual(['new', 'done'])
  expect(await orders.estimatedDocumentCount()).toBe(100)
  expect(await orders.updateMany({ state: 'new' }, { $set: { 'deep.er': 1 }, $inc: { sum: 1000 } })).toMatchObject({
    matchedCount: 25,
    modifiedCount: 25,
  })
  expect(await orders.findOne({ _id: 4 })).toEqual({ _id: 4, sum: 1004, state: 'new', deep: { er: 1 } })
  expect(await orders.replaceOne({ _id: 200 }, { sum: 1, state: 'x' }, { upsert: true })).toMatchObject({
    upsertedId: 200,
  })
  expect((await orders.deleteMany({ sum: { $lt: 50 } })).deletedCount).toBe(38)
})
