import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { type PostgresServer, startPostgres } from '../../../../test/support/servers/postgres.ts'
import { scratchFolder } from '../../../../test/support/test-repository.ts'
import { listHeaps } from '../check/relations.ts'
import { checkHeapFiles } from './heap-check.ts'
import { type HeapRules, heapPageFault } from './heap-page.ts'
import { SandboxSession } from './sandbox-session.ts'

const PAGE_BYTES = 8192

describe.skipIf(lacks('postgres15'))('pages of tables', () => {
  let server: PostgresServer
  let session: SandboxSession
  let file = ''
  let page: Buffer
  let rules: HeapRules

  beforeAll(async () => {
    server = await startPostgres({ version: 15, settings: { autovacuum: 'off' } })
    await server.sql(`
      CREATE TABLE goods (id int, name text, price numeric, dropped int) WITH (fillfactor = 60);
      INSERT INTO goods SELECT g, CASE WHEN g % 3 = 0 THEN NULL ELSE repeat('x', g % 50) END, g, g FROM generate_series(1, 3000) g;
      ALTER TABLE goods DROP COLUMN dropped, ADD COLUMN added text;
      CREATE TABLE long (what text); ALTER TABLE long ALTER what SET STORAGE EXTERNAL;
      INSERT INTO long SELECT repeat('long', 5000) FROM generate_series(1, 20)`)
    // Rows that have moved within their page, lines that lead on, lines that are free, rows that were locked, and an end that was cut off.
    await server.sql('UPDATE goods SET price = price + 1 WHERE id % 5 = 0')
    await server.sql('SELECT count(*) FROM goods')
    await server.sql('UPDATE goods SET price = price + 1 WHERE id % 5 = 0')
    await server.sql('DELETE FROM goods WHERE id % 11 = 0')
    await server.sql('VACUUM goods')
    await server.sql('BEGIN; SELECT * FROM goods WHERE id < 50 FOR SHARE; COMMIT')
    await server.sql('BEGIN; DELETE FROM goods WHERE id = 4; ROLLBACK')
    await server.sql('CHECKPOINT')
    const { socketDirectory, port, user } = server
    session = await SandboxSession.open({ host: socketDirectory, port, user, database: 'postgres' })
    const [facts] = await session.rows(
      `SELECT pg_relation_filepath(oid) AS path, relfrozenxid::text::int8 AS oldest FROM pg_class WHERE relname = 'goods'`,
    )
    file = String(facts!.path)
    page = readFileSync(`${server.dataDirectory}/${file}`).subarray(0, PAGE_BYTES)
    rules = { columns: 5, oldest: Number(facts!.oldest), next: Number(facts!.oldest) + 100 }
  })
  afterAll(async () => {
    await session?.[Symbol.asyncDispose]()
    await server?.stop()
  })

  test('of everything a server has are sound', async () => {
    const heaps = await listHeaps({ session, database: 'postgres', withUnlogged: true })
    expect(heaps.length).toBeGreaterThan(60)
    for (const { oid, item } of heaps)
      expect(
        await checkHeapFiles(session, { dataDirectory: server.dataDirectory, pageBytes: PAGE_BYTES }, oid),
        item,
      ).toBe('')
  })

  const lineOf = (bytes: Buffer, kind: number): number => {
    for (let at = 24; at < bytes.readUInt16LE(12); at += 4)
      if (((bytes.readUInt32LE(at) >>> 15) & 3) === kind) return at
    throw new Error(`no line of kind ${kind}`)
  }
  const rowOf = (bytes: Buffer): number => bytes.readUInt32LE(lineOf(bytes, 1)) & 0x7fff

  test.each<[string, (bytes: Buffer) => unknown, RegExp]>([
    ['another version', (bytes) => bytes.writeUInt16LE(8192 | 3, 18), /size and version/],
    ['a beginning of free space behind its end', (bytes) => bytes.writeUInt16LE(8000, 12), /free space lies/],
    ['a claim to be new', (bytes) => bytes.writeUInt16LE(0, 14), /never used, and is not empty/],
    [
      'a row behind its end',
      (bytes) => bytes.writeUInt32LE((8184 | (1 << 15) | (100 << 17)) >>> 0, 24),
      /line 1: the row lies/,
    ],
    [
      'a row out of line',
      (bytes) => bytes.writeUInt32LE((8001 | (1 << 15) | (100 << 17)) >>> 0, 24),
      /line 1: .*not aligned/,
    ],
    [
      'a row without room',
      (bytes) => bytes.writeUInt32LE((8000 | (1 << 15) | (9 << 17)) >>> 0, 24),
      /line 1: the row has 9/,
    ],
    [
      'a line that leads nowhere',
      (bytes) => bytes.writeUInt32LE(2000 | (2 << 15), lineOf(bytes, 2)),
      /leads to line 2000/,
    ],
    ['more columns than the table', (bytes) => bytes.writeUInt16LE(6, rowOf(bytes) + 18), /6 columns, and the table 5/],
    ['values that begin elsewhere', (bytes) => bytes.writeUInt8(40, rowOf(bytes) + 22), /its values begin at 40/],
    ['a row of the future', (bytes) => bytes.writeUInt32LE(4000, rowOf(bytes)), /made by transaction 4000/],
    ['a row that nobody can have frozen', (bytes) => bytes.writeUInt32LE(5, rowOf(bytes)), /made by transaction 5/],
  ])('with %s are found', (_, plant, expected) => {
    expect(heapPageFault(page, rules)).toBeUndefined()
    const damaged = Buffer.from(page)
    plant(damaged)
    expect(heapPageFault(damaged, rules)).toMatch(expected)
  })

  test('are named by their numbers, and a file by its end', async () => {
    using scratch = scratchFolder()
    const copy = scratch.join(file)
    mkdirSync(dirname(copy), { recursive: true })
    cpSync(`${server.dataDirectory}/${file}`, copy)
    const [row] = await session.rows(`SELECT oid::text AS oid FROM pg_class WHERE relname = 'goods'`)
    const check = (): Promise<string> =>
      checkHeapFiles(session, { dataDirectory: scratch.path, pageBytes: PAGE_BYTES }, String(row!.oid))
    expect(await check()).toBe('')
    const bytes = readFileSync(copy)
    bytes.writeUInt16LE(8000, 3 * PAGE_BYTES + 12)
    writeFileSync(copy, bytes.subarray(0, -100))
    expect(await check()).toMatch(/^page 3, its free space .*; page \d+, it has 8092 bytes$/)
  })
})
