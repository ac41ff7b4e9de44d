import { backupEntries } from '../../../engine/archive/entries-backup.ts'
import type { EntrySink } from '../../../engine/archive/entry-tree.ts'
import { LINE_SUM_KEY_BYTES } from '../../../engine/kernels/line-sum.ts'
import { rootOf } from '../../../engine/repository/snapshot.ts'
import { toHex } from '../../../lib/bytes.ts'
import type { Clock } from '../../../lib/clock.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { formatTime, localTimestamp } from '../../../lib/go-time.ts'
import { randomBytes } from '../../../lib/random.ts'
import { storeJson } from '../../json-file.ts'
import type { BackupJob, SourceBackup } from '../../source.ts'
import { OLDEST_MAJOR } from '../cluster-facts.ts'
import type { Endpoint } from '../endpoint.ts'
import { manifestPath } from '../manifest.ts'
import { requireTables } from '../requirements.ts'
import type { LogicalSettings } from '../settings.ts'
import { AbsentNames } from './absent-names.ts'
import { chosenDatabases, unmatchedPatterns } from './chosen-databases.ts'
import { type ClientProgram, clientProgram, connectionEnvironment, RunningProgram } from './client-programs.ts'
import { CopySession } from './copy-session.ts'
import { dumpDatabase } from './dump-database.ts'
import { DUMP_AVERAGE_BYTES, DumpFiles } from './dump-files.ts'
import { type DatabaseRecord, type LogicalManifest, loadLogicalManifest } from './manifest.ts'
import { refuseTransactionPooler } from './snapshot-session.ts'

export interface LogicalBackup {
  readonly source: string
  readonly endpoint: Endpoint
  readonly settings: LogicalSettings
  readonly password: string | undefined
  readonly clock: Clock
}

/** What is asked of a server before anything is dumped. */
interface ServerFacts {
  readonly server: LogicalManifest['server']
  readonly databases: readonly string[]
  readonly roles: readonly string[]
  /** Whether the role may read the passwords of others, as superusers may. */
  readonly mayReadPasswords: boolean
}

const READ_EVERYTHING = 'every table was read: logical backups know no other way, and store what has changed'

/**
 * Makes a snapshot of databases, each as of one instant, in the formats of `pg_dump`.
 * @throws HoldfastError when there is no snapshot, with what to do about it
 */
export async function backupLogically(backup: LogicalBackup, job: BackupJob): Promise<SourceBackup> {
  const { source, endpoint, settings, password, clock } = backup
  const { repository, options, type: asked } = job
  const { parent, signal, labels } = options
  const started = formatTime(localTimestamp(clock.now()))
  const facts = await readServer(backup, signal)
  const { server } = facts
  const program = clientProgram('pg_dump', server.majorVersion)
  const previous = parent && (await loadLogicalManifest(repository, rootOf(parent), source, signal))
  if (previous !== undefined) checkSameServer(source, previous.server, server)
  await requireTables(source, job.require, endpoint, password, signal)
  const reason = asked === 'full' ? undefined : READ_EVERYTHING
  const rowSumKey = randomBytes(LINE_SUM_KEY_BYTES)
  let manifest: LogicalManifest | undefined
  const write = async (entries: EntrySink): Promise<void> => {
    const attributes = { mtime: labels.time, uid: labels.uid, gid: labels.gid }
    const files = new DumpFiles(entries, source, attributes)
    files.directory('')
    const globals = settings.globals ? await dumpGlobals(backup, files, facts, signal) : undefined
    const databases: DatabaseRecord[] = []
    for (const database of facts.databases)
      databases.push(
        await dumpDatabase({
          files,
          endpoint: { ...endpoint, database },
          password,
          settings,
          program,
          majorVersion: server.majorVersion,
          rowSumKey,
          signal,
        }),
      )
    manifest = {
      format: 1,
      source,
      type: 'postgres',
      mode: 'logical',
      dumpFormat: settings.format,
      server,
      programVersion: program.version,
      averageBytes: DUMP_AVERAGE_BYTES,
      chunkerPolynomial: repository.config.chunkerPolynomial.toString(16),
      rowSumKey: databases.some(({ tables }) => tables.some(({ rowSum }) => rowSum !== undefined))
        ? toHex(rowSumKey)
        : undefined,
      roles: facts.roles,
      globals,
      databases,
      asked,
      done: 'full',
      reason,
      started,
      ended: formatTime(localTimestamp(clock.now())),
    }
    await storeJson(entries, manifestPath(source), manifest, attributes)
  }
  const absent = await findAbsent(backup, facts, signal)
  const stored = await backupEntries(repository, {
    ...options,
    paths: [`/${source}`],
    write,
    lateTags: () => ['type=full', `point=${pointOf(manifest!)}`],
  })
  for (const what of absent)
    options.observer.onError(
      `/${source}/data`,
      new HoldfastError('HF_REQUIRED_MISSING', `${what} is not there, and the source names it`, {
        hint: 'bring it back, or take it out of the configuration',
      }),
    )
  const result = { ...stored, errors: stored.errors + absent.length }
  return { result, type: 'full', reason, point: pointOf(manifest!) }
}

