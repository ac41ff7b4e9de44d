import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { BSON, Double, Int32, Long, ObjectId, Timestamp } from 'mongodb'
import { expect, test } from 'vitest'
import { type ScriptedMongo, startScriptedMongo } from '../../../../test/support/servers/mongo/scripted.ts'
import {
  changedSnapshot,
  decoded,
  type MongoStage,
  mongoSource,
  numbered,
  restoreJobOf,
  restoreNotes,
  startMongoStage,
  type TakenBackup,
  takeBackup,
} from '../../../../test/support/servers/mongo-source.ts'
import { scratchFolder } from '../../../../test/support/test-repository.ts'
import type { PlannedRestore, RestoreJob } from '../../restore.ts'

/** One of each sort of collection and index. */
async function fill({ client }: MongoStage): Promise<void> {
  const shop = client.db('shop')
  await shop.createCollection('capped', { capped: true, size: 8192, max: 100 })
  await shop.collection<{ _id: number }>('capped').insertMany([{ _id: 3 }, { _id: 1 }, { _id: 2 }])
  await shop.createCollection('clustered', { clusteredIndex: { key: { _id: 1 }, unique: true } })
  await shop.collection<{ _id: number }>('clustered').insertMany(numbered(5))
  await shop.createCollection('checked', { validator: { n: { $gt: 0 } }, validationLevel: 'moderate' })
  await shop
    .collection<{ _id: number; n: number }>('checked')
    .insertOne({ _id: 1, n: -1 }, { bypassDocumentValidation: true })
  await shop.createCollection('words', { collation: { locale: 'de', strength: 2 } })
  await shop.createCollection('weather', {
    timeseries: { timeField: 'at', metaField: 'place', granularity: 'minutes' },
  })
  await shop.collection('weather').insertMany([
    { at: new Date(0), place: 'here', degrees: 1 },
    { at: new Date(1000), place: 'there', degrees: 2 },
  ])
  await shop.createCollection('cheap', { viewOn: 'orders', pipeline: [{ $match: { price: { $lt: 10 } } }] })
  const orders = shop.collection('orders')
  await orders.insertMany([
    { _id: new ObjectId(), z: new Int32(1), 10: new Double(3), 2: Long.fromNumber(2), at: [1, { deep: /x/i }] },
    { _id: new ObjectId(), price: 3 },
  ])
  await orders.createIndexes([
    { key: { price: 1 }, name: 'hidden', hidden: true },
    { key: { at: 1 }, name: 'ttl', expireAfterSeconds: 3600 },
    { key: { z: -1, price: 1 }, name: 'some', partialFilterExpression: { z: { $gt: 0 } } },
    { key: { code: 1 }, name: 'once', unique: true, sparse: true },
    { key: { title: 1 }, name: 'german', collation: { locale: 'de' } },
    { key: { '$**': 1 }, name: 'wild', wildcardProjection: { secret: 0 } },
    { key: { name: 'text', body: 'text' }, name: 'words', weights: { name: 10 } },
    { key: { spot: '2dsphere' }, name: 'spots' },
  ])
  await shop.collection('words').createIndex({ w: 1 }, { name: 'simple', collation: { locale: 'simple' } })
  const files = client.db('shop')
  await files.collection<{ _id: number }>('fs.files').insertOne({ _id: 1 })
  await files.collection('fs.chunks').insertOne({ files_id: 1, n: 0, data: Buffer.from('x') })
}

const planInto = (taken: TakenBackup, target: MongoStage, job: Partial<RestoreJob> = {}): Promise<PlannedRestore> =>
  mongoSource({ url: target.server.url }).planRestore!(
    restoreJobOf(taken, { target: { kind: 'server', url: target.server.url }, ...job }),
  )

/** All that a server has of a database: definitions and bytes of documents. */
async function contentsOf({ client }: MongoStage, database = 'shop'): Promise<Record<string, unknown>> {
  const db = client.db(database)
  const contents: Record<string, unknown> = {}
  for (const { name, type, options } of await db
    .listCollections<{ name: string; type: string; options: object }>()
    .toArray()) {
    if (name === 'system.views') continue
    const isView = type === 'view'
    const indexes = isView || type === 'timeseries' ? [] : await db.collection(name).listIndexes().toArray()
    const documents = (await db.collection(name).find({}, { raw: true }).toArray()) as unknown as Buffer[]
    contents[name] = {
      type,
      options: BSON.EJSON.stringify(options),
      indexes: indexes.map((index) => BSON.EJSON.stringify(index)).sort(),
      documents: documents.map((document) => Buffer.from(document).toString('hex')),
    }
  }
  return contents
}

