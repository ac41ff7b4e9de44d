import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { fillWithEveryType, type RedisServer, startRedis } from '../../../../test/support/servers/redis.ts'
import { redisSnapshot, redisSource, restoreJob, restoreNotes } from '../../../../test/support/servers/redis-source.ts'
import { memoryRepository } from '../../../../test/support/test-repository.ts'
import type { Repository } from '../../../engine/repository/repository.ts'
import type { StoredSnapshot } from '../../../engine/repository/snapshot.ts'
import type { PlannedRestore } from '../../restore.ts'
import { findPrograms } from '../proof/programs.ts'
import { formatText, knowsType, payloadFor, payloadVersion, readersOf, reads } from '../rdb-versions.ts'

const redis = (version: string) => ({ kind: 'redis', version }) as const
const valkey = (version: string) => ({ kind: 'valkey', version }) as const
const format = (version: number, dialect: 'redis' | 'valkey' = 'redis') => ({ dialect, version }) as const

test('which server reads which format', () => {
  const readers = [
    redis('6.2.14'),
    redis('7.0.15'),
    redis('7.2.4'),
    redis('7.4.1'),
    redis('8.0.6'),
    valkey('8.1.0'),
    valkey('9.1.2'),
  ]
  const table = [format(9), format(10), format(11), format(12), format(80, 'valkey')].map((found) =>
    readers.map((server) => (reads(server, found) ? 'x' : '-')).join(''),
  )
  expect(table).toEqual(['xxxxxxx', '-xxxxxx', '--xxxxx', '---xx--', '------x'])
  expect(formatText(format(12))).toBe('RDB version 12 of Redis')
  expect([9, 10, 11, 12].map((version) => readersOf(format(version)))).toEqual([
    'Redis 5.0 or later, or Valkey',
    'Redis 7.0 or later, or Valkey',
    'Redis 7.2 or later, or Valkey',
    'Redis 7.4 or later',
  ])
  expect(readersOf(format(80, 'valkey'))).toBe('Valkey 9 or later')
})

test('as what a server takes a value', () => {
  const takes = (server: Parameters<typeof payloadFor>[0], from: Parameters<typeof payloadFor>[1]) =>
    [0, 15, 16, 17, 18, 19, 20, 21, 22, 24].map((code) => {
      const payload = payloadFor(server, from, code)
      return payload && (payload.dialect === 'valkey' ? -payload.code : payload.code)
    })
  expect(takes(redis('6.2.14'), format(10))).toEqual([0, 15, 4, 5, 1, 15, 2, 15, undefined, undefined])
  expect(takes(redis('7.0.15'), format(12))).toEqual([0, 15, 16, 17, 18, 19, 2, 19, undefined, undefined])
  expect(takes(valkey('9.1.2'), format(12))).toEqual([0, 15, 16, 17, 18, 19, 20, 21, -22, -22])
  expect(takes(redis('8.0.6'), format(80, 'valkey')).slice(0, 9)).toEqual(
    [0, 15, 16, 17, 18, 19, 20, 21, 24].map((code, i) => (i < 8 ? -code : code)),
  )
  expect(payloadFor(valkey('9.1.2'), format(12), 24)).toEqual({ dialect: 'valkey', code: 22, version: 80 })
  expect(payloadFor(redis('6.2.14'), format(12), 21)).toEqual({ dialect: 'redis', code: 15, version: 9 })
})

test('which server takes which value on its own', () => {
  expect([0, 15, 16, 20, 21, 22].map((code) => knowsType(redis('7.0.15'), format(12), code))).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
  ])
  expect([20, 21, 22].map((code) => knowsType(valkey('8.1.0'), format(12), code))).toEqual([true, true, false])
  expect([21, 22].map((code) => knowsType(redis('8.0.6'), format(80, 'valkey'), code))).toEqual([true, false])
  expect(knowsType(valkey('9.1.2'), format(80, 'valkey'), 22)).toBe(true)
  expect(knowsType(redis('6.2.14'), format(10), 16)).toBe(false)
  expect(payloadVersion(redis('7.0.15'), format(12))).toBe(10)
  expect(payloadVersion(redis('8.0.6'), format(80, 'valkey'))).toBe(11)
  expect(payloadVersion(valkey('9.1.2'), format(80, 'valkey'))).toBe(80)
  expect(payloadVersion(valkey('9.1.2'), format(12))).toBe(11)
})

