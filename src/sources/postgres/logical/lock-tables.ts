import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { DumpSelection } from '../settings.ts'
import type { CopySession } from './copy-session.ts'
import { matches, quoted } from './names.ts'
import { SQLSTATE_LOCK_NOT_AVAILABLE } from './snapshot-session.ts'

/** A table of a database that a dump reads. */
export interface ListedTable {
  readonly oid: string
  readonly schema: string
  readonly name: string
}

const TABLES_PER_STATEMENT = 500
const NAMED = 5

/**
 * Tables that belong to the selection, without those of the system and of extensions. Rights are looked at for sequences too.
 * @throws HoldfastError HF_SOURCE_PERMISSION when the role may not read one of them, or would not get all of its rows
 */
export async function listTables(session: CopySession, selection: DumpSelection): Promise<readonly ListedTable[]> {
  const rows = await session.rows(`
    SELECT c.oid::text AS oid, c.relkind AS kind, n.nspname AS schema, c.relname AS name,
           has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AS readable,
           CASE WHEN c.relrowsecurity THEN row_security_active(c.oid) ELSE false END AS hidden
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't'
       AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
       AND (NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                         WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
            OR EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE c.oid = ANY (e.extconfig)))
     ORDER BY c.oid`)
  const chosen = rows
    .map((row) => ({ row, oid: row.oid!, schema: row.schema!, name: row.name! }))
    .filter(({ schema, name }) => isSelected(selection, schema, name))
  const withoutRight = chosen.filter(({ row }) => row.readable !== 't')
  const { role, server } = session.place
  if (withoutRight.length > 0)
    throw new HoldfastError('HF_SOURCE_PERMISSION', `${role} may not read ${named(withoutRight)} at ${server}`, {
      hint: `as a superuser: ${await readGrant(session, role, withoutRight)}`,
    })
  const withHiddenRows = chosen.filter(({ row }) => row.hidden === 't')
  if (withHiddenRows.length > 0)
    throw new HoldfastError(
      'HF_SOURCE_PERMISSION',
      `row security hides rows of ${named(withHiddenRows)} at ${server} from ${role}`,
      { hint: `ALTER ROLE ${quoted(role)} BYPASSRLS;` },
    )
  const tables = chosen.filter(({ row }) => row.kind !== 'S')
  return tables.map(({ oid, schema, name }) => ({ oid, schema, name }))
}

/** The statements that let a role read these tables. 13 has no role that reads everything. */
async function readGrant(
  session: CopySession,
  role: string,
  tables: readonly { readonly schema: string }[],
): Promise<string> {
  const { known } = await session.row(
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pg_read_all_data') AS known",
  )
  if (known === 't') return `GRANT pg_read_all_data TO ${quoted(role)};`
  const schemas = [...new Set(tables.map(({ schema }) => quoted(schema)))].join(', ')
  return ['USAGE ON', 'SELECT ON ALL TABLES IN', 'SELECT ON ALL SEQUENCES IN']
    .map((right) => `GRANT ${right} SCHEMA ${schemas} TO ${quoted(role)};`)
    .join(' ')
}

function isSelected(selection: DumpSelection, schema: string, name: string): boolean {
  const { schemas, tables, excludeSchemas, excludeTables } = selection
  if (excludeSchemas.some((pattern) => matches(pattern, schema))) return false
  if (excludeTables.some((pattern) => matches(pattern, schema, name))) return false
  if (tables.length > 0) return tables.some((pattern) => matches(pattern, schema, name))
  return schemas.length === 0 || schemas.some((pattern) => matches(pattern, schema))
}

/**
 * Keeps tables from being dropped, rewritten or truncated until the transaction ends. Taken before the transaction has a snapshot, so that
 * nothing of the kind can happen between the two.
 *
 * @throws HoldfastError HF_SOURCE_UNREADABLE when others keep a table locked, or it has just been dropped; both can be tried again
 */
export async function lockTables(
  session: CopySession,
  tables: readonly ListedTable[],
  wait: 'now' | { readonly timeoutMs: number },
): Promise<void> {
  if (wait !== 'now') await session.rows(`SET LOCAL lock_timeout = ${wait.timeoutMs}`)
  for (let at = 0; at < tables.length; at += TABLES_PER_STATEMENT) {
    const some = tables.slice(at, at + TABLES_PER_STATEMENT)
    const list = some.map(({ schema, name }) => `ONLY ${quoted(schema)}.${quoted(name)}`).join(', ')
    try {
      await session.rows(`LOCK TABLE ${list} IN ACCESS SHARE MODE${wait === 'now' ? ' NOWAIT' : ''}`)
    } catch (error) {
      throw lockError(error, some, session.place.server)
    }
  }
  if (wait !== 'now') await session.rows('SET LOCAL lock_timeout = 0')
}

/** What a failure to lock means. */
export function lockError(error: unknown, tables: readonly ListedTable[], server: string): unknown {
  if (!isHoldfastError(error)) return error
  if (error.context.sqlstate === SQLSTATE_LOCK_NOT_AVAILABLE)
    return new HoldfastError('HF_SOURCE_UNREADABLE', `somebody else is changing ${named(tables)} at ${server}`, {
      cause: error,
      retry: 'later',
      hint: 'a change of a table (ALTER, TRUNCATE, REINDEX, VACUUM FULL) is under way or waits: try again when it is done, or raise `lockTimeout` of the source',
    })
  if (error.context.sqlstate === UNDEFINED_TABLE)
    return new HoldfastError('HF_SOURCE_UNREADABLE', `${error.message}: it was dropped while the backup began`, {
      cause: error,
      retry: 'later',
      hint: 'try again',
    })
  if (error.context.sqlstate === OUT_OF_MEMORY)
    return new HoldfastError('HF_SOURCE_UNREADABLE', error.message, {
      cause: error,
      hint: 'there are more tables than the server can lock: raise max_locks_per_transaction, and restart it',
    })
  return error
}

const UNDEFINED_TABLE = '42P01'
const OUT_OF_MEMORY = '53200'

const named = (tables: readonly Pick<ListedTable, 'schema' | 'name'>[]): string => {
  const some = tables.slice(0, NAMED).map(({ schema, name }) => `${schema}.${name}`)
  const more = tables.length - some.length
  return `${tables.length === 1 ? 'table' : 'tables'} ${some.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