test('everything comes back as it was: options, indexes, views, time series, bytes of documents', async () => {
  await using source = await startMongoStage({ replicaSet: 'rs0' })
  await using target = await startMongoStage({ replicaSet: 'rs1' })
  await fill(source)
  const taken = await takeBackup(mongoSource({ url: source.server.url }))
  const planned = await planInto(taken, target)
  expect(planned.plan.problems.filter(({ severity }) => severity === 'error')).toEqual([])
  const notes = restoreNotes()
  const result = await planned.execute(notes)
  expect([notes.errors, notes.warnings]).toEqual([[], []])
  expect(result).toMatchObject({ errors: 0, facts: { differences: '0' } })
  expect(await contentsOf(target)).toEqual(await contentsOf(source))
})

test('into another database, some of it, beside what is there', async () => {
  await using source = await startMongoStage()
  await using target = await startMongoStage()
  await fill(source)
  await target.client.db('shop').collection<{ _id: number }>('orders').insertOne({ _id: 1 })
  const taken = await takeBackup(mongoSource({ url: source.server.url }))
  const refused = await planInto(taken, target)
  expect(refused.plan.problems).toContainEqual(
    expect.objectContaining({ severity: 'error', what: 'the target has shop.orders already' }),
  )
  await expect(refused.execute(restoreNotes())).rejects.toMatchObject({ code: 'HF_TARGET_INVALID' })
  expect((await planInto(taken, target, { include: ['shop.order'] })).plan.problems).toContainEqual(
    expect.objectContaining({ severity: 'error', what: 'no collection of the snapshot is selected' }),
  )
  const planned = await planInto(taken, target, {
    include: ['shop.orders', 'shop.cheap', 'shop.c*'],
    exclude: ['shop.checked'],
    rename: [
      { from: 'shop', to: 'old' },
      { from: 'shop.orders', to: 'old.before' },
    ],
  })
  const notes = restoreNotes()
  await planned.execute(notes)
  expect([notes.errors, notes.warnings]).toEqual([[], []])
  const [there, before] = [await contentsOf(target, 'old'), await contentsOf(source)]
  expect(Object.keys(there).sort()).toEqual(['before', 'capped', 'cheap', 'clustered'])
  expect(there.before).toEqual(before.orders)
  expect(await target.client.db('old').collection('cheap').countDocuments()).toBe(1)
  expect(await target.client.db('shop').collection('orders').countDocuments()).toBe(1)
  await expect(planInto(taken, target, { rename: [{ from: 'shop', to: 'a.b' }] })).rejects.toMatchObject({
    code: 'HF_PATTERN_INVALID',
  })
})

test('with overwrite, what is there is dropped first; what came since the plan stops it', async () => {
  await using source = await startMongoStage()
  await using target = await startMongoStage()
  await source.client.db('shop').collection<{ _id: number }>('a').insertMany(numbered(2500))
  const a = target.client.db('shop').collection<{ _id: number }>('a')
  await a.insertOne({ _id: 9999 })
  const taken = await takeBackup(mongoSource({ url: source.server.url }))
  const planned = await planInto(taken, target, { overwrite: true })
  expect(planned.plan.overwrites).toEqual(['drop shop.a'])
  await target.client.db('shop').dropCollection('a')
  await expect(planned.execute(restoreNotes())).rejects.toMatchObject({
    code: 'HF_TARGET_INVALID',
    message: expect.stringContaining('changed'),
  })
  await a.insertOne({ _id: 9999 })
  const result = await (await planInto(taken, target, { overwrite: true })).execute(restoreNotes())
  expect(result.facts.documents).toBe('2500')
  expect(await a.countDocuments()).toBe(2500)
})

test('what was written while collections were read is worked in from the oplog', async () => {
  await using source = await startMongoStage({ replicaSet: 'rs0' })
  await using target = await startMongoStage()
  const shop = source.client.db('shop')
  const a = shop.collection<{ _id: number; text?: string; list?: unknown[] }>('a')
  await a.insertMany(numbered(3000))
  source.server.faults.add({
    command: 'getMore',
    collection: 'a',
    times: 1,
    run: async () => {
      await a.updateOne({ _id: 5 }, { $set: { text: 'early', list: [1, 2] } })
      await a.updateOne({ _id: 5 }, { $push: { list: 3 } as object })
      await a.replaceOne({ _id: 2999 }, { text: 'late' })
      await a.deleteOne({ _id: 6 })
      await a.deleteOne({ _id: 2998 })
      await a.insertOne({ _id: 4000 })
      await a.createIndex({ text: 1 }, { name: 'late' })
      await shop.collection<{ _id: number }>('born').insertOne({ _id: 1 })
      await shop.createCollection('seen', { viewOn: 'born', pipeline: [] })
    },
  })
  const taken = await takeBackup(mongoSource({ url: source.server.url, consistency: 'oplog' }))
  const notes = restoreNotes()
  await (await planInto(taken, target)).execute(notes)
  expect([notes.errors, notes.warnings]).toEqual([[], []])
  const sorted = async (stage: MongoStage): Promise<unknown> =>
    await stage.client.db('shop').collection('a').find().sort({ _id: 1 }).toArray()
  expect(await sorted(target)).toEqual(await sorted(source))
  const { a: _source, ...others } = await contentsOf(source)
  const { a: restored, ...restoredOthers } = await contentsOf(target)
  expect(restoredOthers).toEqual(others)
  expect((restored as { indexes: string[] }).indexes.join()).toContain('late')
})

