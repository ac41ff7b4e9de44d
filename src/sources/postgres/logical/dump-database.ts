import { LineSum, lineSumText } from '../../../engine/kernels/line-sum.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { Endpoint } from '../endpoint.ts'
import type { LogicalSettings } from '../settings.ts'
import { type ClientProgram, connectionEnvironment, type ProgramRun, RunningProgram } from './client-programs.ts'
import { CopySession, type TextRow } from './copy-session.ts'
import { encodingArguments } from './database-entries.ts'
import { type DumpFiles, END_OF_ROWS, type ReadPart } from './dump-files.ts'
import { dumpLargeObjects } from './dump-large-objects.ts'
import { dumpArguments, dumpToc } from './dump-toc.ts'
import { listTables, lockError, lockTables } from './lock-tables.ts'
import type { DatabaseRecord, TableRecord } from './manifest.ts'
import { decoded, fileNameOf, quoted } from './names.ts'
import { joinSnapshot, writePlainly } from './snapshot-session.ts'
import { planTableReads, type TableRead } from './table-reads.ts'
import { directoryToc, type Toc, type TocEntry } from './toc.ts'
import { together } from './together.ts'

export interface DatabaseDump {
  readonly files: DumpFiles
  /** Its `database` is the one to be dumped. */
  readonly endpoint: Endpoint
  readonly password: string | undefined
  readonly settings: LogicalSettings
  readonly program: ClientProgram
  readonly majorVersion: number
  /** Of the sums of rows. */
  readonly rowSumKey: Uint8Array
  readonly signal: AbortSignal | undefined
}

/**
 * Writes one database as of one instant. One connection takes locks and a snapshot and holds both; `pg_dump` says in that snapshot what
 * there is; other connections read tables in it, the largest first.
 *
 * @throws HoldfastError with what to do about it; nothing of it is in a snapshot then
 */
export async function dumpDatabase(dump: DatabaseDump): Promise<DatabaseRecord> {
  const { endpoint, password, settings, majorVersion, signal } = dump
  await using coordinator = await CopySession.open(endpoint, password, { signal })
  const facts = await holdSnapshot(coordinator, dump)
  const run: ProgramRun = {
    args: [
      ...dumpArguments(settings, facts.snapshot!, settings.lockTimeoutMs),
      ...encodingArguments({ encoding: facts.encoding! }),
    ],
    environment: connectionEnvironment(endpoint, password),
    signal,
  }
  const folder = fileNameOf(endpoint.database)
  if (folder === undefined)
    throw new HoldfastError(
      'HF_SOURCE_UNSUPPORTED',
      `the name of database ${endpoint.database} makes no name of a file`,
    )
  const record = {
    name: endpoint.database,
    snapshot: facts.snapshot!,
    lsn: facts.lsn!,
    encoding: facts.encoding!,
    collate: facts.collate!,
    ctype: facts.ctype!,
    moneyLocale: facts.money_locale!,
    extensions: await readExtensions(coordinator),
  }
  if (settings.format !== 'directory') return { ...record, ...(await dumpSimply(dump, folder, run)) }
  const toc = await dumpToc(dump.program, run)
  const reads = await planTableReads(coordinator, toc.entries, majorVersion, settings.sliceBytes)
  // Tables that came after the first ones were locked and before the snapshot was taken.
  await lockTables(coordinator, reads.map(asListed), 'now')
  return { ...record, ...(await dumpTables(dump, folder, facts.snapshot!, toc, reads)) }
}

