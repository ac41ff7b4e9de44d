import { BSON } from 'mongodb'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Alteration, altered, attested, flipped, removed, shortened } from '../../test/support/postgres-stage.ts'
import { lacks } from '../../test/support/requirements.ts'
import { mongoSource, numbered, startMongoStage } from '../../test/support/servers/mongo-source.ts'
import { startPostgres } from '../../test/support/servers/postgres.ts'
import { completePrograms } from '../../test/support/servers/postgres-programs.ts'
import { sourceOf } from '../../test/support/servers/postgres-source.ts'
import { sealed, startRedis } from '../../test/support/servers/redis.ts'
import { redisSource } from '../../test/support/servers/redis-source.ts'
import { contentOf, nodesOf } from '../../test/support/stored-nodes.ts'
import { memoryRepository, plainOptions } from '../../test/support/test-repository.ts'
import type { Repository } from '../engine/repository/repository.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import { systemClock } from '../lib/clock.ts'
import { noProgress } from '../lib/progress.ts'
import { documentsOf } from '../sources/mongodb/bson/batch.ts'
import type { Source } from '../sources/source.ts'
import { proveSnapshot } from './prove.ts'

const ROUND_MS = 180_000

/** A good snapshot, and a later one of the same source. */
interface Stage {
  readonly repository: Repository
  readonly source: Source
  readonly good: StoredSnapshot
  readonly later: StoredSnapshot
}

async function stageOf(source: Source, change: () => Promise<unknown>): Promise<Stage> {
  const repository = await memoryRepository()
  const backUp = async (): Promise<StoredSnapshot> => {
    const options = plainOptions(repository, [`source=${source.name}`])
    return (await source.backup({ repository, type: 'full', require: [], options })).result.snapshot!
  }
  const good = await backUp()
  await change()
  return { repository, source, good, later: await backUp() }
}

/** What a proof to level data finds wrong, after the snapshot has been changed. */
async function faultsOf(
  { repository, source, good }: Stage,
  changes: Readonly<Record<string, Alteration>>,
): Promise<string> {
  const { outcome, checks } = await proveSnapshot(repository, await altered(repository, good, changes), {
    level: 'data',
    assertions: [],
    proof: source.proof,
    clock: systemClock,
    progress: noProgress,
    onCheck: () => undefined,
  })
  const faults = checks.flatMap((check) => (check.outcome === 'failed' ? [`${check.name}: ${check.detail}`] : []))
  expect(outcome, faults.join('\n')).toBe('failed')
  return faults.join('\n')
}

const fileOf = async ({ repository, later }: Stage, path: string): Promise<Buffer> =>
  await contentOf(repository, (await nodesOf(repository, later.tree!)).get(path)!)

