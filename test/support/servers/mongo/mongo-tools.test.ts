import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Binary, Decimal128, Long, MongoClient, ObjectId, Timestamp } from 'mongodb'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../requirements.ts'
import { scratchFolder } from '../../test-repository.ts'
import { startScriptedMongo } from './scripted.ts'

/** Runs a program while this process serves it. */
async function run(
  program: string,
  ...args: readonly string[]
): Promise<{ readonly code: number; readonly output: string }> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)))
  const code = await new Promise<number>((resolve, reject) =>
    child.once('error', reject).once('close', (end) => resolve(end ?? -1)),
  )
  return { code, output }
}

async function everything(client: MongoClient): Promise<unknown> {
  const found: Record<string, unknown> = {}
  const db = client.db('shop')
  for (const { name, type, options } of (await db.listCollections({}, { nameOnly: false }).toArray()) as never[]) {
    const isCollection = type === 'collection'
    const documents = await db.collection(name).find({}, { raw: true }).toArray()
    const indexes = isCollection && name !== 'system.views' ? await db.collection(name).indexes() : []
    found[name] = {
      type,
      options,
      indexes: Object.fromEntries(indexes.map((index) => [index.name, index])),
      documents: documents.map((raw) => Buffer.from(raw as never).toString('hex')).sort(),
    }
  }
  return found
}

describe.skipIf(lacks('mongotools'))('MongoDB tools', () => {
  test.each(['6.0.21', '7.0.18', '8.0.6'])('dump and restore the scripted server as %s', async (version) => {
    using scratch = scratchFolder()
    await using from = await startScriptedMongo({ version, replicaSet: 'rs0' })
    await using to = await startScriptedMongo({ version, replicaSet: 'rs1' })
    await using source = await new MongoClient(from.url).connect()
    await using target = await new MongoClient(to.url).connect()
    const db = source.db('shop')
    await db.createCollection('log', { capped: true, size: 8192, max: 20 })
    await db.createCollection('names', { collation: { locale: 'de', strength: 2 } })
    await db.createCollection('strict', { validator: { n: { $type: 'int' } }, validationAction: 'error' })
    await db.createCollection('ordered', { clusteredIndex: { key: { _id: 1 }, unique: true, name: 'mine' } })
    await db.createCollection('weather', {
      timeseries: { timeField: 'at', metaField: 'sensor' },
      expireAfterSeconds: 60,
    })
    await db.createCollection('red', { viewOn: 'names', pipeline: [{ $match: { colour: 'red' } }] })
    await db.collection('names').createIndexes([
      { key: { a: 1, b: -1 }, name: 'a_b', unique: true, partialFilterExpression: { a: { $exists: true } } },
      { key: { c: 1 }, name: 'c', hidden: true, collation: { locale: 'simple' } },
      { key: { t: 'text' }, name: 't', collation: { locale: 'simple' } },
      { key: { d: 1 }, name: 'd', expireAfterSeconds: 3600, sparse: true },
    ])
    await db.collection('log').insertMany(Array.from({ length: 30 }, (_, n) => ({ n })))
    await db.collection('strict').insertOne({ n: 'no number' }, { bypassDocumentValidation: true })
    await db.collection('weather').insertMany([
      { at: new Date(0), sensor: 1, t: 1 },
      { at: new Date(1), sensor: 2, t: 2 },
    ])
    await db.collection('we ird/näme+%').insertOne({ a: 1 })
    await db.collection('names').insertMany([
      {
        _id: new ObjectId(),
        z: 1,
        10: 2,
        2: Long.fromNumber(3),
        decimal: Decimal128.fromString('1.10'),
        colour: 'red',
      },
      {
        bytes: new Binary(Buffer.from('x'), 5),
        at: new Timestamp({ t: 1, i: 2 }),
        list: [1, [2, { x: null }]],
        r: /a/i,
      },
    ])
    const out = join(scratch.path, 'dump')
    const dumped = await run('mongodump', `--uri=${from.url}`, `--out=${out}`, '--oplog')
    expect(dumped.output, dumped.output).toContain('done dumping `shop.names`')
    expect(dumped.code, dumped.output).toBe(0)
    expect(readdirSync(join(out, 'shop'))).toContain('we+ird%2Fn%C3%A4me%2B%25.bson')
    expect(existsSync(join(out, 'oplog.bson'))).toBe(true)
    const restored = await run('mongorestore', `--uri=${to.url}`, '--oplogReplay', '--bypassDocumentValidation', out)
    expect(restored.code, restored.output).toBe(0)
    expect(await everything(target)).toEqual(await everything(source))
  })

  test('dump and restore users with a password', async () => {
    using scratch = scratchFolder()
    const auth = { user: 'admin', password: 'secret' }
    await using from = await startScriptedMongo({ auth })
    await using to = await startScriptedMongo({ auth })
    await using source = await new MongoClient(from.url).connect()
    await source.db('admin').command({ createUser: 'clerk', pwd: 'pass', roles: [{ role: 'read', db: 'shop' }] })
    await source.db('admin').command({ createUser: 'saver', pwd: 'pass', roles: ['backup'] })
    await source.db('admin').command({ createUser: 'restorer', pwd: 'pass', roles: ['restore'] })
    await source
      .db('shop')
      .collection('a')
      .insertOne({ _id: 1 as never })
    await using target = await new MongoClient(to.url).connect()
    await target.db('admin').command({ createUser: 'restorer', pwd: 'pass', roles: ['restore'] })
    const out = join(scratch.path, 'dump')
    const as = (url: string, user: string): string => `--uri=${url.replace('admin:secret', `${user}:pass`)}`
    const refused = await run('mongodump', as(from.url, 'clerk'), `--out=${out}`)
    expect(refused.code, refused.output).not.toBe(0)
    expect(refused.output).toMatch(/not authorized/)
    const dumped = await run('mongodump', as(from.url, 'saver'), `--out=${out}`)
    expect(dumped.code, dumped.output).toBe(0)
    const restored = await run('mongorestore', as(to.url, 'restorer'), out)
    expect(restored.code, restored.output).toBe(0)
    await using clerk = await new MongoClient(to.url.replace('admin:secret', 'clerk:pass')).connect()
    expect(await clerk.db('shop').collection('a').countDocuments()).toBe(1)
  })
})