/** Locks what will be read, takes a snapshot, and says what is to be known of it. */
async function holdSnapshot(coordinator: CopySession, { settings, majorVersion }: DatabaseDump): Promise<TextRow> {
  await writePlainly(coordinator, majorVersion)
  const tables = await listTables(coordinator, settings)
  // Asked before: what is committed between the two is in the snapshot, and not before the position.
  const { lsn } = await coordinator.row(`
    SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                ELSE pg_catalog.pg_current_wal_lsn() END::text AS lsn`)
  await coordinator.rows('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  await lockTables(coordinator, tables, { timeoutMs: settings.lockTimeoutMs })
  const facts = await coordinator.row(`
    SELECT pg_catalog.pg_export_snapshot() AS snapshot,
           pg_catalog.pg_encoding_to_char(encoding) AS encoding, datcollate AS collate, datctype AS ctype,
           pg_catalog.current_setting('lc_monetary') AS money_locale
      FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`)
  return { ...facts, lsn }
}

async function readExtensions(session: CopySession): Promise<DatabaseRecord['extensions']> {
  const rows = await session.rows(`
    SELECT extname AS name, extversion AS version FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' ORDER BY 1`)
  return rows.map(({ name, version }) => ({ name: name!, version: version! }))
}

type DumpedFiles = Pick<DatabaseRecord, 'dump' | 'tables' | 'largeObjects'>

/** One file by `pg_dump` alone. */
async function dumpSimply(
  { files, settings, program }: DatabaseDump,
  name: string,
  run: ProgramRun,
): Promise<DumpedFiles> {
  const isCustom = settings.format === 'custom'
  const args = isCustom ? ['--format=custom', '--compress=0'] : ['--format=plain']
  await using running = new RunningProgram('pg_dump', program, { ...run, args: [...args, ...run.args] })
  const part = await files.read(running.output)
  await running.succeed()
  const { path, bytes, fingerprint } = await files.finish(`${name}.${isCustom ? 'dump' : 'sql'}`, [part])
  return { dump: { path, bytes, fingerprint }, tables: [], largeObjects: undefined }
}

interface ReadTable {
  readonly read: TableRead
  readonly parts: ReadPart[]
  rows: number
  /** Of the rows of each slice; undefined when no sum is wanted. */
  readonly sums: bigint[] | undefined
}

async function dumpTables(
  dump: DatabaseDump,
  folder: string,
  snapshot: string,
  toc: Toc,
  reads: readonly TableRead[],
): Promise<DumpedFiles> {
  const { files } = dump
  files.directory(folder)
  const hasSum = ({ statements }: TableRead): boolean => statements.length > 1 || dump.settings.fingerprint === 'rows'
  const tables = reads.map((read): ReadTable => ({ read, parts: [], rows: 0, sums: hasSum(read) ? [] : undefined }))
  const tasks = tables.flatMap((table) => table.read.statements.map((_, slice) => ({ table, slice })))
  const blobs = toc.entries.some(({ kind }) => kind === 'BLOBS')
  let largeObjects: DatabaseRecord['largeObjects']
  let next = 0
  const work = async (signal: AbortSignal): Promise<void> => {
    if (next >= tasks.length) return
    await using session = await joinSnapshot(dump.endpoint, dump.password, snapshot, dump.majorVersion, signal)
    await useEncoding(session, toc)
    for (let task = tasks[next++]; task !== undefined; task = tasks[next++])
      await readSlice(session, dump, task.table, task.slice)
  }
  const readBlobs = async (signal: AbortSignal): Promise<void> => {
    if (!blobs) return
    await using session = await joinSnapshot(dump.endpoint, dump.password, snapshot, dump.majorVersion, signal)
    largeObjects = await dumpLargeObjects(session, files, folder)
  }
  await together(
    [readBlobs, ...Array.from({ length: Math.min(dump.settings.jobs, tasks.length) }, () => work)],
    dump.signal,
  )
  const names = dataFileNames(toc.entries)
  const records: TableRecord[] = []
  for (const { read, parts, rows, sums } of tables) {
    const path = `${folder}/${names.get(read.entry.dumpId)!}`
    const { schema, name, columns } = read
    const rowSum = sums && lineSumText(sums)
    records.push({ schema, name, rows, columns, ...(await files.finish(path, parts)), rowSum })
  }
  const entries = toc.entries.map((entry) => ({ ...entry, fileName: names.get(entry.dumpId) }))
  const content = [directoryToc({ ...toc, entries })]
  const tocPart = await files.read(only(content))
  const emptyLists = [...names.values()].filter((name) => /^blobs_\d+\.toc$/.test(name))
  const emptyPart = await files.read(only([]))
  for (const name of emptyLists) await files.finish(`${folder}/${name}`, [emptyPart])
  const { path, bytes, fingerprint } = await files.finish(`${folder}/toc.dat`, [tocPart])
  return { dump: { path, bytes, fingerprint }, tables: records, largeObjects }
}

/** Reads a slice of a table, or all of it. */
async function readSlice(
  session: CopySession,
  { files, rowSumKey }: DatabaseDump,
  table: ReadTable,
  slice: number,
): Promise<void> {
  const { statements, schema, name } = table.read
  try {
    await session.rows(`LOCK TABLE ONLY ${quoted(schema)}.${quoted(name)} IN ACCESS SHARE MODE NOWAIT`)
  } catch (error) {
    throw lockError(error, [asListed(table.read)], session.place.server)
  }
  const read = session.copyOut(Buffer.from(statements[slice]!, 'latin1'), (count) => {
    table.rows += count
  })
  const sum = table.sums && new LineSum(rowSumKey)
  const rows = sum === undefined ? read : summed(read, sum)
  table.parts[slice] = await files.read(slice === statements.length - 1 ? withEnd(rows) : rows)
  if (sum !== undefined) table.sums![slice] = sum.sum
}

/** Passes rows on, and adds them up. */
async function* summed(rows: AsyncIterable<Uint8Array>, sum: LineSum): AsyncGenerator<Uint8Array> {
  for await (const piece of rows) {
    sum.update(piece)
    yield piece
  }
}

async function* withEnd(rows: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* rows
  yield END_OF_ROWS
}

async function* only(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces
}

/** Rows come in the encoding that the table of contents announces: that of the database. */
export async function useEncoding(session: CopySession, { entries }: Pick<Toc, 'entries'>): Promise<void> {
  const statement = entries.find(({ kind }) => kind === 'ENCODING')?.definition
  if (statement !== undefined) await session.rows(Buffer.from(statement, 'latin1'))
}

/** Names of the files with data, by dump id. Readable ones stay the same when ids change. */
export function dataFileNames(entries: readonly TocEntry[]): ReadonlyMap<number, string> {
  const names = new Map<number, string>()
  let lists = 0
  for (const { dumpId, kind, schema, tag, hasData } of entries) {
    if (kind === 'TABLE DATA') {
      const name = fileNameOf(decoded(schema ?? ''), decoded(tag))
      names.set(dumpId, `${name ?? dumpId}.dat`)
    } else if (kind === 'BLOBS') names.set(dumpId, lists++ === 0 ? 'blobs.toc' : `blobs_${dumpId}.toc`)
    else if (hasData)
      throw new HoldfastError('HF_SOURCE_UNSUPPORTED', `the dump has data of a kind that is not known: ${kind}`)
  }
  return names
}

const asListed = ({ entry, schema, name }: TableRead) => ({ oid: entry.oid ?? '', schema, name })
