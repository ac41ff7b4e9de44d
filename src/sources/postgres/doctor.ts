import { HoldfastError } from '../../lib/errors.ts'
import type { SourceProblem } from '../source.ts'
import {
  type ClusterFacts,
  FIRST_WITH_INCREMENTS,
  NEWEST_MAJOR,
  OLDEST_MAJOR,
  readClusterFacts,
} from './cluster-facts.ts'
import { SqlSession } from './connection.ts'
import type { Endpoint } from './endpoint.ts'
import { ReplicationConnection } from './replication.ts'
import { type ErrorPlace, hbaLine, quotedName, replicationGrant } from './server-error.ts'

/** Settings that decide what can be backed up; absent when the server does not know them. */
type ServerSettings = ReadonlyMap<string, string>

/** Everything that keeps physical backups of a cluster from working, or makes them less than they could be. */
export async function examineCluster(
  endpoint: Endpoint,
  password: string | undefined,
  signal?: AbortSignal,
): Promise<readonly SourceProblem[]> {
  const sql = await attempt(SqlSession.open(endpoint, password, { signal }))
  if (sql instanceof HoldfastError) return [problemOf(sql)]
  await using session = sql
  const facts = await readClusterFacts(session)
  const settings = await readSettings(session)
  const usedSenders = Number((await session.rows('SELECT count(*) AS used FROM pg_stat_replication'))[0]?.used)
  const problems = [...versionProblems(facts), ...settingProblems(facts, settings, usedSenders)]
  if (!isReplicationReady(settings)) return problems
  const replication = await attempt(ReplicationConnection.open(endpoint, password, { signal }))
  if (replication instanceof HoldfastError) return [replicationProblem(replication, facts, session.place), ...problems]
  await replication[Symbol.asyncDispose]()
  return problems
}

async function attempt<T>(opening: Promise<T>): Promise<T | HoldfastError> {
  try {
    return await opening
  } catch (error) {
    if (error instanceof HoldfastError && error.code !== 'HF_INTERRUPTED') return error
    throw error
  }
}

async function readSettings(session: SqlSession): Promise<ServerSettings> {
  const names = ['wal_level', 'max_wal_senders', 'max_replication_slots', 'data_checksums', 'summarize_wal', 'fsync']
  const places = ['config_file', 'data_directory']
  const list = [...names, ...places].map((name) => `'${name}'`).join(', ')
  const rows = await session.rows(`SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN (${list})`)
  return new Map(rows.map(({ name, setting }) => [String(name), String(setting)]))
}

function versionProblems({ majorVersion, version }: ClusterFacts): readonly SourceProblem[] {
  if (majorVersion < OLDEST_MAJOR)
    return [
      {
        severity: 'error',
        what: `PostgreSQL ${version} is too old: physical backups need ${OLDEST_MAJOR} or newer`,
        remedy: undefined,
      },
    ]
  if (majorVersion > NEWEST_MAJOR)
    return [
      {
        severity: 'warning',
        what: `PostgreSQL ${version} is newer than what this version was tested with (${NEWEST_MAJOR})`,
        remedy: undefined,
      },
    ]
  return []
}

const isReplicationReady = (settings: ServerSettings): boolean =>
  settings.get('wal_level') !== 'minimal' && settings.get('max_wal_senders') !== '0'

function settingProblems(facts: ClusterFacts, settings: ServerSettings, usedSenders: number): SourceProblem[] {
  const problems: SourceProblem[] = []
  const add = (severity: SourceProblem['severity'], what: string, remedy: string | undefined): void => {
    problems.push({ severity, what, remedy })
  }
  const senders = Number(settings.get('max_wal_senders'))
  if (settings.get('wal_level') === 'minimal')
    add('error', 'wal_level is minimal', 'ALTER SYSTEM SET wal_level = replica; -- then restart the server')
  if (senders === 0)
    add('error', 'max_wal_senders is 0', 'ALTER SYSTEM SET max_wal_senders = 10; -- then restart the server')
  else if (usedSenders >= senders)
    add(
      'error',
      `all ${senders} WAL senders are taken`,
      `ALTER SYSTEM SET max_wal_senders = ${senders + 5}; -- then restart the server`,
    )
  if (settings.get('max_replication_slots') === '0')
    add(
      'warning',
      'max_replication_slots is 0: nothing keeps the WAL of a long backup from being removed',
      'ALTER SYSTEM SET max_replication_slots = 10; -- then restart the server',
    )
  if (settings.get('data_checksums') === 'off')
    add(
      'warning',
      'data checksums are off: damage of data files goes into backups unnoticed',
      'pg_checksums --enable -D DATA-DIRECTORY # the server must be stopped',
    )
  if (settings.get('fsync') === 'off')
    add('warning', 'fsync is off: a crash of the machine destroys the cluster', 'ALTER SYSTEM RESET fsync;')
  if (facts.majorVersion >= FIRST_WITH_INCREMENTS && settings.get('summarize_wal') === 'off')
    add(
      'note',
      'summarize_wal is off: the server cannot tell what changed, so every backup reads all of it',
      'ALTER SYSTEM SET summarize_wal = on; SELECT pg_reload_conf();',
    )
  const configuration = settings.get('config_file')
  const directory = settings.get('data_directory')
  if (configuration !== undefined && directory !== undefined && !configuration.startsWith(`${directory}/`))
    add(
      'note',
      `${configuration} lies outside of the data directory and is not in its snapshots: back it up as files`,
      undefined,
    )
  const unmeasured = facts.databases.filter(({ sizeBytes }) => sizeBytes === undefined)
  if (unmeasured.length > 0)
    add(
      'note',
      `${facts.role} may not measure ${unmeasured.length} databases`,
      `GRANT pg_monitor TO ${quotedName(facts.role)};`,
    )
  return problems
}

/** Why the server lets us in for SQL and not for replication. */
function replicationProblem(error: HoldfastError, facts: ClusterFacts, sql: ErrorPlace): SourceProblem {
  if (error.code !== 'HF_SOURCE_PERMISSION') return problemOf(error)
  const place: ErrorPlace = { ...sql, kind: 'replication', clientAddress: facts.clientAddress }
  if (!facts.mayReplicate)
    return { severity: 'error', what: `${facts.role} may not replicate`, remedy: replicationGrant(facts.role) }
  return {
    severity: 'error',
    what: `pg_hba.conf lets ${facts.role} in for SQL, but not for replication`,
    remedy: `${hbaLine(place)} # a line for pg_hba.conf; then: SELECT pg_reload_conf();`,
  }
}

const problemOf = (error: HoldfastError): SourceProblem => ({
  severity: 'error',
  what: error.message,
  remedy: error.hint,
})
