import { mkdirSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { filesStage, openSource } from '../../test/support/files-stage.ts'
import { dice, SEED } from '../../test/support/good-sets/dice.ts'
import { writeFileSet } from '../../test/support/good-sets/files.ts'
import { fillMongoSet } from '../../test/support/good-sets/mongo.ts'
import { postgresSet } from '../../test/support/good-sets/postgres.ts'
import { DATABASES_OF_A_SET, redisSet } from '../../test/support/good-sets/redis.ts'
import { lacks } from '../../test/support/requirements.ts'
import { mongoSource, startMongoStage } from '../../test/support/servers/mongo-source.ts'
import { type PostgresServer, startPostgres } from '../../test/support/servers/postgres.ts'
import { completePrograms } from '../../test/support/servers/postgres-programs.ts'
import { sourceOf } from '../../test/support/servers/postgres-source.ts'
import { startRedis } from '../../test/support/servers/redis.ts'
import { redisSource } from '../../test/support/servers/redis-source.ts'
import { memoryRepository, plainOptions } from '../../test/support/test-repository.ts'
import type { Repository } from '../engine/repository/repository.ts'
import { systemClock } from '../lib/clock.ts'
import { noProgress } from '../lib/progress.ts'
import { configKind } from '../sources/config-files/index.ts'
import { filesKind } from '../sources/files/index.ts'
import type { ProofCheck } from '../sources/proof.ts'
import type { Source } from '../sources/source.ts'
import { type ProofResult, proveSnapshot } from './prove.ts'

// Fifty sets that are good, of other things each time: a proof that fails for one of them cannot be believed when it fails.
const SETS = { clusterDatabases: 6, dumpedDatabases: 14, redis: 12, mongodb: 8, files: 10 }

/** How many of them go into one backup: what a backup and a proof start costs more than what they look at here. */
const TOGETHER = 4

/** Numbers of sets, those of one backup together. */
const together = (count: number): readonly (readonly number[])[] =>
  Array.from({ length: Math.ceil(count / TOGETHER) }, (_, i) =>
    Array.from({ length: Math.min(TOGETHER, count - i * TOGETHER) }, (_, k) => i * TOGETHER + k),
  )

const ROUND_MS = 180_000

/** Backs up, and proves the snapshot as far as can be. */
async function proved(source: Source, repository: Repository): Promise<ProofResult> {
  const options = plainOptions(repository, [`source=${source.name}`])
  const { result } = await source.backup({ repository, type: 'full', require: [], options })
  return await proveSnapshot(repository, result.snapshot!, {
    level: 'data',
    assertions: [],
    proof: source.proof,
    clock: systemClock,
    progress: noProgress,
    onCheck: () => undefined,
  })
}

const faulty = (checks: readonly ProofCheck[]): readonly string[] =>
  checks.flatMap(({ outcome, name, detail }) =>
    outcome === 'failed' || outcome === 'skipped' ? [`${outcome} ${name}: ${detail}`] : [],
  )

/** @param names of checks that must be among those that passed, since the set has something of the kind */
function expectProved(
  { outcome, proved: level, checks }: ProofResult,
  what: string,
  names: readonly string[] = [],
): void {
  expect(faulty(checks), what).toEqual([])
  expect({ outcome, level }, what).toEqual({ outcome: 'passed', level: 'data' })
  const passed = checks.filter((check) => check.outcome === 'passed').map(({ name }) => name)
  expect(passed, what).toEqual(expect.arrayContaining([...names]))
}

describe(`a good set is proved (HOLDFAST_TEST_SEED=${SEED}):`, { timeout: ROUND_MS }, () => {
  describe.skipIf(lacks('postgres15'))('PostgreSQL', () => {
    let server: PostgresServer
    const fill = async (prefix: string, count: number): Promise<string[]> => {
      const names = Array.from({ length: count }, (_, i) => `${prefix}${i}`)
      for (const [i, name] of names.entries()) {
        await server.sql(`CREATE DATABASE ${name}`)
        const statements = [...postgresSet(dice(SEED, i + 1000 * prefix.length))]
        const client = new pg.Client({ connectionString: server.url.replace(/postgres$/, name) })
        await client.connect()
        try {
          for (const statement of statements)
            await client.query(statement).catch((error: Error) => expect.unreachable(`${error.message}: ${statement}`))
        } finally {
          await client.end()
        }
      }
      return names
    }
    beforeAll(async () => {
      vi.stubEnv('HOLDFAST_POSTGRES_BIN', completePrograms(15)!)
      server = await startPostgres({ version: 15, programs: completePrograms(15)!, initdb: ['--data-checksums'] })
    })
    afterAll(async () => {
      vi.unstubAllEnvs()
      await server?.stop()
    })

    test(`${SETS.clusterDatabases} databases, the files of the cluster`, async () => {
      const names = await fill('file', SETS.clusterDatabases)
      const result = await proved(sourceOf(server, { checkpoint: 'fast' }), await memoryRepository())
      expectProved(
        result,
        'cluster',
        names.flatMap((name) => [`structure of tables in ${name}`, `every row of every table in ${name}`]),
      )
    })

    test(`${SETS.dumpedDatabases} databases, dumped`, async () => {
      const names = await fill('dumped', SETS.dumpedDatabases)
      const source = sourceOf(server, { mode: 'logical', databases: names })
      expectProved(
        await proved(source, await memoryRepository()),
        'dump',
        names.flatMap((name) => [`objects of ${name}`, `rows of tables in ${name}`]),
      )
    })
  })

  test.skipIf(lacks('redis-server'))(`${SETS.redis} of Redis`, async () => {
    const repository = await memoryRepository()
    const server = await startRedis()
    try {
      for (const streams of together(SETS.redis)) {
        await server.command('FLUSHALL')
        await server.command('FUNCTION', 'FLUSH')
        for (const [i, stream] of streams.entries())
          for (const command of redisSet(dice(SEED, stream), i * DATABASES_OF_A_SET))
            await server.command(...command).catch((error: unknown) => {
              if (command[0] !== 'CONFIG') throw error
            })
        expectProved(await proved(redisSource({ url: server.url }), repository), `sets ${streams}`)
      }
    } finally {
      await server.stop()
    }
  })

  test(`${SETS.mongodb} of MongoDB (scripted)`, async () => {
    await using scratch = await startMongoStage()
    for (const [i, streams] of together(SETS.mongodb).entries()) {
      await using stage = await startMongoStage({ replicaSet: 'rs0' })
      for (const stream of streams)
        await fillMongoSet(dice(SEED, stream), (name) => stage.client.db(name), `set${stream}`)
      const consistency = i % 2 === 0 ? 'oplog' : 'snapshot'
      const source = mongoSource({ url: stage.server.url, consistency, proof: { url: scratch.server.url } })
      expectProved(await proved(source, await memoryRepository()), `sets ${streams}`)
    }
  })

  test(`${SETS.files} folders`, async () => {
    for (const [i, streams] of together(SETS.files).entries()) {
      using stage = await filesStage()
      const paths = streams.map((stream) => stage.file(String(stream)))
      for (const [at, stream] of streams.entries()) {
        mkdirSync(paths[at]!)
        writeFileSet(dice(SEED, stream), paths[at]!)
      }
      const [kind, more] = i % 2 === 0 ? [configKind, { secrets: ['*a*'] }] : [filesKind, {}]
      const source = openSource(kind as typeof filesKind, { paths, ...more })
      expectProved(await proved(source, stage.repository), `sets ${streams}`)
    }
  })
})
