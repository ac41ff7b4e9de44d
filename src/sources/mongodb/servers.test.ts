import { setTimeout as delay } from 'node:timers/promises'
import { Binary, BSON, Decimal128, Double, Int32, Long, MongoClient, ObjectId } from 'mongodb'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { startFerret } from '../../../test/support/servers/mongo/ferret.ts'
import { type MongoAbilities, mongoServers } from '../../../test/support/servers/mongo/mongo-servers.ts'
import {
  mongoSource,
  notPassed,
  numbered,
  restoreJobOf,
  restoreNotes,
  startMongoStage,
  takeBackup,
} from '../../../test/support/servers/mongo-source.ts'
import type { ProofCheck } from '../proof.ts'
import { SandboxFolder } from '../sandbox/sandbox-folder.ts'

/** What every server understands, and more where it can. */
async function fill(client: MongoClient, can: MongoAbilities): Promise<void> {
  const shop = client.db('shop')
  const orders = shop.collection('orders')
  await orders.insertMany([
    {
      _id: new ObjectId(),
      z: new Int32(1),
      10: new Double(3),
      2: Long.fromNumber(2),
      price: Decimal128.fromString('1.10'),
    },
    {
      _id: new ObjectId(),
      price: new Int32(3),
      code: 1,
      binary: new Binary(Buffer.from('x'), 5),
      nested: [1, [2, { deep: null }]],
    },
  ])
  await orders.createIndexes([
    { key: { at: 1 }, name: 'ttl', expireAfterSeconds: 3600 },
    { key: { z: -1, price: 1 }, name: 'some', partialFilterExpression: { z: { $gt: 0 } } },
    { key: { code: 1 }, name: 'once', unique: true },
    { key: { z: 'hashed' }, name: 'hashed' },
    { key: { spot: '2dsphere' }, name: 'spots' },
    ...(can.hiddenIndexes ? [{ key: { price: 1 }, name: 'hidden', hidden: true }] : []),
    ...(can.collation ? [{ key: { title: 1 }, name: 'german', collation: { locale: 'de' } }] : []),
  ])
  await shop.collection<{ _id: string }>('we ird/näme+%').insertMany([{ _id: 'b' }, { _id: 'a' }])
  await shop.collection<{ _id: number; text: string }>('many').insertMany(numbered(3000))
  await shop.collection<{ _id: number }>('fs.files').insertOne({ _id: 1 })
  await shop.collection('fs.chunks').insertOne({ files_id: 1, n: 0, data: Buffer.alloc(5000, 'x') })
  if (can.capped) {
    await shop.createCollection('capped', { capped: true, size: 8192 })
    await shop.collection<{ _id: number }>('capped').insertMany([{ _id: 3 }, { _id: 1 }])
  }
  if (can.views)
    await shop.createCollection('cheap', { viewOn: 'orders', pipeline: [{ $match: { price: { $lt: 10 } } }] })
  if (can.validators) await shop.createCollection('checked', { validator: { n: { $gt: 0 } } })
  if (can.clustered) await shop.createCollection('clustered', { clusteredIndex: { key: { _id: 1 }, unique: true } })
  if (can.timeSeries) {
    await shop.createCollection('weather', { timeseries: { timeField: 'at', metaField: 'place' } })
    await shop.collection('weather').insertOne({ at: new Date(0), place: 'here', degrees: 1 })
  }
}

/** Bytes of all documents and texts of all indexes of a database. */
async function contentsOf(client: MongoClient, database: string): Promise<unknown> {
  const db = client.db(database)
  const contents: [string, unknown][] = []
  for (const { name, type } of await db.listCollections().toArray()) {
    if (name.startsWith('system.')) continue
    const documents = (await db.collection(name).find({}, { raw: true }).toArray()) as unknown as Buffer[]
    const indexes = type === 'collection' ? await db.collection(name).listIndexes().toArray() : []
    contents.push([
      name,
      {
        documents: documents.map((document) => Buffer.from(document).toString('hex')).sort(),
        indexes: indexes.map((index) => BSON.EJSON.stringify(index)).sort(),
      },
    ])
  }
  return contents.sort(([a], [b]) => (a < b ? -1 : 1))
}