test('of transactions that end while collections are read, what was committed counts, and nothing else', async () => {
  await using source = await startMongoStage({ replicaSet: 'rs0' })
  await using target = await startMongoStage()
  const a = source.client.db('shop').collection<{ _id: number; text?: string }>('a')
  await a.insertMany(numbered(3000))
  const [committed, aborted, open] = [0, 1, 2].map(() => source.client.startSession())
  for (const [i, session] of [committed!, aborted!, open!].entries()) {
    session.startTransaction()
    await a.insertOne({ _id: 5000 + i }, { session })
    await a.updateOne({ _id: i }, { $set: { text: 'changed' } }, { session })
  }
  source.server.faults.add({
    command: 'getMore',
    collection: 'a',
    times: 1,
    run: async () => {
      await committed!.commitTransaction()
      await aborted!.abortTransaction()
    },
  })
  const taken = await takeBackup(mongoSource({ url: source.server.url, consistency: 'oplog' }))
  await open!.abortTransaction()
  const notes = restoreNotes()
  await (await planInto(taken, target)).execute(notes)
  expect(notes.errors).toEqual([])
  const restored = target.client.db('shop').collection<{ _id: number; text?: string }>('a')
  expect(await restored.find({ _id: { $gte: 5000 } }).toArray()).toEqual([{ _id: 5000 }])
  const changed = await restored.find({ text: 'changed' }).toArray()
  expect(changed.map(({ _id }) => _id)).toEqual([0])
})

test('what the server leaves out or refuses is reported by name', async () => {
  await using source = await startMongoStage()
  await using target = await startMongoStage()
  const a = source.client.db('shop').collection<{ _id: number; n: number }>('a')
  await a.insertMany([
    { _id: 1, n: 1 },
    { _id: 2, n: 1 },
  ])
  await a.createIndex({ n: 1 }, { name: 'hidden', hidden: true })
  await source.client.db('shop').createCollection('capped', { capped: true, size: 8192 })
  const taken = await takeBackup(mongoSource({ url: source.server.url }))
  const planned = await planInto(taken, target)
  // As a server that does not know hidden indexes and capped collections.
  target.server.faults.add({ command: 'createIndexes', code: 67, message: 'hidden indexes are not supported' })
  target.server.faults.add({ command: 'insert', collection: 'a', code: 121, message: 'no' })
  const notes = restoreNotes()
  const result = await planned.execute(notes)
  expect(result.errors).toBe(2)
  expect(notes.errors).toEqual([
    expect.stringMatching(/^shop\.a: .* refuses insert into shop\.a: no/),
    expect.stringMatching(/^index hidden of shop\.a: .*hidden indexes are not supported/),
  ])
})

test('damage is found before it is taken for documents', async () => {
  await using source = await startMongoStage()
  await using target = await startMongoStage()
  await source.client.db('shop').collection<{ _id: number }>('a').insertMany(numbered(10))
  const taken = await takeBackup(mongoSource({ url: source.server.url }))
  const snapshot = await changedSnapshot(taken, { 'data/shop/a.bson': (bytes) => bytes.subarray(0, -3) })
  const planned = await planInto({ ...taken, snapshot }, target)
  await expect(planned.execute(restoreNotes())).rejects.toMatchObject({
    code: 'HF_DATA_DAMAGED',
    message: expect.stringContaining('shop/a.bson'),
  })
})

