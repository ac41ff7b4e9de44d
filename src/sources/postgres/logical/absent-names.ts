import type { DumpSelection } from '../settings.ts'
import type { CopySession } from './copy-session.ts'
import { matches } from './names.ts'

/** What a selection asks for by name or pattern, and what of it no database had so far. */
export class AbsentNames {
  readonly #schemas: Set<string>
  readonly #tables: Set<string>

  constructor({ schemas, tables }: Pick<DumpSelection, 'schemas' | 'tables'>) {
    this.#schemas = new Set(schemas)
    this.#tables = new Set(tables)
  }

  /** Looks for the rest in another database: a pattern for tables may mean views, sequences and the like, as for `pg_dump`. */
  async look(session: CopySession): Promise<void> {
    if (this.#schemas.size + this.#tables.size === 0) return
    const rows = await session.rows(`
      SELECT n.nspname AS schema, c.relname AS name
        FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
       WHERE n.nspname !~ '^pg_(toast|temp)'`)
    for (const { schema, name } of rows) {
      for (const pattern of this.#schemas) if (matches(pattern, schema!)) this.#schemas.delete(pattern)
      if (name === undefined) continue
      for (const pattern of this.#tables) if (matches(pattern, schema!, name)) this.#tables.delete(pattern)
    }
  }

  /** In words: `table public.item`. */
  get texts(): readonly string[] {
    return [...[...this.#schemas].map((name) => `schema ${name}`), ...[...this.#tables].map((name) => `table ${name}`)]
  }
}
