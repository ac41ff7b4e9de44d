import type { EntrySink } from '../../engine/archive/entry-tree.ts'
import { toHex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { randomBytes } from '../../lib/random.ts'
import type { BackupJob } from '../source.ts'
import { type BackupPart, baseBackup } from './base-backup.ts'
import { type ClusterFacts, type ClusterIdentity, OLDEST_MAJOR, readClusterIdentity } from './cluster-facts.ts'
import { blockBytesFor } from './data-layout.ts'
import type { IncrementalBase } from './incremental-base.ts'
import type { PostgresManifest } from './manifest.ts'
import { findBase, type PreviousSnapshot } from './previous-snapshot.ts'
import { ReplicationConnection } from './replication.ts'
import { SQLSTATE_LIMIT_EXCEEDED, SQLSTATE_NOT_IN_STATE } from './server-error.ts'
import type { PostgresSettings } from './settings.ts'
import { SnapshotWriter } from './snapshot-writer.ts'

export interface ClusterBackup {
  readonly source: string
  readonly settings: PostgresSettings
  readonly password: string | undefined
  readonly clock: Clock
}

/** A WAL sender of the cluster, and what it says the cluster is. */
interface Sender extends AsyncDisposable {
  readonly connection: ReplicationConnection
  readonly identity: ClusterIdentity
}

type PartOf<Kind extends BackupPart['kind']> = Extract<BackupPart, { kind: Kind }>

/** A base backup that was read to its end. */
export interface ClusterStream {
  readonly identity: ClusterIdentity
  readonly start: PartOf<'start'>
  readonly end: PartOf<'end'>
  readonly writer: SnapshotWriter
  readonly blockBytes: number
  /** The snapshot it was patched into; undefined when it is whole by itself. */
  readonly base: Id | undefined
  /** What a reader of the snapshot has to know: damaged pages. */
  readonly warnings: readonly string[]
}

export interface Reading {
  readonly entries: EntrySink
  readonly previous: PreviousSnapshot
  readonly facts: ClusterFacts
}

/** Reads what changed, if that is asked for and possible, or else everything; `reason` is why it is everything. */
export async function readCluster(
  cluster: ClusterBackup,
  job: BackupJob,
  reading: Reading,
): Promise<{ readonly stream: ClusterStream; readonly reason: string | undefined }> {
  const { repository, options, type: asked } = job
  const { signal } = options
  let reason: string
  {
    await using sender = await openSender(cluster, reading, signal)
    const base = asked === 'full' ? undefined : await findBase(repository, reading.previous, sender.identity, signal)
    if (base === undefined || typeof base === 'string')
      return { stream: await readWhole(cluster, job, reading, sender), reason: base }
    using opened = base
    const stream = await readStream(cluster, job, reading, sender, opened)
    if (typeof stream !== 'string') return { stream, reason: undefined }
    reason = stream
  }
  reading.entries.clear()
  await using sender = await openSender(cluster, reading, signal)
  return { stream: await readWhole(cluster, job, reading, sender), reason }
}

async function openSender(
  { source, settings, password }: ClusterBackup,
  { previous, facts }: Reading,
  signal: AbortSignal | undefined,
): Promise<Sender> {
  const { clientAddress } = facts
  const connection = await ReplicationConnection.open(settings.endpoint, password, { signal, clientAddress })
  try {
    const identity = await readClusterIdentity(connection)
    checkVersion(identity, connection.place.server)
    if (previous.manifest !== undefined) checkSameCluster(source, previous.manifest, identity)
    await reserveWal(connection)
    return { connection, identity, [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose]() }
  } catch (error) {
    await connection[Symbol.asyncDispose]()
    throw error
  }
}

async function readWhole(
  cluster: ClusterBackup,
  job: BackupJob,
  reading: Reading,
  sender: Sender,
): Promise<ClusterStream> {
  const stream = await readStream(cluster, job, reading, sender, undefined)
  if (typeof stream === 'string') throw new TypeError('a full backup depends on nothing')
  return stream
}

/** Reads everything, or what changed since `base`; in place of that comes the reason when everything has to be read instead. */
async function readStream(
  { source, settings }: ClusterBackup,
  { options }: BackupJob,
  { entries, previous }: Reading,
  { connection, identity }: Sender,
  base: IncrementalBase | undefined,
): Promise<ClusterStream | string> {
  const backup = baseBackup(connection, {
    majorVersion: identity.majorVersion,
    label: `holdfast ${source}`,
    checkpoint: settings.checkpoint,
    maxRate: settings.maxRate,
    since: base?.serverManifest(),
  })
  let begun: (Pick<ClusterStream, 'start' | 'writer' | 'blockBytes'> & { readonly warningsBefore: number }) | undefined
  let end: PartOf<'end'> | undefined
  try {
    for await (const part of backup) {
      if (part.kind === 'start') {
        const blocks = previous.manifest?.blockBytes ?? settings.blockBytes ?? blockBytesFor(part.sizeBytes)
        const blockBytes = Math.max(blocks, identity.pageBytes)
        const writer = new SnapshotWriter(entries, {
          source,
          blockBytes,
          tablespaces: part.tablespaces,
          knowsFolders: identity.knowsFolders,
          directoryMode: identity.directoryMode,
          time: options.labels.time,
          base,
          pages: identity,
        })
        // Until here a server may have warned that it waits for its own summaries, which says nothing of what it sends.
        begun = { start: part, writer, blockBytes, warningsBefore: connection.warningCount }
      } else if (part.kind === 'archive') await begun!.writer.archive(part.tablespace, part.content)
      else if (part.kind === 'manifest') await begun!.writer.serverManifest(part.content)
      else end = part
    }
  } catch (error) {
    const reason = base && refusalOf(error, begun !== undefined)
    if (reason === undefined) throw error
    return reason
  }
  const { warningsBefore, ...parts } = begun!
  const warnings = warningsOf(connection, warningsBefore, end!.isDamaged)
  return { ...parts, identity, end: end!, base: base?.snapshot, warnings }
}

/**
 * Why an incremental backup that failed can be made as a full one: the snapshot it builds on is damaged, or not of what the cluster was before
 * it became what it is, or the server refused before it sent anything. undefined for what would keep a full one from being made as well.
 */
function refusalOf(error: unknown, hasBegun: boolean): string | undefined {
  if (isHoldfastError(error, 'HF_DATA_DAMAGED', 'HF_SOURCE_CHANGED')) return error.message
  if (!hasBegun && isHoldfastError(error, 'HF_SOURCE_UNSUPPORTED', 'HF_SOURCE_UNREADABLE')) return error.message
  return undefined
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

/** Warnings since there were `before` of them. */
function warningsOf(
  { warnings, warningCount }: ReplicationConnection,
  before: number,
  isDamaged: boolean,
): readonly string[] {
  const texts = warnings.slice(before).map(({ message }) => message)
  const unkept = warningCount - before - texts.length
  const more = unkept > 0 ? [`and ${unkept} more warnings`] : []
  const verdict = isDamaged ? ['the server found damaged pages in its data files'] : []
  return [...texts, ...more, ...verdict]
}
