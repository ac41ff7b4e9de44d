import { Binary, BSON, Decimal128, Double, Int32, Long, ObjectId, Timestamp } from 'mongodb'
import { expect, test } from 'vitest'
import { startScriptedMongo } from '../../../test/support/servers/mongo/scripted.ts'
import {
  decoded,
  idsOf,
  mongoSource,
  numbered,
  startMongoStage,
  takeBackup,
} from '../../../test/support/servers/mongo-source.ts'

test('a standalone is dumped as mongodump does it, with each byte as it was', async () => {
  await using stage = await startMongoStage()
  const { client, server } = stage
  const shop = client.db('shop')
  await shop.collection('odd').insertOne({
    _id: new ObjectId(),
    z: new Int32(1),
    10: new Double(3),
    2: Long.fromNumber(2),
    decimal: Decimal128.fromString('1.10'),
    stamp: new Timestamp({ t: 0, i: 0 }),
    binary: new Binary(Buffer.from('x'), 5),
    nested: [1, { a: /x/gi }, null],
  })
  await shop.collection<{ _id: number }>('we ird/näme+%').insertMany(numbered(3))
  await shop.createCollection('capped', { capped: true, size: 4096 })
  await shop.createIndex('odd', { z: 1 }, { name: 'hidden', hidden: true })
  const stored = (await shop.collection('odd').find({}, { raw: true }).toArray())[0] as unknown as Buffer
  const { backup, manifest, warnings, paths, read } = await takeBackup(mongoSource({ url: server.url }), {
    require: ['shop.odd'],
  })
  expect(paths.filter((path) => path.startsWith('shop/')).sort()).toEqual([
    'shop/capped.bson',
    'shop/capped.metadata.json',
    'shop/odd.bson',
    'shop/odd.metadata.json',
    'shop/we+ird%2Fn%C3%A4me%2B%25.bson',
    'shop/we+ird%2Fn%C3%A4me%2B%25.metadata.json',
  ])
  expect((await read('shop/odd.bson')).equals(stored)).toBe(true)
  expect(idsOf(await read('shop/we+ird%2Fn%C3%A4me%2B%25.bson'))).toEqual([0, 1, 2])
  const metadata = BSON.EJSON.parse(String(await read('shop/odd.metadata.json')), { relaxed: false })
  expect(metadata).toMatchObject({
    collectionName: 'odd',
    type: 'collection',
    indexes: [{ name: '_id_' }, { name: 'hidden', hidden: true }],
  })
  expect(manifest).toMatchObject({ consistency: 'none', server: { version: '7.0.18', topology: 'standalone' } })
  expect(manifest.collections.find(({ collection }) => collection === 'capped')?.data).toMatchObject({
    order: 'natural',
    documents: 0,
  })
  expect(warnings).toEqual([])
  expect(backup).toMatchObject({ type: 'full', point: undefined })
})

test('a replica set is dumped as of one moment by snapshot reads', async () => {
  await using stage = await startMongoStage({ replicaSet: 'rs0' })
  const { client, server } = stage
  const shop = client.db('shop')
  await shop.collection<{ _id: number }>('a').insertMany(numbered(2500))
  await shop.collection<{ _id: number }>('b').insertMany(numbered(10))
  // Written while the dump runs: none of it may be there.
  server.faults.add({
    command: 'getMore',
    collection: 'a',
    times: 1,
    run: async () => void (await shop.collection<{ _id: number }>('b').insertOne({ _id: 99 })),
  })
  const { backup, manifest, read, paths } = await takeBackup(mongoSource({ url: server.url, jobs: 1 }))
  expect(manifest.consistency).toBe('snapshot')
  expect(idsOf(await read('shop/a.bson'))).toHaveLength(2500)
  expect(idsOf(await read('shop/b.bson'))).toHaveLength(10)
  expect(paths).not.toContain('oplog.bson')
  expect(manifest.end?.time).toBe(backup.point)
  expect(manifest.start?.time).toMatch(/^\d+:\d+$/)
})

