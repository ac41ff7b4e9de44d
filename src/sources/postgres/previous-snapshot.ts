import type { Repository } from '../../engine/repository/repository.ts'
import { rootOf, type StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { everySnapshot, matchesFilter } from '../../engine/repository/snapshot-filter.ts'
import { loadSnapshots } from '../../engine/repository/snapshots.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { shortId } from '../../lib/id.ts'
import type { BackupType } from '../source.ts'
import type { ClusterIdentity } from './cluster-facts.ts'
import { IncrementalBase } from './incremental-base.ts'
import { loadManifest, type PostgresManifest } from './manifest.ts'

/** What earlier snapshots say of a cluster. */
export interface PreviousSnapshot {
  /** The manifest of the one to build on, or of the newest that can be read: the cluster it was, and how it is cut. */
  readonly manifest: PostgresManifest | undefined
  /** The one to build on. */
  readonly snapshot: StoredSnapshot | undefined
  /** Why there is none. */
  readonly problem: string | undefined
}

/** A repository may have years of them. */
const MAX_TRIED = 20

/**
 * The manifest of `parent`, the snapshot a run compares with. When it is damaged, or there is none, the next one that can be read says at least
 * which cluster this was and how it was cut.
 *
 * @throws HoldfastError HF_INTERRUPTED, whatever listing snapshots throws
 */
export async function findPrevious(
  repository: Repository,
  source: string,
  { parent, type, signal }: { parent: StoredSnapshot | undefined; type: BackupType; signal?: AbortSignal | undefined },
): Promise<PreviousSnapshot> {
  const sort = type === 'differential' ? 'full snapshot' : 'snapshot'
  const read = async (snapshot: StoredSnapshot): Promise<PostgresManifest | string> => {
    try {
      const manifest = await loadManifest(repository, rootOf(snapshot), source, signal)
      return manifest ?? `snapshot ${shortId(snapshot.id)} has no manifest`
    } catch (error) {
      signal?.throwIfAborted()
      if (!(error instanceof HoldfastError) || error.code === 'HF_INTERRUPTED') throw error
      return `the manifest of snapshot ${shortId(snapshot.id)} cannot be read: ${error.message}`
    }
  }
  const found = parent === undefined ? `there is no earlier ${sort} to build on` : await read(parent)
  if (typeof found !== 'string') return { manifest: found, snapshot: parent, problem: undefined }
  const all = await loadSnapshots(repository, { onUnreadable: () => undefined, signal })
  const others = all.filter(
    (one) => one.id !== parent?.id && matchesFilter(one, { ...everySnapshot, paths: [`/${source}`] }),
  )
  for (const snapshot of others.toReversed().slice(0, MAX_TRIED)) {
    const manifest = await read(snapshot)
    if (typeof manifest !== 'string') return { manifest, snapshot: undefined, problem: found }
  }
  return { manifest: undefined, snapshot: undefined, problem: found }
}

/**
 * What an incremental backup of the cluster builds on, or why it has to be read whole. The server has the last word: it may know that its
 * summaries do not reach back so far.
 *
 * @throws HoldfastError HF_INTERRUPTED
 */
export async function findBase(
  repository: Repository,
  { manifest, snapshot, problem }: PreviousSnapshot,
  now: ClusterIdentity,
  signal: AbortSignal | undefined,
): Promise<IncrementalBase | string> {
  if (now.summarizesWal === undefined)
    return `PostgreSQL ${now.majorVersion} cannot send what changed: incremental backups need 17 or newer`
  if (!now.summarizesWal) return 'summarize_wal of the server is off, so it does not know what changed'
  if (manifest === undefined || snapshot === undefined) return problem!
  if (manifest.warnings.length > 0) return `snapshot ${shortId(snapshot.id)} has damaged pages`
  if (manifest.server.dataChecksums !== now.dataChecksums)
    return `data checksums were switched ${now.dataChecksums ? 'on' : 'off'}, which no WAL tells of`
  if (manifest.end.timeline !== now.timeline)
    return `the server is on timeline ${now.timeline}, and was on ${manifest.end.timeline} in snapshot ${shortId(snapshot.id)}`
  try {
    return await IncrementalBase.open(repository, snapshot, manifest, signal)
  } catch (error) {
    if (isHoldfastError(error, 'HF_DATA_DAMAGED')) return error.message
    throw error
  }
}
