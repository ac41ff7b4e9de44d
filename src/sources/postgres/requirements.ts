import { HoldfastError } from '../../lib/errors.ts'
import { SqlSession } from './connection.ts'
import type { Endpoint } from './endpoint.ts'

/**
 * Fails when one of the tables is not there. They are written `database.schema.table`; without a database it is the one that is configured.
 * @throws HoldfastError HF_REQUIRED_MISSING, HF_SOURCE_UNREACHABLE, HF_SOURCE_PERMISSION
 */
export async function requireTables(
  source: string,
  tables: readonly string[],
  endpoint: Endpoint,
  password: string | undefined,
  signal?: AbortSignal,
): Promise<void> {
  const byDatabase = new Map<string, { readonly written: string; readonly schema: string; readonly table: string }[]>()
  for (const written of tables) {
    const parts = written.split('.')
    const [table = '', schema = 'public', database = endpoint.database] = parts.toReversed()
    if (parts.length > 3) throw missing(source, [written], 'write tables as database.schema.table')
    byDatabase.set(database, [...(byDatabase.get(database) ?? []), { written, schema, table }])
  }
  const absent: string[] = []
  for (const [database, wanted] of byDatabase) {
    if (!(await hasDatabase(endpoint, password, database, signal))) {
      absent.push(...wanted.map(({ written }) => written))
      continue
    }
    await using session = await SqlSession.open({ ...endpoint, database }, password, { signal })
    for (const { written, schema, table } of wanted) {
      const found = await session.rows(
        `SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
          WHERE nspname = $1 AND relname = $2 AND relkind IN ('r', 'p', 'm', 'f')`,
        [schema, table],
      )
      if (found.length === 0) absent.push(written)
    }
  }
  if (absent.length > 0)
    throw missing(source, absent, 'bring back what is missing, or change `require` in the configuration')
}

async function hasDatabase(
  endpoint: Endpoint,
  password: string | undefined,
  database: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (database === endpoint.database) return true
  await using session = await SqlSession.open(endpoint, password, { signal })
  return (await session.rows('SELECT FROM pg_catalog.pg_database WHERE datname = $1', [database])).length > 0
}

const missing = (source: string, tables: readonly string[], hint: string): HoldfastError =>
  new HoldfastError('HF_REQUIRED_MISSING', `source ${source} requires what is not there: ${tables.join(', ')}`, {
    hint,
  })
