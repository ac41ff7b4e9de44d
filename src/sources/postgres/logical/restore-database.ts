import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { Endpoint } from '../endpoint.ts'
import { type ClientProgram, connectionEnvironment, databaseArgument, runProgram } from './client-programs.ts'
import { CopySession } from './copy-session.ts'
import { useEncoding } from './dump-database.ts'
import type { DatabaseRecord, TableRecord } from './manifest.ts'
import { decoded, literal, quoted } from './names.ts'
import { writePlainly } from './snapshot-session.ts'
import { splitCopyStatement } from './table-reads.ts'
import { directoryToc, type Toc, type TocEntry } from './toc.ts'
import { together } from './together.ts'

/** A table that can be restored. */
export interface RestorableTable extends Pick<TableRecord, 'path' | 'schema' | 'name' | 'bytes'> {
  /** As in `TableRecord`; each of several can be read by itself. */
  readonly slices?: readonly number[]
}

/** A database that can be restored. */
export interface RestorableDatabase
  extends Pick<DatabaseRecord, 'name' | 'encoding' | 'collate' | 'ctype' | 'moneyLocale' | 'extensions'> {
  /** Its table of contents lies in the folder its tables' files are in; or the whole dump. */
  readonly dump: Pick<DatabaseRecord['dump'], 'path' | 'bytes'>
  readonly tables: readonly RestorableTable[]
  readonly largeObjects: Pick<NonNullable<DatabaseRecord['largeObjects']>, 'bytes'> | undefined
}

/** The rows of a table as COPY writes them, without what marks their end. */
export interface TableRows {
  readonly pieces: AsyncIterable<Uint8Array>
  /** How many there are; asked when all pieces have been read. Of a slice nobody knows. */
  count(): number | undefined
}

export interface LargeObject {
  readonly oid: string
  readonly pieces: AsyncIterable<Uint8Array>
}

/** Where the content of databases comes from. */
export interface DumpContent {
  /** `slice`: only this one of them, by its number. */
  rows(database: RestorableDatabase, table: RestorableTable, signal?: AbortSignal, slice?: number): TableRows
  largeObjects(database: RestorableDatabase, signal?: AbortSignal): AsyncIterable<LargeObject>
  /** A dump that is one file; undefined when it is none. */
  archive(database: RestorableDatabase, signal?: AbortSignal): AsyncIterable<Uint8Array> | undefined
}

/** One database, or parts of it, on its way into a database that is there. */
export interface DatabaseRestore {
  readonly content: DumpContent
  readonly record: RestorableDatabase
  /** What is restored of it, perhaps under other names. Undefined for a dump in one file, which is restored as a whole. */
  readonly toc: Toc | undefined
  /** Schemas that are made for it. */
  readonly newSchemas: readonly string[]
  /** Its `database` is the target. */
  readonly endpoint: Endpoint
  readonly password: string | undefined
  readonly program: ClientProgram
  readonly jobs: number
  /** Whether objects are given to the roles they belonged to, with the rights of others. */
  readonly keepOwners: boolean
  readonly onBytes: (bytes: number) => void
  readonly signal: AbortSignal | undefined
}

/** What came of it. */
export interface RestoredDatabase {
  readonly tables: number
  readonly rows: number
  readonly bytes: number
}

/**
 * Restores definitions by `pg_restore` and rows by COPY over several connections, straight out of what holds them.
 * @throws HoldfastError HF_RESTORE_FAILED naming the object; whatever reading the content throws
 */
