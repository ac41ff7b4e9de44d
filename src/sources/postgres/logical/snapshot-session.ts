import { HoldfastError } from '../../../lib/errors.ts'
import type { Endpoint } from '../endpoint.ts'
import { CopySession } from './copy-session.ts'
import { literal } from './names.ts'

export const SQLSTATE_LOCK_NOT_AVAILABLE = '55P03'

/**
 * What makes rows come out in the same words each time, whole, and without an end in the middle. The first lines are those of `pg_dump`;
 * time zones would change how the same instant is written, and rows must come in the order in which they lie.
 */
const plainSession: readonly string[] = [
  `SELECT pg_catalog.set_config('search_path', '', false)`,
  'SET DateStyle = ISO',
  'SET IntervalStyle = postgres',
  'SET extra_float_digits = 3',
  'SET synchronize_seqscans = off',
  'SET statement_timeout = 0',
  'SET lock_timeout = 0',
  'SET idle_in_transaction_session_timeout = 0',
  'SET row_security = off',
  `SET TimeZone = 'UTC'`,
  'SET bytea_output = hex',
  'SET quote_all_identifiers = off',
  'SET standard_conforming_strings = on',
  'SET xmloption = content',
]

/** Rows in the order in which they lie, of a slice of pages or of all. */
const inOrder: readonly string[] = [
  'SET max_parallel_workers_per_gather = 0',
  'SET enable_indexscan = off',
  'SET enable_indexonlyscan = off',
  'SET enable_bitmapscan = off',
]

/** Settings that came with a version. */
const laterSettings: readonly { readonly since: number; readonly statement: string }[] = [
  { since: 14, statement: 'SET idle_session_timeout = 0' },
  { since: 17, statement: 'SET transaction_timeout = 0' },
]

/** Makes a session write rows as a dump has them. */
export async function writePlainly(session: CopySession, majorVersion: number): Promise<void> {
  const later = laterSettings.filter(({ since }) => majorVersion >= since).map(({ statement }) => statement)
  await session.rows([...plainSession, ...later].join('; '))
}

/** Makes a session read tables as a dump reads them. */
export async function readInOrder(session: CopySession, majorVersion: number): Promise<void> {
  await writePlainly(session, majorVersion)
  await session.rows(inOrder.join('; '))
}

/** A session that sees what another one does: `snapshot` is what that one exported. */
export async function joinSnapshot(
  endpoint: Endpoint,
  password: string | undefined,
  snapshot: string,
  majorVersion: number,
  signal: AbortSignal | undefined,
): Promise<CopySession> {
  const session = await CopySession.open(endpoint, password, { signal })
  try {
    await readInOrder(session, majorVersion)
    // Each on its own: in one message they would be a transaction already.
    await session.rows('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    await session.rows(`SET TRANSACTION SNAPSHOT ${literal(snapshot)}`)
    return session
  } catch (error) {
    await session[Symbol.asyncDispose]()
    throw error
  }
}

/**
 * A pooler that gives a server's session to whoever has a transaction would mix settings and locks of several. Two sessions that are idle
 * between statements show it: what one has let go of the other one gets.
 *
 * @throws HoldfastError HF_SOURCE_UNSUPPORTED
 */
export async function refuseTransactionPooler(
  endpoint: Endpoint,
  password: string | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  await using first = await CopySession.open(endpoint, password, { signal })
  const pidOf = async (session: CopySession): Promise<string | undefined> =>
    (await session.row('SELECT pg_catalog.pg_backend_pid()::text AS pid')).pid
  const before = await pidOf(first)
  if (before === String(first.announcedPid)) return
  await using second = await CopySession.open(endpoint, password, { signal })
  await second.rows('BEGIN')
  const other = await pidOf(second)
  const after = await pidOf(first)
  await second.rows('ROLLBACK')
  if (other === before || after !== before)
    throw new HoldfastError(
      'HF_SOURCE_UNSUPPORTED',
      `${first.place.server} is a connection pooler that hands out sessions by the transaction`,
      { hint: 'name the host and port of the server itself, or a pool whose mode is `session`' },
    )
}
