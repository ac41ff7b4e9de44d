import { SqlSession } from '../connection.ts'
import type { Endpoint } from '../endpoint.ts'
import { CopySession } from '../logical/copy-session.ts'
import { writePlainly } from '../logical/snapshot-session.ts'

/** Long enough for a lock that is about to go; who waits longer is in the way of others. */
const LOCK_TIMEOUT_MS = 1000

export interface Login {
  readonly endpoint: Endpoint
  readonly password: string | undefined
  readonly signal: AbortSignal | undefined
}

export interface ServerFacts {
  readonly version: string
  readonly majorVersion: number
  readonly isStandby: boolean
  readonly isSuperuser: boolean
}

/**
 * Works in a session that can change nothing and gives up on locks. When the signal comes, the statement under way is ended on the server
 * too, which would go on with it until it had something to say.
 *
 * @throws HoldfastError HF_SOURCE_UNREACHABLE, HF_SOURCE_PERMISSION, and what `work` throws
 */
export async function inReadOnlySession<T>(
  login: Login,
  work: (session: CopySession, facts: ServerFacts) => Promise<T>,
): Promise<T> {
  const { endpoint, password, signal } = login
  await using session = await CopySession.open(endpoint, password, { signal })
  const row = await session.row(`
    SELECT pg_catalog.current_setting('server_version') AS version,
           pg_catalog.current_setting('server_version_num')::int / 10000 AS major,
           pg_catalog.pg_is_in_recovery() AS standby, rolsuper AS superuser
      FROM pg_catalog.pg_roles WHERE rolname = current_user`)
  const facts = {
    version: row.version!,
    majorVersion: Number(row.major),
    isStandby: row.standby === 't',
    isSuperuser: row.superuser === 't',
  }
  await writePlainly(session, facts.majorVersion)
  await session.rows(`SET default_transaction_read_only = on; SET lock_timeout = ${LOCK_TIMEOUT_MS}`)
  const backend = await session.row(
    'SELECT pid, backend_start AS start FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()',
  )
  try {
    return await work(session, facts)
  } finally {
    if (signal?.aborted === true) await cancel(login, backend.pid!, backend.start!)
  }
}

async function cancel({ endpoint, password }: Login, pid: string, start: string): Promise<void> {
  try {
    await using session = await SqlSession.open(endpoint, password)
    await session.rows(
      `SELECT pg_catalog.pg_cancel_backend(pid) FROM pg_catalog.pg_stat_activity
        WHERE pid = $1::int AND backend_start = $2::timestamptz`,
      [pid, start],
    )
  } catch {
    // A server that takes no more sessions ends the statement when it next writes to the connection, which is closed.
  }
}