export async function restoreDatabase(restore: DatabaseRestore): Promise<RestoredDatabase> {
  const { toc, content, record, signal } = restore
  if (toc === undefined) {
    const archive = content.archive(record, signal)
    if (archive === undefined) throw new HoldfastError('HF_INTERNAL', `database ${record.name} is in no dump`)
    await runRestore(restore, ['--exit-on-error'], [], archive)
    restore.onBytes(record.dump.bytes)
    return { tables: 0, rows: 0, bytes: record.dump.bytes }
  }
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-restore-'))
  try {
    const definitions = { ...toc, entries: toc.entries.filter(({ hasData }) => !hasData) }
    writeFileSync(join(folder, 'toc.dat'), directoryToc(definitions), { mode: 0o600 })
    await makeSchemas(restore)
    await runRestore(restore, ['--exit-on-error', '--section=pre-data'], [folder])
    const restored = await restoreRows(restore, toc)
    // Values of sequences; and, from PostgreSQL 17 on, large objects without their content.
    await runRestore(restore, ['--exit-on-error', '--section=data'], [folder])
    if (record.largeObjects !== undefined && toc.entries.some(({ kind }) => kind === 'BLOBS')) {
      await restoreLargeObjects(restore, toc)
      restore.onBytes(record.largeObjects.bytes)
    }
    await runRestore(restore, ['--exit-on-error', '--section=post-data', `--jobs=${restore.jobs}`], [folder])
    return restored
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function runRestore(
  { endpoint, password, program, keepOwners, signal }: DatabaseRestore,
  options: readonly string[],
  files: readonly string[],
  input?: AsyncIterable<Uint8Array>,
): Promise<void> {
  const owners = keepOwners ? [] : ['--no-owner', '--no-privileges']
  const args = [...options, ...owners, '--no-password', `--dbname=${databaseArgument(endpoint.database)}`, ...files]
  const environment = connectionEnvironment(endpoint, password)
  await runProgram('pg_restore', program, { args, environment, signal, ...(input && { input }) }, 'HF_RESTORE_FAILED')
}

async function makeSchemas({ endpoint, password, newSchemas, signal }: DatabaseRestore): Promise<void> {
  if (newSchemas.length === 0) return
  await using session = await CopySession.open(endpoint, password, { signal })
  for (const schema of newSchemas) await session.rows(`CREATE SCHEMA IF NOT EXISTS ${quoted(schema)}`)
}

async function restoreRows(restore: DatabaseRestore, toc: Toc): Promise<RestoredDatabase> {
  const { record, onBytes } = restore
  const tables = tasksOf(record, toc)
  const made = new Set(toc.entries.filter(({ kind }) => kind === 'TABLE').map(({ oid }) => oid))
  const tasks = copiesOf(tables, made, restore.jobs)
  let next = 0
  let rows = 0
  const work = async (signal: AbortSignal): Promise<void> => {
    if (next >= tasks.length) return
    await using session = await openSession(restore, toc, signal)
    for (let task = tasks[next++]; task !== undefined; task = tasks[next++]) {
      rows += await restoreTable(session, restore, task, signal)
      onBytes(task.bytes)
    }
  }
  const workers = Array.from({ length: Math.min(restore.jobs, tasks.length) }, () => work)
  await together(workers, restore.signal)
  for (const table of tables) requireAllRows(restore, table, tasks)
  return { tables: tables.length, rows, bytes: tables.reduce((sum, { table }) => sum + table.bytes, 0) }
}

/** One COPY. */
interface TableCopy extends TableTask {
  /** Only this slice of the table. */
  readonly slice: number | undefined
  readonly bytes: number
  /** Whether the table was made a moment ago, and nobody else writes it. */
  readonly isNew: boolean
  /** What the server took. */
  rows: number
}

/**
 * A table that would keep one connection busy when the others are through comes slice by slice over all of them. It costs that its rows are not
 * frozen at once: only who has emptied a table in the same transaction may do that, and keeps everybody else out.
 */
function copiesOf(
  tables: readonly TableTask[],
  made: ReadonlySet<string | undefined>,
  jobs: number,
): readonly TableCopy[] {
  const share = tables.reduce((sum, { table }) => sum + table.bytes, 0) / jobs
  return tables.flatMap((task): readonly TableCopy[] => {
    const { bytes, slices = [] } = task.table
    const isNew = made.has(task.entry.oid)
    return isNew && slices.length > 1 && bytes > share
      ? slices.map((sliceBytes, slice) => ({ ...task, isNew, slice, bytes: sliceBytes, rows: 0 }))
      : [{ ...task, isNew, slice: undefined, bytes, rows: 0 }]
  })
}

/** @throws HoldfastError HF_RESTORE_FAILED when the slices of a table had another number of rows than was read at the backup */
function requireAllRows(
  { content, record }: DatabaseRestore,
  { table }: TableTask,
  copies: readonly TableCopy[],
): void {
  const slices = copies.filter((copy) => copy.table === table && copy.slice !== undefined)
  if (slices.length === 0) return
  const rows = slices.reduce((sum, copy) => sum + copy.rows, 0)
  const read = content.rows(record, table).count()
  if (rows !== read) throw incomplete(table, new Error(otherRows(rows, read)))
}

async function openSession(
  { endpoint, password, record }: DatabaseRestore,
  toc: Toc,
  signal: AbortSignal | undefined,
): Promise<CopySession> {
  const session = await CopySession.open(endpoint, password, { signal })
  try {
    await writePlainly(session, await majorOf(session))
    await useMoneyLocale(session, record)
    await useEncoding(session, toc)
    return session
  } catch (error) {
    await session[Symbol.asyncDispose]()
    throw error
  }
}

interface TableTask {
  readonly entry: TocEntry
  readonly table: RestorableTable
}

/** The tables of a table of contents with what the manifest knows of each, the largest first. */
export function tasksOf(record: RestorableDatabase, { entries }: Toc): readonly TableTask[] {
  const folder = record.dump.path.slice(0, record.dump.path.lastIndexOf('/'))
  const byPath = new Map(record.tables.map((table) => [table.path, table]))
  return entries
    .filter(({ kind }) => kind === 'TABLE DATA')
    .map((entry) => {
      const table = byPath.get(`${folder}/${entry.fileName}`)
      if (table === undefined)
        throw new HoldfastError('HF_DATA_DAMAGED', `the manifest does not know the rows of ${decoded(entry.tag)}`)
      return { entry, table }
    })
    .sort((a, b) => b.table.bytes - a.table.bytes)
}

/**
 * Rows of a table that was made a moment ago, and which nobody sees yet, need no clean-up later: they are frozen from the beginning.
 * @returns how many there were
 */
async function restoreTable(
  session: CopySession,
  { content, record }: DatabaseRestore,
  copy: TableCopy,
  signal: AbortSignal,
): Promise<number> {
  const { table, entry, slice, isNew } = copy
  const { target, columns } = splitCopyStatement(entry)
  const list = columns.length === 0 ? '' : ` (${columns.join(', ')})`
  const bytes = (statement: string): Buffer => Buffer.from(statement, 'latin1')
  const isFrozen = isNew && slice === undefined
  try {
    await session.rows('BEGIN')
    if (isFrozen) await session.rows(bytes(`TRUNCATE TABLE ONLY ${target}`))
    const read = content.rows(record, table, signal, slice)
    copy.rows = await session.copyIn(
      bytes(`COPY ${target}${list} FROM STDIN${isFrozen ? ' WITH (FREEZE)' : ''}`),
      read.pieces,
    )
    if (slice === undefined && copy.rows !== read.count())
      throw new HoldfastError('HF_RESTORE_FAILED', otherRows(copy.rows, read.count()))
    await session.rows('COMMIT')
    return copy.rows
  } catch (error) {
    signal.throwIfAborted()
    throw incomplete(table, error)
  }
}

const otherRows = (taken: number, read: number | undefined): string =>
  `the server took ${taken} rows, and ${read} were read`

const incomplete = ({ schema, name }: RestorableTable, cause: unknown): HoldfastError =>
  new HoldfastError(
    'HF_RESTORE_FAILED',
    `the rows of ${schema}.${name} were not restored: ${(cause as Error).message}`,
    { cause, context: { table: `${schema}.${name}` } },
  )

const LARGE_PIECE_BYTES = 1024 * 1024

async function restoreLargeObjects(restore: DatabaseRestore, toc: Toc): Promise<void> {
  const { content, record, signal } = restore
  await using session = await openSession(restore, toc, signal)
  for await (const { oid, pieces } of content.largeObjects(record, signal)) {
    let at = 0
    await session.rows('BEGIN')
    for await (const blob of pieces)
      for (let from = 0; from < blob.length; from += LARGE_PIECE_BYTES) {
        const piece = blob.subarray(from, from + LARGE_PIECE_BYTES)
        const hex = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength).toString('hex')
        await session.rows(`SELECT pg_catalog.lo_put(${oid}, ${at}, '\\x${hex}')`)
        at += piece.length
      }
    await session.rows('COMMIT')
  }
}

/**
 * Amounts of money are written as the database has it, and only read so. A machine without the locale can do without it where no table has
 * such amounts.
 */
export async function useMoneyLocale(
  session: CopySession,
  { moneyLocale }: Pick<DatabaseRecord, 'moneyLocale'>,
): Promise<void> {
  const { present } = await session.row(`SELECT current_setting('lc_monetary') AS present`)
  if (present !== moneyLocale)
    await session.rows(`SET lc_monetary = ${literal(moneyLocale)}`).catch((error: unknown) => {
      if (!isHoldfastError(error) || error.context.sqlstate !== INVALID_PARAMETER) throw error
    })
}

const INVALID_PARAMETER = '22023'

async function majorOf(session: CopySession): Promise<number> {
  return Number((await session.row(`SELECT current_setting('server_version_num')::int / 10000 AS major`)).major)
}