describe.each(mongoServers(['6.0.21', '8.0.6']))('$name', ({ isHere, can, start }) => {
  test.skipIf(!isHere)(
    'is backed up, proved, and restored beside itself, equal',
    async () => {
      await using server = await start(can.oplog ? { replicaSet: 'rs0' } : {})
      await using client = await new MongoClient(server.url).connect()
      await fill(client, can)
      const source = mongoSource({ url: server.url, databases: ['shop'], proof: { url: server.url } })
      const taken = await takeBackup(source, { require: ['shop.orders'] })
      expect(taken.warnings).toEqual([])
      // Before 8.0 a capped collection is in the way of snapshot reads.
      expect(can.snapshotReads ? ['snapshot', 'oplog'] : ['none']).toContain(taken.manifest.consistency)
      const checks: ProofCheck[] = []
      const job = {
        repository: taken.repository,
        snapshot: taken.snapshot,
        report: (check: ProofCheck) => void checks.push(check),
      }
      await source.proof!.checkStructure(job)
      await using folder = SandboxFolder.create()
      {
        await using sandbox = (await source.proof!.openSandbox(job, folder))!
        await sandbox.compare()
      }
      expect(notPassed(checks)).toEqual([])
      const target = { kind: 'server', url: server.url } as const
      const planned = await source.planRestore!(restoreJobOf(taken, { target, rename: [{ from: 'shop', to: 'copy' }] }))
      const notes = restoreNotes()
      await planned.execute(notes)
      expect([notes.errors, notes.warnings]).toEqual([[], []])
      expect(await contentsOf(client, 'copy')).toEqual(await contentsOf(client, 'shop'))
    },
    120_000,
  )

  test.skipIf(!isHere || !can.oplog)(
    'is one moment though it is written to meanwhile',
    async () => {
      await using server = await start({ replicaSet: 'rs0' })
      await using client = await new MongoClient(server.url).connect()
      const pairs = client.db('shop').collection<{ _id: number; n: number }>('pairs')
      await pairs.insertMany(Array.from({ length: 500 }, (_, n) => ({ _id: n, n: 0 })))
      const marks = client.db('shop').collection<{ _id: number; n: number }>('marks')
      await marks.insertOne({ _id: 0, n: 0 })
      let isOver = false
      const writing = (async () => {
        for (let n = 1; !isOver; n++) {
          await pairs.updateOne({ _id: n % 500 }, { $inc: { n: 1 } })
          await marks.updateOne({ _id: 0 }, { $inc: { n: 1 } })
          await delay(2)
        }
      })()
      try {
        for (const consistency of ['snapshot', 'oplog']) {
          const taken = await takeBackup(mongoSource({ url: server.url, databases: ['shop'], consistency, jobs: 1 }))
          const target = { kind: 'server', url: server.url } as const
          const rename = [{ from: 'shop', to: consistency }]
          const source = mongoSource({ url: server.url })
          await (await source.planRestore!(restoreJobOf(taken, { target, rename }))).execute(restoreNotes())
          const restored = client.db(consistency)
          const [sum] = await restored
            .collection('pairs')
            .aggregate<{ n: number }>([{ $group: { _id: null, n: { $sum: '$n' } } }])
            .toArray()
          const mark = await restored.collection<{ _id: number; n: number }>('marks').findOne({ _id: 0 })
          // Between the two writes of a pair there may be one of difference, at any other moment none.
          expect([0, 1]).toContain(sum!.n - mark!.n)
        }
      } finally {
        isOver = true
        await writing
      }
    },
    120_000,
  )
})

test.skipIf(lacks('ferretdb'))(
  'what FerretDB leaves out in silence is reported',
  async () => {
    await using stage = await startMongoStage()
    const shop = stage.client.db('shop')
    await shop.createCollection('capped', { capped: true, size: 8192 })
    await shop.collection<{ _id: number }>('capped').insertMany([{ _id: 3 }, { _id: 1 }])
    await shop.createCollection('checked', { validator: { n: { $gt: 0 } } })
    await shop.createCollection('cheap', { viewOn: 'capped', pipeline: [] })
    await shop.collection<{ _id: number }>('plain').insertMany(numbered(2000))
    await shop.createIndex('plain', { text: 1 }, { name: 'hidden', hidden: true })
    const taken = await takeBackup(mongoSource({ url: stage.server.url, databases: ['shop'] }))
    await using ferret = await startFerret()
    const target = { kind: 'server', url: ferret.url } as const
    const planned = await mongoSource({ url: ferret.url }).planRestore!(restoreJobOf(taken, { target }))
    expect(planned.plan.problems).toContainEqual(
      expect.objectContaining({ severity: 'warning', what: expect.stringContaining('the target is FerretDB') }),
    )
    const notes = restoreNotes()
    const result = await planned.execute(notes)
    const told = [...notes.errors, ...notes.warnings].join('\n')
    for (const name of ['shop.capped', 'shop.checked', 'shop.cheap', 'index hidden of shop.plain'])
      expect(told).toContain(name)
    expect(result.facts.documents).toBe('2002')
  },
  120_000,
)