test('a lost moment is made up for by the oplog of the rest of the dump', async () => {
  await using stage = await startMongoStage({ replicaSet: 'rs0' })
  const { client, server } = stage
  const a = client.db('shop').collection<{ _id: number; text?: string }>('a')
  await a.insertMany(numbered(4000))
  server.faults.add({
    command: 'getMore',
    collection: 'a',
    times: 1,
    run: async () => {
      server.expireSnapshots()
      await a.deleteOne({ _id: 1 })
      await a.insertOne({ _id: 5000 })
    },
  })
  const { manifest, read } = await takeBackup(mongoSource({ url: server.url }))
  expect(manifest).toMatchObject({
    consistency: 'oplog',
    consistencyReason: expect.stringContaining('lost the moment'),
  })
  const ids = idsOf(await read('shop/a.bson'))
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids).toContain(5000)
  const oplog = decoded(await read('oplog.bson'))
  expect(oplog.map(({ op }) => op)).toEqual(expect.arrayContaining(['d', 'i']))
  expect(manifest.oplog).toMatchObject({ entries: oplog.length })
})

test('with consistency: oplog, everything written meanwhile is in the oplog up to the end', async () => {
  await using stage = await startMongoStage({ replicaSet: 'rs0' })
  const { client, server } = stage
  const a = client.db('shop').collection<{ _id: number; text?: string }>('a')
  await a.insertMany(numbered(3000))
  server.faults.add({
    command: 'getMore',
    collection: 'a',
    times: 1,
    run: async () => {
      await a.updateOne({ _id: 2999 }, { $set: { text: 'new' } })
      await client.db('other').collection<{ _id: number }>('x').insertOne({ _id: 1 })
    },
  })
  const { manifest, read } = await takeBackup(
    mongoSource({ url: server.url, consistency: 'oplog', databases: ['shop'] }),
  )
  const oplog = decoded(await read('oplog.bson'))
  expect(oplog.map(({ ns }) => ns)).not.toContain('other.x')
  expect(oplog.at(-1)).toMatchObject({ op: 'u', ns: 'shop.a', o2: { _id: 2999 } })
  expect(manifest.end).toBeDefined()
  expect(manifest.isWhole).toBe(false)
})

test('a cursor that is killed, a cut connection and an election do not lose or repeat a document', async () => {
  await using stage = await startMongoStage({ replicaSet: 'rs0' })
  const { client, server } = stage
  const mixed = client.db('shop').collection<{ _id: unknown; text: string }>('mixed')
  const ids = [
    ...Array.from({ length: 1500 }, (_, n) => n),
    ...Array.from({ length: 1500 }, (_, n) => `s${n}`),
    null,
    Number.NaN,
  ]
  await mixed.insertMany(ids.map((_id) => ({ _id, text: 'x'.repeat(3000) })))
  server.faults.add({ command: 'getMore', collection: 'mixed', times: 1, code: 43 })
  server.faults.add({ command: 'getMore', collection: 'mixed', after: 1, times: 1, cut: 'before' })
  server.faults.add({ command: 'find', collection: 'mixed', after: 3, times: 1, code: 11_602 })
  const { read, manifest } = await takeBackup(mongoSource({ url: server.url, consistency: 'oplog' }))
  const found = idsOf(await read('shop/mixed.bson'))
  expect(found).toHaveLength(ids.length)
  expect(new Set(found).size).toBe(ids.length)
  expect(manifest.collections.find(({ collection }) => collection === 'mixed')?.data?.documents).toBe(ids.length)
})

test('a collection renamed while it is read fails the run; one that $out replaces does not', async () => {
  await using stage = await startMongoStage({ replicaSet: 'rs0' })
  const { client, server } = stage
  const shop = client.db('shop')
  await shop.collection<{ _id: number }>('a').insertMany(numbered(3000))
  server.faults.add({
    command: 'getMore',
    collection: 'a',
    times: 1,
    run: async () => void (await shop.renameCollection('a', 'b')),
  })
  await expect(takeBackup(mongoSource({ url: server.url, consistency: 'oplog' }))).rejects.toMatchObject({
    code: 'HF_SOURCE_CHANGED',
    message: expect.stringContaining('shop.a was renamed to shop.b'),
  })
  server.faults.clear()
  server.faults.add({
    command: 'getMore',
    collection: 'b',
    times: 1,
    run: async () => {
      await shop.collection<{ _id: number }>('tmp.out').insertOne({ _id: 1 })
      await shop.renameCollection('tmp.out', 'result', { dropTarget: true })
    },
  })
  const { manifest } = await takeBackup(mongoSource({ url: server.url, consistency: 'oplog' }))
  expect(manifest.oplog!.entries).toBeGreaterThan(1)
})

