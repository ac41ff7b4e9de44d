import type { Row } from '../connection.ts'
import type { CheckList, Fault } from './check-list.ts'
import { quoted, SandboxRefusal, type SandboxSession } from './sandbox-session.ts'

/** First version whose amcheck reads tables. */
const FIRST_WITH_HEAP = 14

export interface DatabaseCheck {
  readonly checks: CheckList
  readonly session: SandboxSession
  readonly database: string
  readonly majorVersion: number
  readonly signal?: AbortSignal | undefined
}

/** What is looked at one by one. */
interface Relation {
  readonly oid: string
  /** For people: `shop.public.account`. */
  readonly item: string
  /** For SQL. */
  readonly name: string
  /** `pg_class.relkind`. */
  readonly kind: string
  /** Of an index: whether its order depends on a locale. */
  readonly isCollated: boolean
}

/**
 * Looks through one database of a restored cluster: every table against the rules of its format, every B-tree against its table, every row
 * and every sequence read. Reports one check for each sort of thing, and one for each fault.
 */
export async function checkDatabase(check: DatabaseCheck): Promise<void> {
  const { session, database, checks } = check
  await session.rows('SET search_path = pg_catalog')
  const relations = await relationsOf(check)
  const collations = await changedCollations(check)
  const reason = await installAmcheck(session)
  const [tables, indexes] = [
    `structure of tables in ${database}`,
    `B-tree indexes in ${database}, with every row found`,
  ]
  if (reason !== undefined) for (const name of [tables, indexes]) checks.skipped(name, reason)
  else {
    const schema = await schemaOfAmcheck(session)
    if (check.majorVersion < FIRST_WITH_HEAP)
      checks.skipped(tables, `amcheck of PostgreSQL ${check.majorVersion} reads indexes only`)
    else
      await look(check, tables, await heapsOf(session, database), undefined, async ({ oid }) => {
        const found = await session.rows(
          `SELECT blkno, offnum, attnum, msg FROM ${schema}.verify_heapam($1::regclass, false, true) LIMIT 3`,
          [oid],
        )
        return found.map((row) => `page ${row.blkno}, line ${row.offnum ?? '-'}: ${row.msg}`).join('; ')
      })
    await look(check, indexes, await btreesOf(session, database), collations, async ({ oid }) => {
      await session.rows(`SELECT ${schema}.bt_index_parent_check($1::regclass, true)`, [oid])
      return ''
    })
  }
  await look(check, `every row of every table in ${database}`, relations.tables, undefined, async ({ name, kind }) => {
    // Values are taken out of their compressed and outlying form and written as text, and go nowhere.
    await session.rows(`COPY ${kind === 'm' ? `(SELECT * FROM ${name})` : name} TO '/dev/null'`)
    return ''
  })
  await look(check, `sequences in ${database}`, relations.sequences, undefined, async ({ name }) => {
    const found = await session.rows(`SELECT last_value FROM ${name}`)
    return found.length === 1 ? '' : 'it has no value'
  })
}

/** Looks at relations one by one. `work` returns what is wrong, or an empty string; what this machine lacks for one is told as skipped. */
async function look(
  { checks, signal }: DatabaseCheck,
  name: string,
  relations: readonly Relation[],
  excuse: string | undefined,
  work: (relation: Relation) => Promise<string>,
): Promise<void> {
  if (relations.length === 0) return checks.notApplicable(name, 'there are none')
  const faults: Fault[] = []
  let skipped = 0
  for (const relation of relations) {
    signal?.throwIfAborted()
    const { item } = relation
    try {
      const what = await work(relation)
      if (what !== '') faults.push({ item, what })
    } catch (error) {
      if (!(error instanceof SandboxRefusal)) throw error
      const reason = reasonToSkip(error) ?? (relation.isCollated && isOrder(error) ? excuse : undefined)
      if (reason === undefined) faults.push({ item, what: error.message })
      else {
        skipped++
        checks.skipped(`${name}: ${item}`, reason)
      }
    }
  }
  if (faults.length > 0 || skipped < relations.length)
    checks.faults(name, faults, `${relations.length - skipped} of ${relations.length}`)
}

const UNDEFINED_FILE = '58P01'
const UNDEFINED_FUNCTION = '42883'
const FEATURE_NOT_SUPPORTED = '0A000'