const errorsOf = ({ plan }: PlannedRestore): string[] =>
  plan.problems.filter(({ severity }) => severity === 'error').map(({ what }) => what)

const programs = lacks('redis-server') ? [] : await findPrograms()

/** Redis 7.4 and later, and Valkey 9, with fields of a hash that expire. */
const withExpiringFields = programs.filter(
  ({ kind, version }) => Number.parseFloat(version) >= (kind === 'valkey' ? 9 : 7.4),
)

describe.skipIf(withExpiringFields.length === 0)('hashes whose fields expire', () => {
  test.each(withExpiringFields)(
    'of $kind $version go where they are known, and are refused by name elsewhere',
    async (from) => {
      const server = await startRedis({ program: from.path })
      try {
        await server.command('HSET', 'mixed', 'lasting', '1', 'short', '2')
        await server.command('HEXPIREAT', 'mixed', '4102444800', 'FIELDS', '1', 'short')
        const repository = await memoryRepository()
        const snapshot = await redisSnapshot(repository, { url: server.url })
        for (const to of programs) {
          const target = await startRedis({ program: to.path })
          try {
            const planned = await redisSource({ url: server.url }).planRestore!(
              restoreJob(repository, snapshot, { target: { kind: 'server', url: target.url } }),
            )
            if (withExpiringFields.includes(to)) {
              expect(errorsOf(planned)).toEqual([])
              const notes = restoreNotes()
              await planned.execute(notes)
              expect(notes.errors).toEqual([])
              expect(String(await target.command('HPEXPIRETIME', 'mixed', 'FIELDS', '2', 'short', 'lasting'))).toBe(
                '4102444800000,-1',
              )
            } else {
              expect(errorsOf(planned)).toEqual([expect.stringContaining('how "mixed" of database 0')])
              await expect(planned.execute(restoreNotes())).rejects.toMatchObject({ code: 'HF_TARGET_INVALID' })
              expect(await target.command('DBSIZE')).toBe(0n)
            }
          } finally {
            await target.stop()
          }
        }
      } finally {
        await server.stop()
      }
    },
  )
})

describe.skipIf(lacks('redis-server')).each(programs)('a snapshot of $kind $version', (from) => {
  let server: RedisServer
  let repository: Repository
  let snapshot: StoredSnapshot

  beforeAll(async () => {
    server = await startRedis({ program: from.path })
    await fillWithEveryType(server)
    repository = await memoryRepository()
    snapshot = await redisSnapshot(repository, { url: server.url })
  })

  afterAll(() => server?.stop())

  test.each(programs)('is restored into $kind $version as far as that knows its types', async (to) => {
    const target = await startRedis({ program: to.path })
    try {
      const planned = await redisSource({ url: server.url }).planRestore!(
        restoreJob(repository, snapshot, { target: { kind: 'server', url: target.url } }),
      )
      expect(errorsOf(planned)).toEqual([])
      const notes = restoreNotes()
      const result = await planned.execute(notes)
      expect(notes.errors).toEqual([])
      // The digests of servers are comparable between equal versions only; ours was compared by the restore.
      if (from.path === to.path) {
        expect(result.facts.way).toBe('as from a master')
        expect(String(await target.command('DEBUG', 'DIGEST'))).toBe(String(await server.command('DEBUG', 'DIGEST')))
      } else expect(Number(await target.command('DBSIZE'))).toBe(Number(await server.command('DBSIZE')))
    } finally {
      await target.stop()
    }
  })
})
