import { chmodSync, writeFileSync } from 'node:fs'
import { BSON } from 'mongodb'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  changedSnapshot,
  type MongoStage,
  mongoSource,
  notPassed,
  numbered,
  startMongoStage,
  type TakenBackup,
  takeBackup,
} from '../../../../test/support/servers/mongo-source.ts'
import { scratchFolder } from '../../../../test/support/test-repository.ts'
import type { StoredSnapshot } from '../../../engine/repository/snapshot.ts'
import { systemClock } from '../../../lib/clock.ts'
import type { ProofCheck, ProofSandbox } from '../../proof.ts'
import { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import { documentsOf } from '../bson/batch.ts'
import { findMongod, mongodFor } from './program.ts'
import { startMongod } from './scratch-server.ts'

let source: MongoStage
let scratch: MongoStage
let taken: TakenBackup

beforeAll(async () => {
  source = await startMongoStage({ replicaSet: 'rs0' })
  scratch = await startMongoStage()
  const shop = source.client.db('shop')
  await shop.collection<{ _id: number }>('orders').insertMany(numbered(2500))
  await shop.createIndex('orders', { text: 1 }, { name: 'hidden', hidden: true })
  await shop.createCollection('capped', { capped: true, size: 8192 })
  await shop.collection<{ _id: number }>('capped').insertMany([{ _id: 2 }, { _id: 1 }])
  await shop.createCollection('few', { viewOn: 'orders', pipeline: [{ $match: { _id: { $lt: 10 } } }] })
  await source.client.db('crm').collection<{ _id: number }>('people').insertMany(numbered(3))
  source.server.faults.add({
    command: 'getMore',
    collection: 'orders',
    times: 1,
    run: async () => {
      await source.client.db('crm').collection<{ _id: number }>('people').insertOne({ _id: 77 })
      await source.client.db('crm').collection<{ _id: number }>('people').deleteOne({ _id: 0 })
    },
  })
  taken = await takeBackup(mongoSource({ url: source.server.url, consistency: 'oplog' }))
})

afterAll(async () => {
  await source?.[Symbol.asyncDispose]()
  await scratch?.[Symbol.asyncDispose]()
})

const proving = () => mongoSource({ url: source.server.url, proof: { url: scratch.server.url } }).proof!

async function structureOf(snapshot: StoredSnapshot): Promise<readonly ProofCheck[]> {
  const checks: ProofCheck[] = []
  await proving().checkStructure({ repository: taken.repository, snapshot, report: (check) => void checks.push(check) })
  return checks
}

/** Restores into the scratch server, does something to it, and compares. */
async function compareAfter(
  harm: (database: (name: string) => string) => Promise<unknown> = async () => undefined,
  look: (sandbox: ProofSandbox) => Promise<void> = async () => undefined,
): Promise<readonly ProofCheck[]> {
  const checks: ProofCheck[] = []
  await using folder = SandboxFolder.create()
  const report = (check: ProofCheck): void => void checks.push(check)
  const sandbox = await proving().openSandbox(
    { repository: taken.repository, snapshot: taken.snapshot, report },
    folder,
  )
  expect(sandbox).toBeDefined()
  try {
    const names = (await scratch.client.db('admin').admin().listDatabases()).databases.map(({ name }) => name)
    const counts = await Promise.all(
      names.map(async (name) => ({
        name,
        has: await scratch.client.db(name).listCollections({ name: 'orders' }).hasNext(),
      })),
    )
    const shop = counts.find(({ name, has }) => has && name.startsWith('holdfast_proof_'))!.name
    const crm = names.find((name) => name.startsWith('holdfast_proof_') && name !== shop)!
    await harm((name) => (name === 'shop' ? shop : crm))
    await sandbox!.compare()
    await look(sandbox!)
  } finally {
    await sandbox![Symbol.asyncDispose]()
  }
  return checks
}

describe('structure', () => {
  test('of a good snapshot passes, the oplog included', async () => {
    const checks = await structureOf(taken.snapshot)
    expect(notPassed(checks)).toEqual([])
    expect(checks.map(({ name }) => name)).toContain('oplog from the start to the end of the backup')
  })

  const withoutFirst = (bytes: Buffer): Buffer => bytes.subarray(bytes.readInt32LE(0))
  const flipped = (bytes: Buffer): Buffer => {
    const changed = Buffer.from(bytes)
    changed[changed.length >> 1]! ^= 1
    return changed
  }
  const visible = (bytes: Buffer): Buffer =>
    Buffer.concat(
      Array.from(documentsOf(bytes), (entry) => {
        const document = BSON.deserialize(entry, { promoteValues: false })
        for (const index of document.indexes) delete index.hidden
        return Buffer.from(BSON.serialize(document))
      }),
    )

  test.each([
    ['a lost document', { 'data/shop/orders.bson': withoutFirst }, 'documents of shop.orders'],
    [
      'a truncated file',
      { 'data/shop/orders.bson': (bytes: Buffer) => bytes.subarray(0, -1) },
      'documents of shop.orders',
    ],
    ['a flipped byte', { 'data/shop/orders.bson': flipped }, 'documents of shop.orders'],
    ['a missing collection', { 'data/shop/capped.bson': () => undefined }, 'documents of shop.capped'],
    ['missing metadata', { 'data/shop/few.metadata.json': () => undefined }, 'options and indexes of shop.few'],
    ['a hidden index turned visible', { '.holdfast/catalog.bson': visible }, 'options and indexes of shop.orders'],
    [
      'metadata that says something else',
      {
        'data/shop/orders.metadata.json': (bytes: Buffer) =>
          Buffer.from(String(bytes).replace('"hidden":true', '"hidden":false')),
      },
      'options and indexes of shop.orders',
    ],
    ['a lost entry of the oplog', { 'data/oplog.bson': withoutFirst }, 'oplog'],
    ['a manifest of no known form', { '.holdfast/manifest.json': () => Buffer.from('{}') }, 'manifest'],
  ] as const)('fails for %s and names it', async (_what, changes, name) => {
    const checks = await structureOf(await changedSnapshot(taken, changes))
    expect(notPassed(checks)).toEqual([expect.stringContaining(`structure failed: ${name}: `)])
  })
})

describe('a restore into a scratch server', () => {
  test('is equal, what the oplog changed included, answers assertions, and leaves nothing there', async () => {
    const answers: unknown[] = []
    const checks = await compareAfter(undefined, async (sandbox) => {
      const common = { kind: 'aggregate', name: 'x', expect: 'true' } as const
      answers.push(
        (await sandbox.answer({ ...common, aggregate: [{ $count: 'n' }], database: 'shop', collection: 'orders' }))
          .value,
        (
          await sandbox.answer({
            ...common,
            aggregate: [{ $match: { _id: { $gte: 2 } } }, { $sort: { _id: 1 } }],
            database: 'crm',
            collection: 'people',
          })
        ).rows,
      )
      for (const wrong of [
        { ...common, aggregate: [{ $out: 'x' }], database: 'shop', collection: 'orders' },
        { ...common, aggregate: [], database: 'nowhere', collection: 'orders' },
        { kind: 'sql', name: 'x', expect: 'true', sql: 'select 1', database: undefined } as const,
      ])
        await expect(sandbox.answer(wrong)).rejects.toMatchObject({ code: 'HF_ASSERTION_INVALID' })
    })
    expect(notPassed(checks)).toEqual([])
    expect(answers).toEqual([2500, [{ _id: 2, text: 'document 2' }, { _id: 77 }]])
    const { databases } = await scratch.client.db('admin').admin().listDatabases()
    expect(databases.filter(({ name }) => name.startsWith('holdfast_proof_'))).toEqual([])
  })

  test.each<[string, (db: (name: string) => string) => Promise<unknown>, string]>([
    [
      'a lost document',
      async (db) => await scratch.client.db(db('shop')).collection<{ _id: number }>('orders').deleteOne({ _id: 7 }),
      'documents of shop.orders: the server has 2,499 documents instead of 2500',
    ],
    [
      'a changed document',
      async (db) =>
        await scratch.client
          .db(db('shop'))
          .collection<{ _id: number }>('orders')
          .updateOne({ _id: 7 }, { $set: { text: 'other' } }),
      'documents of shop.orders: the server has 2,500 documents, of which some are others',
    ],
    [
      'a lost document that the oplog brought',
      async (db) => await scratch.client.db(db('crm')).collection<{ _id: number }>('people').deleteOne({ _id: 77 }),
      'documents of crm.people: the server has 2 documents instead of 3',
    ],
    [
      'a hidden index turned visible',
      async (db) =>
        await scratch.client.db(db('shop')).command({ collMod: 'orders', index: { name: 'hidden', hidden: false } }),
      'index hidden of shop.orders: hidden was true, and is not set',
    ],
    [
      'a changed option',
      async (db) => await scratch.client.db(db('shop')).command({ collMod: 'orders', validationLevel: 'off' }),
      'shop.orders: option validationLevel was not set, and is "off"',
    ],
    [
      'a lost index',
      async (db) => await scratch.client.db(db('shop')).collection('orders').dropIndex('hidden'),
      'index hidden of shop.orders: it is not there',
    ],
    [
      'a lost view',
      async (db) => await scratch.client.db(db('shop')).dropCollection('few'),
      'shop.few: it is not there',
    ],
  ])('fails for %s and names it', async (_what, harm, text) => {
    expect(notPassed(await compareAfter(harm))).toEqual([expect.stringContaining(`data failed: ${text}`)])
  })

  test('is skipped by name when there is no server', async () => {
    const checks: ProofCheck[] = []
    await using folder = SandboxFolder.create()
    const { proof } = mongoSource({ url: source.server.url })
    const job = {
      repository: taken.repository,
      snapshot: taken.snapshot,
      report: (check: ProofCheck) => void checks.push(check),
    }
    const before = process.env.HOLDFAST_MONGOD
    process.env.HOLDFAST_MONGOD = '/nowhere/mongod'
    try {
      expect(await proof!.openSandbox(job, folder)).toBeUndefined()
    } finally {
      if (before === undefined) delete process.env.HOLDFAST_MONGOD
      else process.env.HOLDFAST_MONGOD = before
    }
    expect(checks).toEqual([
      expect.objectContaining({
        level: 'restore',
        outcome: 'skipped',
        detail: expect.stringContaining('no mongod is on this machine'),
      }),
    ])
  })

  test('is skipped with what a mongod says that does not start', async () => {
    using scratchPlace = scratchFolder()
    chmodSync(scratchPlace.path, 0o755)
    const path = scratchPlace.join('mongod')
    writeFileSync(
      path,
      '#!/bin/sh\n[ "$1" = --version ] && echo "db version v7.0.18" && exit 0\necho no room left\nexit 3\n',
      { mode: 0o755 },
    )
    const programs = await findMongod({ HOLDFAST_MONGOD: path })
    expect(programs).toEqual([{ path, version: '7.0.18' }])
    expect([mongodFor(programs, '6.0.3'), mongodFor(programs, '7.0.1')]).toEqual([programs[0], programs[0]])
    expect([mongodFor(programs, '8.0.1'), mongodFor(programs, '5.0.1')]).toEqual([undefined, undefined])
    await using folder = SandboxFolder.create()
    expect(await startMongod(folder, programs[0]!, systemClock, undefined)).toMatch(
      /mongod does not start: exit code 3; .*no room left/,
    )
  })
})
