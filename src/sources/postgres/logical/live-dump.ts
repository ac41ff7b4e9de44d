import type { Endpoint } from '../endpoint.ts'
import { type ClientProgram, connectionEnvironment } from './client-programs.ts'
import { CopySession } from './copy-session.ts'
import { encodingArguments } from './database-entries.ts'
import { dataFileNames, useEncoding } from './dump-database.ts'
import { readLargeObject } from './dump-large-objects.ts'
import { dumpToc } from './dump-toc.ts'
import type { LogicalManifest } from './manifest.ts'
import { fileNameOf } from './names.ts'
import {
  type LargeObject,
  type RestorableDatabase,
  type RestorableTable,
  type TableRows,
  useMoneyLocale,
} from './restore-database.ts'
import type { RestorableDump } from './restore-plan.ts'
import { readInOrder } from './snapshot-session.ts'
import { planTableReads, type TableRead } from './table-reads.ts'
import type { Toc } from './toc.ts'

export interface LiveServer {
  /** Its database is any. A superuser's. */
  readonly endpoint: Endpoint
  readonly majorVersion: number
  /** `pg_dump` of that version or a newer one. */
  readonly program: ClientProgram
  readonly signal?: AbortSignal | undefined
}

interface LiveDatabase {
  readonly record: RestorableDatabase
  readonly toc: Toc
  readonly reads: ReadonlyMap<string, TableRead>
}

const NEVER_SLICED = Number.MAX_SAFE_INTEGER

/**
 * Databases of a server nobody else works with, to be restored elsewhere as a dump of them would be, without the dump: rows go from one server
 * to the other. Nothing is locked, and no snapshot is taken.
 */
export class LiveDump implements RestorableDump {
  readonly manifest: RestorableDump['manifest']
  readonly #server: LiveServer
  readonly #databases: ReadonlyMap<string, LiveDatabase>

  private constructor(server: LiveServer, manifest: RestorableDump['manifest'], databases: readonly LiveDatabase[]) {
    this.#server = server
    this.manifest = manifest
    this.#databases = new Map(databases.map((one) => [one.record.name, one]))
  }

  /** @throws HoldfastError with what the server or `pg_dump` reports */
  static async open(server: LiveServer, names: readonly string[]): Promise<LiveDump> {
    const databases: LiveDatabase[] = []
    for (const name of names) databases.push(await readDatabase(server, name))
    const manifest = {
      dumpFormat: 'directory',
      programVersion: server.program.version,
      roles: await rolesOf(server),
      server: { majorVersion: server.majorVersion },
      databases: databases.map(({ record }) => record),
    } satisfies Pick<LogicalManifest, 'dumpFormat' | 'programVersion' | 'roles'> & RestorableDump['manifest']
    return new LiveDump(server, manifest, databases)
  }

  async toc({ name }: RestorableDatabase): Promise<Toc> {
    return this.#databases.get(name)!.toc
  }

  rows({ name }: RestorableDatabase, { path }: RestorableTable, signal?: AbortSignal): TableRows {
    const database = this.#databases.get(name)!
    const read = database.reads.get(path)!
    let rows = 0
    const add = (count: number): void => {
      rows += count
    }
    return { pieces: this.#copy(database, read, add, signal), count: () => rows }
  }

  async *largeObjects({ name }: RestorableDatabase, signal?: AbortSignal): AsyncGenerator<LargeObject> {
    await using session = await openSession(this.#server, name, signal)
    for (const { oid } of await session.rows(
      'SELECT oid::text AS oid FROM pg_catalog.pg_largeobject_metadata ORDER BY 1',
    ))
      yield { oid: oid!, pieces: readLargeObject(session, oid!) }
  }

  archive(): undefined {
    return undefined
  }

  async *#copy(
    { record, toc }: LiveDatabase,
    { statements }: TableRead,
    onRows: (rows: number) => void,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    await using session = await openSession(this.#server, record.name, signal)
    await readInOrder(session, this.#server.majorVersion)
    await useMoneyLocale(session, record)
    await useEncoding(session, toc)
    for (const statement of statements) yield* session.copyOut(Buffer.from(statement, 'latin1'), onRows)
  }
}

const openSession = (
  { endpoint }: LiveServer,
  database: string,
  signal: AbortSignal | undefined,
): Promise<CopySession> => CopySession.open({ ...endpoint, database }, undefined, { signal })

async function rolesOf({ endpoint, signal }: LiveServer): Promise<readonly string[]> {
  await using session = await CopySession.open(endpoint, undefined, { signal })
  const rows = await session.rows(`SELECT rolname AS name FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1`)
  return rows.map(({ name }) => name!)
}

async function readDatabase(server: LiveServer, name: string): Promise<LiveDatabase> {
  const { endpoint, majorVersion, program, signal } = server
  await using session = await openSession(server, name, signal)
  await readInOrder(session, majorVersion)
  const facts = await session.row(`
    SELECT pg_catalog.pg_encoding_to_char(encoding) AS encoding, datcollate AS collate, datctype AS ctype,
           pg_catalog.current_setting('lc_monetary') AS money_locale, pg_catalog.pg_table_size('pg_catalog.pg_largeobject') AS large_bytes
      FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`)
  const extensions = await session.rows(`
    SELECT extname AS name, extversion AS version FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' ORDER BY 1`)
  const encoding = facts.encoding!
  const dumped = await dumpToc(program, {
    args: ['--no-password', ...encodingArguments({ encoding })],
    environment: connectionEnvironment({ ...endpoint, database: name }, undefined),
    signal,
  })
  const names = dataFileNames(dumped.entries)
  const toc = { ...dumped, entries: dumped.entries.map((entry) => ({ ...entry, fileName: names.get(entry.dumpId) })) }
  // A folder that is nowhere: it keeps files of databases apart.
  const folder = fileNameOf(name) ?? 'database'
  const reads = await planTableReads(session, toc.entries, majorVersion, NEVER_SLICED)
  const byPath = new Map(reads.map((read) => [`${folder}/${names.get(read.entry.dumpId)!}`, read]))
  const tables = [...byPath].map(
    ([path, read]): RestorableTable => ({ path, schema: read.schema, name: read.name, bytes: read.sizeBytes }),
  )
  const record: RestorableDatabase = {
    name,
    encoding,
    collate: facts.collate!,
    ctype: facts.ctype!,
    moneyLocale: facts.money_locale!,
    extensions: extensions.map((one) => ({ name: one.name!, version: one.version! })),
    dump: { path: `${folder}/toc.dat`, bytes: 0 },
    tables,
    largeObjects: toc.entries.some(({ kind }) => kind === 'BLOBS') ? { bytes: Number(facts.large_bytes) } : undefined,
  }
  return { record, toc, reads: byPath }
}