test('users and roles are added with their passwords, and nobody is removed', async () => {
  await using source = await startMongoStage()
  await using target = await startMongoStage()
  const roles = [{ role: 'readWrite', db: 'shop' }]
  await source.client.db('admin').command({ createUser: 'anna', pwd: 'one', roles })
  await source.client.db('admin').command({ createRole: 'clerk', privileges: [], roles: [] })
  await target.client.db('admin').command({ createUser: 'berta', pwd: 'two', roles })
  const taken = await takeBackup(mongoSource({ url: source.server.url }))
  const notes = restoreNotes()
  await (await planInto(taken, target)).execute(notes)
  expect(notes.errors).toEqual([])
  const { users } = await target.client.db('admin').command({ usersInfo: 1 })
  expect(users.map(({ user }: { user: string }) => user).sort()).toEqual(['anna', 'berta'])
})

test('an empty timestamp stays empty', async () => {
  await using source = await startMongoStage({ version: '8.0.4' })
  await using target = await startMongoStage({ version: '8.0.4' })
  const bytes = BSON.serialize({ _id: 1, at: new Timestamp(0n) })
  source.server.data.insert(source.server.data.collectionForWrite('shop', 'a'), Buffer.from(bytes), {
    bypassEmptyTsReplacement: true,
  })
  const taken = await takeBackup(mongoSource({ url: source.server.url }))
  await (await planInto(taken, target)).execute(restoreNotes())
  expect(await target.client.db('shop').collection('a').findOne()).toMatchObject({ at: new Timestamp(0n) })
})

test('into a folder: whole as mongodump would have made it, or some of it with the oplog worked in', async () => {
  using scratch = scratchFolder()
  await using source = await startMongoStage({ replicaSet: 'rs0' })
  const a = source.client.db('shop').collection<{ _id: number }>('a')
  await a.insertMany(numbered(1500))
  await a.createIndex({ text: 1 }, { name: 'by text' })
  source.server.faults.add({
    command: 'getMore',
    collection: 'a',
    times: 1,
    run: async () => void (await a.deleteOne({ _id: 3 })),
  })
  const taken = await takeBackup(mongoSource({ url: source.server.url, consistency: 'oplog' }))
  const into = (path: string, job: Partial<RestoreJob> = {}): Promise<PlannedRestore> =>
    mongoSource({ url: source.server.url }).planRestore!(
      restoreJobOf(taken, { target: { kind: 'directory', path }, ...job }),
    )
  const whole = await into(scratch.join('whole'))
  expect(whole.plan.afterwards.join()).toMatch(/^mongorestore .*--oplogReplay$/)
  await whole.execute(restoreNotes())
  expect(readdirSync(scratch.join('whole')).sort()).toEqual(['admin', 'oplog.bson', 'prelude.json', 'shop'])
  for (const path of taken.paths)
    expect(readFileSync(scratch.join('whole', path)).equals(await taken.read(path))).toBe(true)
  const part = await into(scratch.join('part'), { include: ['shop.a'], rename: [{ from: 'shop.a', to: 'old.b' }] })
  await part.execute(restoreNotes())
  expect(readdirSync(scratch.join('part')).sort()).toEqual(['old', 'prelude.json'])
  expect(decoded(readFileSync(scratch.join('part/old/b.bson')))).toHaveLength(1499)
  expect(readFileSync(scratch.join('part/old/b.metadata.json'), 'utf8')).toContain('"by text"')
  writeFileSync(scratch.join('part/mine'), 'kept')
  const again = await into(scratch.join('part'), { overwrite: false })
  await expect(again.execute(restoreNotes())).rejects.toMatchObject({ code: 'HF_TARGET_INVALID' })
  await (await into(scratch.join('part'), { overwrite: true })).execute(restoreNotes())
  expect(readdirSync(scratch.join('part')).sort()).toEqual([
    'admin',
    'mine',
    'old',
    'oplog.bson',
    'prelude.json',
    'shop',
  ])
})

test('the password of the source goes to the source only; another target has its own', async () => {
  const auth = { user: 'backup', password: 'secret' }
  await using source = await startScriptedMongo({ auth })
  await using other = await startScriptedMongo({ auth: { user: 'backup', password: 'another' } })
  const settings = { url: source.url.replace(/\/\/([^@/]*@)?/, '//backup@'), password: 'env:MONGO_PASSWORD' }
  const taken = await takeBackup(mongoSource(settings))
  const planFor = async (url: string): Promise<PlannedRestore> =>
    await mongoSource(settings).planRestore!(restoreJobOf(taken, { target: { kind: 'server', url } }))
  const bare = (server: ScriptedMongo): string => server.url.replace(/\/\/([^@/]*@)?/, '//')
  expect((await planFor(bare(source))).plan.problems).toBeDefined()
  await expect(planFor(bare(other).replace('//', '//backup@'))).rejects.toMatchObject({ code: 'HF_SOURCE_PERMISSION' })
  expect((await planFor(bare(other).replace('//', '//backup:another@'))).plan.steps.join()).not.toContain('another')
})
