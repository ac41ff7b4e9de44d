import { HoldfastError } from '../../../lib/errors.ts'
import type { SourceProblem } from '../../source.ts'
import { NEWEST_MAJOR, OLDEST_MAJOR } from '../cluster-facts.ts'
import type { Endpoint } from '../endpoint.ts'
import type { LogicalSettings } from '../settings.ts'
import { clientProgramRemedy, findClientProgram } from './client-programs.ts'
import { CopySession } from './copy-session.ts'
import { listTables } from './lock-tables.ts'
import { quoted } from './names.ts'
import { refuseTransactionPooler } from './snapshot-session.ts'

/** Everything that keeps logical backups of a server from working, or makes them less than they could be. */
export async function examineLogically(
  endpoint: Endpoint,
  settings: LogicalSettings,
  password: string | undefined,
  signal?: AbortSignal,
): Promise<readonly SourceProblem[]> {
  const problems: SourceProblem[] = []
  try {
    await using session = await CopySession.open(endpoint, password, { signal })
    problems.push(...(await serverProblems(session, settings)))
    await refuseTransactionPooler(endpoint, password, signal)
    await listTables(session, settings)
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code === 'HF_INTERRUPTED') throw error
    problems.push({ severity: 'error', what: error.message, remedy: error.hint })
  }
  return problems
}

async function serverProblems(session: CopySession, settings: LogicalSettings): Promise<readonly SourceProblem[]> {
  const problems: SourceProblem[] = []
  const add = (severity: SourceProblem['severity'], what: string, remedy: string | undefined): void => {
    problems.push({ severity, what, remedy })
  }
  const { role } = session.place
  const row = await session.row(`
    SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int / 10000 AS major,
           has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS passwords, pg_is_in_recovery() AS standby,
           current_setting('hot_standby_feedback') AS feedback, current_setting('max_connections')::int
             - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend') AS free,
           current_setting('max_locks_per_transaction')::int * current_setting('max_connections')::int AS locks,
           (SELECT count(*) FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p')) AS tables`)
  const major = Number(row.major)
  if (major < OLDEST_MAJOR)
    add('error', `PostgreSQL ${row.version} is too old: logical backups need ${OLDEST_MAJOR} or newer`, undefined)
  if (major > NEWEST_MAJOR)
    add(
      'warning',
      `PostgreSQL ${row.version} is newer than what this version was tested with (${NEWEST_MAJOR})`,
      undefined,
    )
  if (findClientProgram('pg_dump', major) === undefined)
    add('error', `there is no pg_dump of PostgreSQL ${major} or newer here`, clientProgramRemedy(major))
  if (Number(row.free) < settings.jobs + CONNECTIONS_BESIDE_JOBS)
    add(
      'warning',
      `the server has room for ${row.free} more connections, and a backup takes ${settings.jobs + CONNECTIONS_BESIDE_JOBS}`,
      'lower `jobs` of the source, or: ALTER SYSTEM SET max_connections = 200; -- then restart the server',
    )
  if (Number(row.tables) > Number(row.locks))
    add(
      'error',
      `there are ${row.tables} tables, and the server can lock ${row.locks}`,
      `ALTER SYSTEM SET max_locks_per_transaction = ${Math.ceil((Number(row.tables) / Number(row.locks)) * 128)}; -- then restart the server`,
    )
  if (settings.globals && row.passwords !== 't')
    add(
      'note',
      `${role} may not read passwords of roles: globals.sql has the roles without them`,
      `ALTER ROLE ${quoted(role)} SUPERUSER;`,
    )
  if (row.standby === 't' && row.feedback === 'off')
    add(
      'warning',
      'hot_standby_feedback is off: a long backup is ended when the primary cleans up what it still reads',
      'ALTER SYSTEM SET hot_standby_feedback = on; SELECT pg_reload_conf();',
    )
  return problems
}

/** The one that holds the snapshot, `pg_dump`, and one for large objects. */
const CONNECTIONS_BESIDE_JOBS = 3