test('what is excluded is left out, required collections are asked for, and one collection may be filtered', async () => {
  await using stage = await startMongoStage()
  const { client, server } = stage
  for (const name of ['orders', 'audit_1', 'audit_2'])
    await client.db('shop').collection<{ _id: number }>(name).insertMany(numbered(10))
  const source = mongoSource({
    url: server.url,
    databases: ['shop'],
    exclude: ['*.audit_*'],
    query: { 'shop.orders': { _id: { $lt: { $numberInt: '3' } } } },
  })
  const { paths, read, manifest } = await takeBackup(source, { require: ['shop.orders'] })
  expect([...paths].sort()).toEqual(['prelude.json', 'shop/orders.bson', 'shop/orders.metadata.json'])
  expect(idsOf(await read('shop/orders.bson'))).toEqual([0, 1, 2])
  expect(manifest.collections[0]?.query).toContain('$lt')
  const misspelt = { url: server.url, databases: ['shop', 'shpo'], include: ['shop.au*', 'shop.orders_old'] }
  const { backup, warnings } = await takeBackup(mongoSource(misspelt))
  expect(backup.result).toMatchObject({ errors: 2 + warnings.filter((text) => !text.includes('names it')).length })
  expect(warnings.filter((text) => text.includes('names it'))).toEqual([
    'shpo is not there, and the source names it',
    'shop.orders_old is not there, and the source names it',
  ])
  await expect(takeBackup(source, { require: ['shop.orders', 'shop.audit_1'] })).rejects.toMatchObject({
    code: 'HF_REQUIRED_MISSING',
    message: expect.stringContaining('shop.audit_1'),
  })
})

test('mongos is refused with the reason', async () => {
  await using server = await startScriptedMongo({ role: 'mongos' })
  await expect(takeBackup(mongoSource({ url: server.url }))).rejects.toMatchObject({
    code: 'HF_SOURCE_UNSUPPORTED',
    message: expect.stringContaining('mongos'),
    hint: expect.stringContaining('each shard'),
  })
})

test('a second replica set is not taken for the first', async () => {
  await using first = await startMongoStage({ replicaSet: 'rs0' })
  await using second = await startMongoStage({ replicaSet: 'rs0' })
  const { repository, snapshot } = await takeBackup(mongoSource({ url: first.server.url }))
  const again = { into: repository, parent: snapshot }
  await expect(takeBackup(mongoSource({ url: second.server.url }), again)).rejects.toMatchObject({
    code: 'HF_SOURCE_CHANGED',
  })
  expect((await takeBackup(mongoSource({ url: first.server.url }), again)).backup.type).toBe('full')
})

test('in natural order, reading goes on where it broke, unless documents before that have changed', async () => {
  await using stage = await startMongoStage({ replicaSet: 'rs0' })
  const { client, server } = stage
  await client.db('shop').createCollection('log', { capped: true, size: 1 << 22 })
  const log = client.db('shop').collection<{ _id: number; text: string }>('log')
  // What matters is the order in which they came.
  await log.insertMany(numbered(5000).toReversed())
  const source = mongoSource({ url: server.url })
  const breaks = { command: 'getMore', collection: 'log', times: 2, code: 43 }
  server.faults.add(breaks)
  const { read } = await takeBackup(source)
  expect(idsOf(await read('shop/log.bson'))).toEqual(numbered(5000).map((_, n) => 4999 - n))
  server.faults.clear()

  server.faults.add({
    ...breaks,
    times: 1,
    run: async () => void (await log.updateOne({ _id: 4990 }, { $set: { text: 'document 000c' } })),
  })
  await expect(takeBackup(mongoSource({ url: server.url, consistency: 'oplog' }))).rejects.toMatchObject({
    code: 'HF_SOURCE_CHANGED',
    message: expect.stringContaining('the reading of shop.log broke'),
    retry: 'later',
  })
})

test('a member that reads at no moment is read as it is, with the oplog', async () => {
  await using stage = await startMongoStage({ replicaSet: 'rs0' })
  await stage.client.db('shop').collection<{ _id: number }>('a').insertMany(numbered(10))
  stage.server.faults.add({ command: 'find', collection: 'a', times: 5, code: 246 })
  const { manifest, read } = await takeBackup(mongoSource({ url: stage.server.url }))
  expect(manifest).toMatchObject({
    consistency: 'oplog',
    consistencyReason: expect.stringContaining('none to read at'),
  })
  expect(idsOf(await read('shop/a.bson'))).toHaveLength(10)
})