/** A library of an extension that is not on this machine, or a locale. */
function reasonToSkip({ sqlstate, message }: SandboxRefusal): string | undefined {
  const isLibrary = sqlstate === UNDEFINED_FILE && /could not (?:access file|load library)|\$libdir/.test(message)
  if (isLibrary || sqlstate === FEATURE_NOT_SUPPORTED || sqlstate === UNDEFINED_FUNCTION) return message
  return /not recognized by setlocale|could not (?:create|find) locale|could not load library/.test(message)
    ? message
    : undefined
}

/** An index whose entries are in another order than this machine would have them. */
const isOrder = ({ message }: SandboxRefusal): boolean =>
  /order invariant violated|high key invariant violated|down-link lower bound invariant violated/.test(message)

async function installAmcheck(session: SandboxSession): Promise<string | undefined> {
  try {
    await session.rows('CREATE EXTENSION IF NOT EXISTS amcheck')
    return undefined
  } catch (error) {
    if (!(error instanceof SandboxRefusal)) throw error
    return `the extension amcheck is not to be had: ${error.message}; it comes with postgresql-contrib, on Debian with the server`
  }
}

async function schemaOfAmcheck(session: SandboxSession): Promise<string> {
  const [row] = await session.rows(
    "SELECT nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'amcheck'",
  )
  return quoted(String(row!.nspname))
}

async function relationsOf({
  session,
  database,
}: DatabaseCheck): Promise<{ readonly tables: readonly Relation[]; readonly sequences: readonly Relation[] }> {
  const rows = await session.rows(`
    SELECT c.oid::text AS oid, nspname AS schema, relname AS name, relkind AS kind
      FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
     WHERE relpersistence <> 't' AND (relkind IN ('r', 'S') OR (relkind = 'm' AND relispopulated)) ORDER BY 2, 3`)
  const relations = rows.map((row) => relationOf(database, row))
  return {
    tables: relations.filter(({ kind }) => kind !== 'S'),
    sequences: relations.filter(({ kind }) => kind === 'S'),
  }
}

/** Everything stored as a heap, with what lies beside tables for long values. */
async function heapsOf(session: SandboxSession, database: string): Promise<readonly Relation[]> {
  const rows = await session.rows(`
    SELECT c.oid::text AS oid, nspname AS schema, relname AS name, relkind AS kind
      FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_am a ON a.oid = relam
     WHERE relkind IN ('r', 'm', 't') AND relpersistence <> 't' AND amname = 'heap' ORDER BY 2, 3`)
  return rows.map((row) => relationOf(database, row))
}

async function btreesOf(session: SandboxSession, database: string): Promise<readonly Relation[]> {
  const rows = await session.rows(`
    SELECT c.oid::text AS oid, nspname AS schema, relname AS name, relkind AS kind,
           EXISTS (SELECT FROM unnest(indcollation) AS used WHERE used NOT IN (0, 950, 951)) AS collated
      FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      JOIN pg_index i ON indexrelid = c.oid JOIN pg_am a ON a.oid = relam
     WHERE relkind = 'i' AND relpersistence <> 't' AND amname = 'btree' AND indisvalid AND indisready ORDER BY 2, 3`)
  return rows.map((row) => relationOf(database, row))
}

const relationOf = (database: string, { oid, schema, name, kind, collated }: Row): Relation => ({
  oid: String(oid),
  item: `${database}.${schema}.${name}`,
  name: `${quoted(String(schema))}.${quoted(String(name))}`,
  kind: String(kind),
  isCollated: collated === true,
})

/** Why an index may be in another order here than where it was made; undefined when all locales are of the version they were. */
async function changedCollations({ session, majorVersion }: DatabaseCheck): Promise<string | undefined> {
  const ofDatabase =
    majorVersion < 15
      ? []
      : await session.rows(`
    SELECT 'the database' AS name, datcollversion AS made, pg_database_collation_actual_version(oid) AS here
      FROM pg_database WHERE datname = current_database()`)
  const ofCollations = await session.rows(
    'SELECT collname AS name, collversion AS made, pg_collation_actual_version(oid) AS here FROM pg_collation',
  )
  const changed = [...ofDatabase, ...ofCollations].filter(({ made, here }) => made !== null && made !== here)
  const [first] = changed
  return (
    first &&
    `${changed.length} collations have another version on this machine (${first.name}: ${first.made}, here ${first.here ?? 'none'}), so its order cannot be checked here`
  )
}
