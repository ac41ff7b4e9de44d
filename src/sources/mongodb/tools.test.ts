import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { BSON, Double, Int32, Long, MongoClient, ObjectId } from 'mongodb'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { startFerret } from '../../../test/support/servers/mongo/ferret.ts'
import {
  type MongoStage,
  mongoSource,
  numbered,
  startMongoStage,
  takeBackup,
} from '../../../test/support/servers/mongo-source.ts'
import { newRepository, restic, scratchFolder } from '../../../test/support/test-repository.ts'
import { documentsOf as documentsIn } from './bson/batch.ts'

const run = promisify(execFile)

/** Bytes of all documents of a database, by collection. */
async function documentsOf(client: MongoClient, database: string): Promise<Record<string, readonly string[]>> {
  const found: Record<string, readonly string[]> = {}
  for (const { name } of await client.db(database).listCollections({ type: 'collection' }).toArray()) {
    if (name.startsWith('system.')) continue
    const documents = (await client
      .db(database)
      .collection(name)
      .find({}, { raw: true })
      .toArray()) as unknown as Buffer[]
    found[name] = documents.map((document) => Buffer.from(document).toString('hex')).sort()
  }
  return found
}

/** mongodump reads as documents lie, we by `_id`. */
const sorted = (bytes: Buffer): readonly string[] => Array.from(documentsIn(bytes), (one) => one.toString('hex')).sort()

describe.skipIf(lacks('mongotools', 'restic'))('MongoDB’s own tools', () => {
  let source: MongoStage

  beforeAll(async () => {
    source = await startMongoStage({ replicaSet: 'rs0', version: '7.0.18' })
    const shop = source.client.db('shop')
    await shop.collection('orders').insertMany([
      { _id: new ObjectId(), z: new Int32(1), 10: new Double(3), 2: Long.fromNumber(2) },
      { _id: new ObjectId(), code: 1 },
    ])
    await shop.createIndex('orders', { code: 1 }, { name: 'once', unique: true })
    await shop.createIndex('orders', { at: 1 }, { name: 'ttl', expireAfterSeconds: 60 })
    await shop.collection<{ _id: string }>('we ird/näme+%').insertMany([{ _id: 'b' }, { _id: 'a' }])
    await shop.collection<{ _id: number }>(`long${'ä'.repeat(60)}`).insertMany(numbered(3))
    await shop.collection<{ _id: number }>('many').insertMany(numbered(2500))
  })

  afterAll(() => source?.[Symbol.asyncDispose]())

  test.skipIf(lacks('ferretdb'))(
    'mongorestore takes what restic restores, into a server of its own',
    async () => {
      using scratch = scratchFolder()
      await using ferret = await startFerret()
      const repository = await newRepository(scratch.join('repository'))
      await takeBackup(mongoSource({ url: source.server.url, databases: ['shop'] }), { into: repository })
      const { status, stderr } = restic(
        scratch.join('repository'),
        'restore',
        'latest',
        '--target',
        scratch.join('out'),
      )
      expect(status, stderr).toBe(0)
      await run('mongorestore', ['--uri', ferret.url, '--dir', scratch.join('out/catalog/data')])
      await using client = await new MongoClient(ferret.url).connect()
      expect(await documentsOf(client, 'shop')).toEqual(await documentsOf(source.client, 'shop'))
      const indexes = await client.db('shop').collection('orders').indexes()
      expect(indexes.map(({ name }) => name).sort()).toEqual(['_id_', 'once', 'ttl'])
      expect(indexes.find(({ name }) => name === 'ttl')).toMatchObject({ expireAfterSeconds: 60 })
    },
    120_000,
  )

  test('mongodump of the same server writes the same files', async () => {
    using scratch = scratchFolder()
    const taken = await takeBackup(mongoSource({ url: source.server.url, databases: ['shop'] }))
    await run('mongodump', ['--uri', source.server.url, '--db', 'shop', '--out', scratch.path])
    for (const path of taken.paths.filter((one) => one.startsWith('shop/'))) {
      const [ours, theirs] = [await taken.read(path), readFileSync(scratch.join(path))]
      if (path.endsWith('.bson')) expect(sorted(ours), path).toEqual(sorted(theirs))
      else
        expect(BSON.EJSON.parse(String(ours), { relaxed: false }), path).toEqual(
          BSON.EJSON.parse(String(theirs), { relaxed: false }),
        )
    }
  })

  test('mongorestore takes options, views, time series, users, and replays the oplog', async () => {
    using scratch = scratchFolder()
    await using target = await startMongoStage({ replicaSet: 'rs1', version: '7.0.18' })
    const shop = source.client.db('shop')
    await shop.createCollection('capped', { capped: true, size: 8192 })
    await shop.createCollection('checked', { validator: { n: { $gt: 0 } } })
    await shop.createCollection('weather', { timeseries: { timeField: 'at', metaField: 'place' } })
    await shop.collection('weather').insertOne({ at: new Date(0), place: 'here' })
    await shop.createCollection('few', { viewOn: 'many', pipeline: [{ $match: { _id: { $lt: 5 } } }] })
    await shop.createIndex('many', { text: 1 }, { name: 'hidden', hidden: true })
    await source.client.db('admin').command({ createUser: 'anna', pwd: 'one', roles: [{ role: 'read', db: 'shop' }] })
    source.server.faults.add({
      command: 'getMore',
      collection: 'many',
      times: 1,
      run: async () => {
        await shop.collection<{ _id: number }>('many').deleteOne({ _id: 0 })
        await shop.collection<{ _id: number; text: string }>('many').insertOne({ _id: 9999, text: 'late' })
      },
    })
    const repository = await newRepository(scratch.join('repository'))
    await takeBackup(mongoSource({ url: source.server.url, consistency: 'oplog' }), { into: repository })
    restic(scratch.join('repository'), 'restore', 'latest', '--target', scratch.join('out'))
    const dump = scratch.join('out/catalog/data')
    await run('mongorestore', ['--uri', target.server.url, '--dir', dump, '--oplogReplay'])
    expect(await documentsOf(target.client, 'shop')).toEqual(await documentsOf(source.client, 'shop'))
    const listed = async ({ client }: MongoStage): Promise<readonly string[]> =>
      (await client.db('shop').listCollections().toArray())
        .map(
          ({ name, type, options }: { name: string; type?: string; options?: object }) =>
            `${name} ${type} ${BSON.EJSON.stringify(options ?? {})}`,
        )
        .sort()
    expect(await listed(target)).toEqual(await listed(source))
    const { users } = await target.client.db('admin').command({ usersInfo: 1 })
    expect(users.map(({ user }: { user: string }) => user)).toEqual(['anna'])
    const indexes = await target.client.db('shop').collection('many').indexes()
    expect(indexes.find(({ name }) => name === 'hidden')).toMatchObject({ hidden: true })
  })
})
