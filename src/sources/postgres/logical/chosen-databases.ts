import { HoldfastError } from '../../../lib/errors.ts'
import type { CopySession } from './copy-session.ts'
import { matches } from './names.ts'

/**
 * The databases that patterns with `*` and `?` name, without templates; without patterns the one of the session.
 * @throws HoldfastError HF_REQUIRED_MISSING when there is none
 */
export async function chosenDatabases(
  session: CopySession,
  source: string,
  patterns: readonly string[],
): Promise<readonly string[]> {
  if (patterns.length === 0) return [session.place.database]
  const rows = await session.rows(
    'SELECT datname AS name FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1',
  )
  const all = rows.map(({ name }) => name!)
  const chosen = all.filter((name) => patterns.some((pattern) => isDatabase(pattern, name)))
  if (chosen.length > 0) return chosen
  throw new HoldfastError('HF_REQUIRED_MISSING', `source ${source} has no database ${patterns.join(', ')}`, {
    hint: `there are ${all.join(', ')}`,
  })
}

/** Patterns that mean none of these databases. */
export const unmatchedPatterns = (patterns: readonly string[], chosen: readonly string[]): readonly string[] =>
  patterns.filter((pattern) => !chosen.some((name) => isDatabase(pattern, name)))

/** A database's name may have dots. */
const isDatabase = (pattern: string, name: string): boolean =>
  matches(pattern.replaceAll('.', '?'), name.replaceAll('.', '?'))
