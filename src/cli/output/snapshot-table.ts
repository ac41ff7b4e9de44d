import type { StoredSnapshot } from '../../engine/repository/snapshot.ts'
import type { GroupKey } from '../../engine/repository/snapshot-group.ts'
import { compareTimes } from '../../lib/go-time.ts'
import { type Id, shortId } from '../../lib/id.ts'
import { formatSize } from '../../lib/sizes.ts'
import { isVerification, type Proof } from '../../recovery/verification.ts'
import type { Environment } from '../environment.ts'
import { formatLocalTime, zoneName } from './local-time.ts'
import { renderTable } from './table.ts'

export interface SnapshotTableOptions {
  readonly compact: boolean
  /** Why each snapshot is kept, by its id: adds a column to the long form. */
  readonly reasons?: ReadonlyMap<Id, readonly string[]>
  /** How far trees are proved: adds a column when there is one of a snapshot. */
  readonly proofs?: ReadonlyMap<Id, Proof>
  readonly environment: Environment
}

/** The table of snapshots as restic prints it, the newest last. Ends with a line feed. */
export function renderSnapshotTable(snapshots: readonly StoredSnapshot[], options: SnapshotTableOptions): string {
  const { compact, reasons, proofs } = options
  const sorted = snapshots.toSorted((a, b) => compareTimes(a.time, b.time))
  const columns: (readonly [header: string, cell: (snapshot: StoredSnapshot) => string])[] = [
    ['ID', ({ id }) => shortId(id)],
    ['Time', ({ time }) => formatLocalTime(time)],
    [compact ? 'Host' : 'Host      ', ({ hostname }) => hostname],
    [compact ? 'Tags  ' : 'Tags      ', ({ tags }) => tags.join(compact ? '\n' : ',')],
  ]
  if (!compact && reasons !== undefined) columns.push(['Reasons', ({ id }) => (reasons.get(id) ?? []).join('\n')])
  if (!compact) columns.push(['Paths', ({ paths }) => paths.join('\n')])
  if (sorted.some(({ summary }) => summary !== undefined))
    columns.push(['Size', ({ summary }) => (summary === undefined ? '' : formatSize(summary.totalBytesProcessed))])
  const proofOf = ({ tree }: StoredSnapshot): Proof | undefined => proofs?.get(tree ?? '')
  if (sorted.some(proofOf))
    columns.push(['Proved', (snapshot) => (isVerification(snapshot) ? '' : provedText(proofOf(snapshot)))])
  return renderTable({
    headers: columns.map(([header]) => header),
    rows: sorted.map((snapshot) => columns.map(([, cell]) => cell(snapshot))),
    footer: [`Timestamps shown in ${zoneName(options.environment)}`, `${sorted.length} snapshots`],
    spaced: !compact && sorted.some(({ paths }) => paths.length > 1),
  })
}

/** Never looked at is not the same as proved, and failed is what stands out. */
function provedText(proof: Proof | undefined): string {
  if (proof === undefined) return 'not verified'
  if (proof.failed !== undefined) return `FAILED: ${proof.failed}`
  return proof.level ?? 'nothing'
}

/** `snapshots for (host [web1], tags [a, b], paths [/srv]):`, the line above the table of a group; empty without grouping. */
export function snapshotGroupHeader({ hostname, tags, paths }: GroupKey): string {
  const parts = [
    hostname !== '' && `host [${hostname}]`,
    tags !== null && `tags [${tags.join(', ')}]`,
    paths !== null && `paths [${paths.join(', ')}]`,
  ].filter((part) => part !== false)
  return parts.length === 0 ? '' : `snapshots for (${parts.join(', ')}):`
}

/** A group's key under restic's names. */
export const groupKeyJson = ({ hostname, paths, tags }: GroupKey): object => ({ hostname, paths, tags })