/** Of the database that was dumped first: what was committed before is in the snapshot. */
const pointOf = ({ databases }: LogicalManifest): string => databases[0]!.lsn

async function readServer(
  { source, endpoint, password, settings }: LogicalBackup,
  signal: AbortSignal | undefined,
): Promise<ServerFacts> {
  await refuseTransactionPooler(endpoint, password, signal)
  await using session = await CopySession.open(endpoint, password, { signal })
  const row = await session.row(`
    SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int / 10000 AS major,
           pg_is_in_recovery() AS standby, has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS passwords`)
  const majorVersion = Number(row.major)
  if (majorVersion < OLDEST_MAJOR)
    throw new HoldfastError('HF_SOURCE_UNSUPPORTED', `${session.place.server} is of version ${row.version}`, {
      hint: `logical backups need PostgreSQL ${OLDEST_MAJOR} or newer`,
    })
  const databases = await chosenDatabases(session, source, settings.databases)
  const roles = await session.rows(`SELECT rolname AS name FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1`)
  return {
    server: {
      version: row.version!,
      majorVersion,
      systemId: await readSystemId(session),
      isStandby: row.standby === 't',
    },
    databases,
    roles: roles.map(({ name }) => name!),
    mayReadPasswords: row.passwords === 't',
  }
}

/** What the settings name and no database has. */
async function findAbsent(
  { endpoint, password, settings }: LogicalBackup,
  { databases }: ServerFacts,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const missing = unmatchedPatterns(settings.databases, databases).map((name) => `database ${name}`)
  if (settings.schemas.length + settings.tables.length === 0) return missing
  const names = new AbsentNames(settings)
  for (const database of databases) {
    await using session = await CopySession.open({ ...endpoint, database }, password, { signal })
    await names.look(session)
  }
  return [...missing, ...names.texts]
}

/** Managed servers keep it to themselves. */
async function readSystemId(session: CopySession): Promise<string | undefined> {
  try {
    return (await session.row('SELECT system_identifier::text AS id FROM pg_catalog.pg_control_system()')).id
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'HF_SOURCE_PERMISSION') return undefined
    throw error
  }
}

/** Another server must not continue the row of snapshots: retention would let the old one's go. */
function checkSameServer(source: string, before: LogicalManifest['server'], now: LogicalManifest['server']): void {
  const hint = `if this is meant, back it up as a source of another name, so that the snapshots of ${source} so far stay what they are; otherwise correct \`host\` and \`port\``
  if (before.systemId !== undefined && now.systemId !== undefined && before.systemId !== now.systemId)
    throw new HoldfastError(
      'HF_SOURCE_CHANGED',
      `source ${source} is another cluster than in its last snapshot: system id ${now.systemId}, then ${before.systemId}`,
      { hint, context: { source, before: before.systemId, now: now.systemId } },
    )
  if (before.majorVersion !== now.majorVersion)
    throw new HoldfastError(
      'HF_SOURCE_CHANGED',
      `source ${source} is PostgreSQL ${now.majorVersion} now, and was ${before.majorVersion} in its last snapshot`,
      { hint, context: { source, before: before.majorVersion, now: now.majorVersion } },
    )
}

/** Roles, memberships and tablespaces, as `pg_dumpall` writes them. Passwords only where the role may read them. */
async function dumpGlobals(
  { endpoint, password }: LogicalBackup,
  files: DumpFiles,
  { mayReadPasswords, server }: ServerFacts,
  signal: AbortSignal | undefined,
): Promise<LogicalManifest['globals']> {
  const program: ClientProgram = clientProgram('pg_dumpall', server.majorVersion)
  const database = endpoint.database
  await using running = new RunningProgram('pg_dumpall', program, {
    args: [
      '--globals-only',
      '--no-password',
      `--database=${database}`,
      ...(mayReadPasswords ? [] : ['--no-role-passwords']),
    ],
    environment: connectionEnvironment(endpoint, password),
    signal,
  })
  const part = await files.read(running.output)
  await running.succeed()
  const { path, bytes, fingerprint } = await files.finish('globals.sql', [part])
  return { path, bytes, fingerprint, withPasswords: mayReadPasswords }
}