describe('the ladder to level data ends with a failure that names the object', { timeout: ROUND_MS }, () => {
  test.skipIf(lacks('postgres15'))('for files of a PostgreSQL cluster', async () => {
    await using server = await startPostgres({ version: 15, initdb: ['--data-checksums'] })
    await server.sql('CREATE TABLE orders AS SELECT g AS id FROM generate_series(1, 5000) g')
    await server.sql('CREATE TABLE words AS SELECT md5(g::text) AS word FROM generate_series(1, 20000) g')
    await server.sql('CREATE INDEX words_index ON words (word)')
    const place = async (name: string): Promise<string> =>
      String((await server.sql(`SELECT pg_relation_filepath('${name}') AS file`))[0]!.file)
    const [table, index] = [await place('orders'), await place('words_index')]
    const stage = await stageOf(sourceOf(server, { checkpoint: 'fast' }), () =>
      server.sql('INSERT INTO orders VALUES (0)'),
    )

    const manifest = await fileOf(stage, '/shop/.holdfast/manifest.json')
    expect(await faultsOf(stage, { '/shop/.holdfast/manifest.json': () => manifest })).toMatch(
      /it is of another snapshot/,
    )
    expect(await faultsOf(stage, { [`/shop/data/${table}`]: flipped(8192 + 5000) })).toContain(
      `${table}: it has the checksum`,
    )

    // What was damaged before the server sent it: its own manifest says that it is as it should be.
    const nodes = await nodesOf(stage.repository, stage.good.tree!)
    const content = async (path: string): Promise<Buffer> =>
      await contentOf(stage.repository, nodes.get(`/shop/data/${path}`)!)
    const [page, cut] = [flipped(8192 + 5000)(await content(table)), shortened(8192)(await content(index))]
    const faults = await faultsOf(stage, {
      [`/shop/data/${table}`]: () => page,
      [`/shop/data/${index}`]: () => cut,
      '/shop/data/backup_manifest': (bytes) => attested(index, cut)(attested(table, page)(bytes)),
    })
    expect(faults).toContain(`checksums of pages: ${table}: the checksum of page 1 is wrong`)
    expect(faults).toContain('structure of tables in postgres: postgres.public.orders: ')
    expect(faults).toContain('B-tree indexes in postgres, with every row found: postgres.public.words_index: ')
  })

  describe.skipIf(lacks('postgres15'))('for a dump of PostgreSQL', () => {
    let stage: Stage
    beforeAll(async () => {
      vi.stubEnv('HOLDFAST_POSTGRES_BIN', completePrograms(15)!)
      await using server = await startPostgres({ version: 15, programs: completePrograms(15)! })
      await server.sql('CREATE TABLE orders AS SELECT g AS id, md5(g::text) FROM generate_series(1, 3000) g')
      await server.sql('CREATE TABLE other AS SELECT 1 AS n')
      const source = sourceOf(server, { mode: 'logical' })
      stage = await stageOf(source, () => server.sql("INSERT INTO orders VALUES (0, 'late')"))
    })
    afterAll(() => void vi.unstubAllEnvs())

    const rows = '/shop/data/postgres/public.orders.dat'
    const withoutRow = (bytes: Buffer): Buffer => bytes.subarray(bytes.indexOf('\n') + 1)
    test.each<[string, Readonly<Record<string, Alteration>>, RegExp]>([
      ['that is truncated', { [rows]: shortened(4000) }, /postgres\.public\.orders: it is cut off/],
      ['that lacks a table', { [rows]: removed }, /postgres\.public\.orders: postgres\/public\.orders\.dat is not in/],
      ['that lacks a row', { [rows]: withoutRow }, /postgres\.public\.orders: 2999 rows, and 3000 were read/],
      [
        'whose definitions are cut off',
        { '/shop/data/postgres/toc.dat': shortened(500) },
        /toc\.dat of database postgres/,
      ],
    ])('%s', async (_, changes, expected) => {
      expect(await faultsOf(stage, changes)).toMatch(expected)
    })

    test('of another time', async () => {
      const [manifest, theirs] = [await fileOf(stage, '/shop/.holdfast/manifest.json'), await fileOf(stage, rows)]
      expect(await faultsOf(stage, { '/shop/.holdfast/manifest.json': () => manifest })).toMatch(/is not tagged point=/)
      expect(await faultsOf(stage, { [rows]: () => theirs })).toMatch(/orders: 3001 rows, and 3000 were read/)
    })

    test('that knew less than the tables had: the restored table is another', async () => {
      const lost = (bytes: Buffer): Buffer => {
        const manifest = JSON.parse(String(bytes))
        const table = manifest.databases[0].tables.find(({ name }: { readonly name: string }) => name === 'orders')
        table.rows = 2999
        table.bytes = table.slices[0] = table.bytes - 35
        return Buffer.from(JSON.stringify(manifest))
      }
      const changes = { [rows]: withoutRow, '/shop/.holdfast/manifest.json': lost }
      expect(await faultsOf(stage, changes)).toMatch(/postgres\.public\.orders/)
    })
  })

  test.skipIf(lacks('redis-server'))('for an RDB file', async () => {
    const server = await startRedis()
    try {
      await server.command('CONFIG', 'SET', 'rdbcompression', 'no')
      await server.command('SET', 'greeting', 'hello to everybody')
      const stage = await stageOf(redisSource({ url: server.url }), () => server.command('SET', 'late', '1'))
      const path = '/session/data/dump.rdb'
      const flip = (bytes: Buffer): Buffer => flipped(bytes.indexOf('hello') + 1)(bytes)
      expect(await faultsOf(stage, { [path]: flip })).toMatch(/every value of dump\.rdb: .*checksum/)
      const fitting = (bytes: Buffer): Buffer => Buffer.from(sealed(flip(bytes).subarray(0, -8)))
      expect(await faultsOf(stage, { [path]: fitting })).toMatch(/keys of database 0: .*differ/)
      const theirs = await fileOf(stage, path)
      expect(await faultsOf(stage, { [path]: () => theirs })).toMatch(/keys of database 0: 1 key.* were? read.* 2 keys/)
    } finally {
      await server.stop()
    }
  })

  test('for a dump of MongoDB (scripted)', async () => {
    await using server = await startMongoStage({ replicaSet: 'rs0' })
    await using scratch = await startMongoStage()
    const shop = server.client.db('shop')
    await shop.collection<{ _id: number }>('orders').insertMany(numbered(500))
    await shop.createIndex('orders', { text: 1 }, { name: 'unseen', hidden: true })
    const source = mongoSource({ url: server.server.url, proof: { url: scratch.server.url } })
    const stage = await stageOf(source, () => shop.collection<{ _id: number }>('orders').insertOne({ _id: 7777 }))
    const documents = '/catalog/data/shop/orders.bson'
    const lost = (bytes: Buffer): Buffer => bytes.subarray(bytes.readInt32LE(0))
    expect(await faultsOf(stage, { [documents]: lost })).toMatch(/documents of shop\.orders: /)
    const visible = (bytes: Buffer): Buffer =>
      Buffer.concat(
        Array.from(documentsOf(bytes), (entry) => {
          const document = BSON.deserialize(entry, { promoteValues: false })
          for (const index of document.indexes) delete index.hidden
          return Buffer.from(BSON.serialize(document))
        }),
      )
    expect(await faultsOf(stage, { '/catalog/.holdfast/catalog.bson': visible })).toMatch(
      /options and indexes of shop\.orders: /,
    )
    const theirs = await fileOf(stage, documents)
    expect(await faultsOf(stage, { [documents]: () => theirs })).toMatch(/documents of shop\.orders: /)
  })
})
