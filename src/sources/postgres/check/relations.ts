import type { Row } from '../connection.ts'
import { quoted } from '../logical/names.ts'

/** A session of one database whose search path has nothing but the system's catalog. */
export interface CatalogSession {
  rows(statement: string): Promise<readonly Row[]>
}

/** What is looked at one by one. */
export interface Relation {
  readonly oid: string
  /** For people: `shop.public.account`. */
  readonly item: string
  /** For SQL. */
  readonly name: string
  /** Of a table: what COPY takes to read every stored value of it. */
  readonly copied: string
  /** Of an index: whether its order depends on a locale. */
  readonly isCollated: boolean
  /** Whether the role of the session may read it. */
  readonly isReadable: boolean
  /** Whether row security hides rows of it from the role. */
  readonly isFiltered: boolean
}

/** What of a database is listed: what is logged, and unlogged tables and their indexes unless there is nothing in them, as on a standby. */
export interface Listing {
  readonly session: CatalogSession
  readonly database: string
  readonly withUnlogged: boolean
}

/** Tables and materialized views with rows of their own. */
export const listTables = (listing: Listing): Promise<readonly Relation[]> =>
  // COPY of a table leaves generated columns out, also those that are stored.
  list(
    listing,
    `, (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(attname), ', ' ORDER BY attnum) FROM pg_catalog.pg_attribute
         WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated <> 'v'
        HAVING pg_catalog.bool_or(attgenerated = 's') OR c.relkind = 'm') AS columns`,
    '',
    "relkind = 'r' OR (relkind = 'm' AND relispopulated)",
  )

export const listSequences = (listing: Listing): Promise<readonly Relation[]> => list(listing, '', '', "relkind = 'S'")

/** Everything stored as a heap, with what lies beside tables for long values. */
export const listHeaps = (listing: Listing): Promise<readonly Relation[]> =>
  list(listing, '', HEAP_OR_INDEX, "relkind IN ('r', 'm', 't') AND amname = 'heap'")

export const listBtrees = (listing: Listing): Promise<readonly Relation[]> =>
  list(
    listing,
    `, EXISTS (SELECT FROM pg_catalog.unnest(indcollation) AS used WHERE used NOT IN (0, 950, 951))::text AS collated`,
    `${HEAP_OR_INDEX} JOIN pg_catalog.pg_index i ON indexrelid = c.oid`,
    "relkind = 'i' AND amname = 'btree' AND indisvalid AND indisready",
  )

const HEAP_OR_INDEX = 'JOIN pg_catalog.pg_am a ON a.oid = relam'

async function list(
  { session, database, withUnlogged }: Listing,
  columns: string,
  joins: string,
  condition: string,
): Promise<readonly Relation[]> {
  const rows = await session.rows(`
    SELECT c.oid::text AS oid, nspname AS schema, relname AS name,
           (pg_catalog.has_table_privilege(c.oid, 'SELECT')
            AND pg_catalog.has_schema_privilege(n.oid, 'USAGE'))::text AS readable,
           (relrowsecurity AND pg_catalog.row_security_active(c.oid))::text AS filtered${columns}
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace ${joins}
     WHERE (${condition}) AND relpersistence IN (${withUnlogged ? "'p', 'u'" : "'p'"}) ORDER BY 2, 3`)
  return rows.map((row) => relationOf(database, row))
}

function relationOf(database: string, row: Row): Relation {
  const { oid, schema, name, columns, collated, readable, filtered } = row
  const quotedName = `${quoted(String(schema))}.${quoted(String(name))}`
  return {
    oid: String(oid),
    item: `${database}.${schema}.${name}`,
    name: quotedName,
    copied: typeof columns === 'string' ? `(SELECT ${columns} FROM ONLY ${quotedName})` : quotedName,
    isCollated: collated === 'true',
    isReadable: readable === 'true',
    isFiltered: filtered === 'true',
  }
}
