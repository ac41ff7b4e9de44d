import { backupEntries } from '../../engine/archive/entries-backup.ts'
import type { EntrySink } from '../../engine/archive/entry-tree.ts'
import { formatTime, localTimestamp } from '../../lib/go-time.ts'
import type { BackupJob, SourceBackup } from '../source.ts'
import { type ClusterFacts, type ClusterIdentity, readClusterFacts } from './cluster-facts.ts'
import { type ClusterBackup, readCluster } from './cluster-stream.ts'
import { SqlSession } from './connection.ts'
import type { PostgresManifest } from './manifest.ts'
import { findPrevious } from './previous-snapshot.ts'
import { requireTables } from './requirements.ts'

/**
 * Makes a snapshot of a whole cluster by a base backup over the replication protocol. The snapshot is a data directory with the WAL it
 * needs to become consistent. An incremental backup is patched into such a snapshot from the one before; when that is impossible, the cluster
 * is read whole, and the snapshot says why.
 *
 * @throws HoldfastError when there is no snapshot, with what to do about it
 */
export async function backupCluster(cluster: ClusterBackup, job: BackupJob): Promise<SourceBackup> {
  const { source, settings, password, clock } = cluster
  const { repository, options, type: asked } = job
  const { parent, signal } = options
  const started = formatTime(localTimestamp(clock.now()))
  let manifest: PostgresManifest | undefined
  const write = async (entries: EntrySink): Promise<void> => {
    const [previous, facts] = await Promise.all([
      findPrevious(repository, source, { parent, type: asked, signal }),
      readFacts(cluster, signal),
    ])
    await requireTables(source, job.require, settings.endpoint, password, signal)
    const { stream, reason } = await readCluster(cluster, job, { entries, previous, facts })
    const { identity, start, end, base, writer } = stream
    manifest = {
      format: 1,
      source,
      type: 'postgres',
      mode: 'physical',
      server: serverOf(identity, facts),
      start: start.position,
      end: end.position,
      blockBytes: stream.blockBytes,
      tablespaces: start.tablespaces.map(({ oid, location }) => ({
        oid,
        name: facts.tablespaceNames.get(oid),
        location,
      })),
      databases: facts.databases,
      asked,
      done: base === undefined ? 'full' : asked,
      reason,
      base,
      started,
      ended: formatTime(localTimestamp(clock.now())),
      warnings: stream.warnings,
    }
    await writer.finish(manifest)
  }
  const result = await backupEntries(repository, {
    ...options,
    paths: [`/${source}`],
    write,
    isLarge: true,
    lateTags: () => [`type=${manifest!.done}`, `point=${manifest!.end.lsn}`],
  })
  const { warnings, done, reason, end } = manifest!
  for (const warning of warnings) options.observer.onError(`/${source}/data`, new Error(warning))
  return { result: { ...result, errors: result.errors + warnings.length }, type: done, reason, point: end.lsn }
}

async function readFacts(
  { settings, password }: ClusterBackup,
  signal: AbortSignal | undefined,
): Promise<ClusterFacts> {
  await using session = await SqlSession.open(settings.endpoint, password, { signal })
  return await readClusterFacts(session)
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
