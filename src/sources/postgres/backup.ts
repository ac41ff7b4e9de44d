import { backupEntries } from '../../engine/archive/entries-backup.ts'
import type { EntrySink } from '../../engine/archive/entry-tree.ts'
import { rootOf } from '../../engine/repository/snapshot.ts'
import { toHex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { formatTime, localTimestamp } from '../../lib/go-time.ts'
import { randomBytes } from '../../lib/random.ts'
import type { BackupJob, SourceBackup } from '../source.ts'
import { type BackupPart, baseBackup } from './base-backup.ts'
import {
  type ClusterFacts,
  type ClusterIdentity,
  OLDEST_MAJOR,
  readClusterFacts,
  readClusterIdentity,
} from './cluster-facts.ts'
import { SqlSession } from './connection.ts'
import { blockBytesFor } from './data-layout.ts'
import { loadManifest, type PostgresManifest } from './manifest.ts'
import { ReplicationConnection } from './replication.ts'
import { requireTables } from './requirements.ts'
import { SQLSTATE_LIMIT_EXCEEDED, SQLSTATE_NOT_IN_STATE } from './server-error.ts'
import type { PostgresSettings } from './settings.ts'
import { SnapshotWriter } from './snapshot-writer.ts'

export interface ClusterBackup {
  readonly source: string
  readonly settings: PostgresSettings
  readonly password: string | undefined
  readonly clock: Clock
}

const NO_INCREMENTS = 'the whole cluster was read: incremental reading is not supported for PostgreSQL yet'

/**
 * Makes a snapshot of a whole cluster by a base backup over the replication protocol. The snapshot is a data directory with the WAL it
 * needs to become consistent.
 *
 * @throws HoldfastError when there is no snapshot, with what to do about it
 */
export async function backupCluster(cluster: ClusterBackup, job: BackupJob): Promise<SourceBackup> {
  const { source, settings, password, clock } = cluster
  const { repository, options, type: asked } = job
  const { parent, signal, labels } = options
  const started = formatTime(localTimestamp(clock.now()))
  const previous = parent && (await loadManifest(repository, rootOf(parent), source, signal))
  const facts = await readFacts(cluster, signal)
  await requireTables(source, job.require, settings.endpoint, password, signal)
  await using connection = await ReplicationConnection.open(settings.endpoint, password, {
    signal,
    clientAddress: facts.clientAddress,
  })
  const identity = await readClusterIdentity(connection)
  checkVersion(identity, connection.place.server)
  if (previous !== undefined) checkSameCluster(source, previous, identity)
  await reserveWal(connection)
  const reason = asked === 'full' ? undefined : NO_INCREMENTS
  let manifest: PostgresManifest | undefined
  const write = async (entries: EntrySink): Promise<void> => {
    const backup = baseBackup(connection, {
      majorVersion: identity.majorVersion,
      label: `holdfast ${source}`,
      checkpoint: settings.checkpoint,
      maxRate: settings.maxRate,
    })
    const { start, end, writer, blockBytes } = await writeParts(backup, entries, (first) => {
      const blocks = previous?.blockBytes ?? settings.blockBytes ?? blockBytesFor(first.sizeBytes)
      return {
        source,
        blockBytes: Math.max(blocks, identity.pageBytes),
        tablespaces: first.tablespaces,
        knowsFolders: identity.knowsFolders,
        directoryMode: identity.directoryMode,
        time: labels.time,
      }
    })
    manifest = {
      format: 1,
      source,
      type: 'postgres',
      mode: 'physical',
      server: serverOf(identity, facts),
      start: start.position,
      end: end.position,
      blockBytes,
      tablespaces: start.tablespaces.map(({ oid, location }) => ({
        oid,
        name: facts.tablespaceNames.get(oid),
        location,
      })),
      databases: facts.databases,
      asked,
      done: 'full',
      reason,
      started,
      ended: formatTime(localTimestamp(clock.now())),
      warnings: warningsOf(connection, end.isDamaged),
    }
    await writer.finish(manifest)
  }
  const result = await backupEntries(repository, {
    ...options,
    paths: [`/${source}`],
    write,
    lateTags: () => ['type=full', `point=${manifest!.end.lsn}`],
  })
  const { warnings, end } = manifest!
  for (const warning of warnings) options.observer.onError(`/${source}/data`, new Error(warning))
  return {
    result: { ...result, errors: result.errors + warnings.length },
    type: 'full',
    reason,
    point: end.lsn,
  }
}

async function readFacts(
  { settings, password }: ClusterBackup,
  signal: AbortSignal | undefined,
): Promise<ClusterFacts> {
  await using session = await SqlSession.open(settings.endpoint, password, { signal })
  return await readClusterFacts(session)
}

type PartOf<Kind extends BackupPart['kind']> = Extract<BackupPart, { kind: Kind }>

async function writeParts(
  backup: AsyncIterable<BackupPart>,
  entries: EntrySink,
  optionsFor: (start: PartOf<'start'>) => ConstructorParameters<typeof SnapshotWriter>[1],
): Promise<{
  readonly start: PartOf<'start'>
  readonly end: PartOf<'end'>
  readonly writer: SnapshotWriter
  readonly blockBytes: number
}> {
  let begun:
    | { readonly start: PartOf<'start'>; readonly writer: SnapshotWriter; readonly blockBytes: number }
    | undefined
  let end: PartOf<'end'> | undefined
  for await (const part of backup) {
    if (part.kind === 'start') {
      const options = optionsFor(part)
      begun = { start: part, writer: new SnapshotWriter(entries, options), blockBytes: options.blockBytes }
    } else if (part.kind === 'archive') await begun!.writer.archive(part.tablespace, part.content)
    else if (part.kind === 'manifest') await begun!.writer.serverManifest(part.content)
    else end = part
  }
  return { ...begun!, end: end! }
}

/** All slots are taken, or the server is set to have none. */
const slotRefusals: ReadonlySet<unknown> = new Set([SQLSTATE_LIMIT_EXCEEDED, SQLSTATE_NOT_IN_STATE])

/**
 * Keeps the server from removing WAL the backup needs, for as long as this connection lives. A server without a free slot is no reason not
 * to back up: it fails by itself when WAL is gone.
 */
async function reserveWal(connection: ReplicationConnection): Promise<void> {
  const slot = `holdfast_${toHex(randomBytes(8))}`
  try {
    await connection.rows(`CREATE_REPLICATION_SLOT "${slot}" TEMPORARY PHYSICAL RESERVE_WAL`)
  } catch (error) {
    if (!(error instanceof HoldfastError) || !slotRefusals.has(error.context.sqlstate)) throw error
    await connection.recover()
  }
}

function checkVersion({ majorVersion, version }: ClusterIdentity, server: string): void {
  if (majorVersion >= OLDEST_MAJOR) return
  throw new HoldfastError('HF_SOURCE_UNSUPPORTED', `${server} is of version ${version}`, {
    hint: `physical backups need PostgreSQL ${OLDEST_MAJOR} or newer`,
  })
}

/** A cluster that is another one must not continue the row of snapshots: retention would let the old one's go. */
function checkSameCluster(source: string, { server: before }: PostgresManifest, now: ClusterIdentity): void {
  const hint = `if this is meant, back it up as a source of another name, so that the snapshots of ${source} so far stay what they are; otherwise correct \`host\` and \`port\``
  const context = { source, before: before.systemId, now: now.systemId }
  if (before.systemId !== now.systemId)
    throw new HoldfastError(
      'HF_SOURCE_CHANGED',
      `source ${source} is another cluster than in its last snapshot: system id ${now.systemId}, then ${before.systemId}`,
      { hint, context },
    )
  if (before.majorVersion !== now.majorVersion)
    throw new HoldfastError(
      'HF_SOURCE_CHANGED',
      `source ${source} is PostgreSQL ${now.majorVersion} now, and was ${before.majorVersion} in its last snapshot`,
      { hint, context },
    )
}

const serverOf = (identity: ClusterIdentity, { isStandby }: ClusterFacts): PostgresManifest['server'] => ({
  version: identity.version,
  majorVersion: identity.majorVersion,
  systemId: identity.systemId,
  pageBytes: identity.pageBytes,
  walSegmentBytes: identity.walSegmentBytes,
  dataChecksums: identity.dataChecksums,
  isStandby,
})

/** What a reader of the snapshot has to know: damaged pages. */
function warningsOf({ warnings, warningCount }: ReplicationConnection, isDamaged: boolean): readonly string[] {
  const texts = warnings.map(({ message }) => message)
  const more = warningCount > warnings.length ? [`and ${warningCount - warnings.length} more warnings`] : []
  const verdict = isDamaged ? ['the server found damaged pages in its data files'] : []
  return [...texts, ...more, ...verdict]
}
