import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import { compareTimes, type Timestamp } from '../lib/go-time.ts'
import type { Id } from '../lib/id.ts'
import { type ProofLevel, proofLevels } from '../sources/proof.ts'

/** The tag of records. */
export const VERIFICATION_KIND = 'kind=verification'

/** Whether a snapshot is the record of a verification, and no backup. */
export const isVerification = ({ tags }: StoredSnapshot): boolean => tags.includes(VERIFICATION_KIND)

/** The tree a record is about; undefined for other snapshots. */
export const verifiedTree = (snapshot: StoredSnapshot): Id | undefined =>
  isVerification(snapshot) ? tagOf(snapshot, 'of') : undefined

const tagOf = ({ tags }: StoredSnapshot, name: string): string | undefined =>
  tags.find((tag) => tag.startsWith(`${name}=`))?.slice(name.length + 1)

/** The records among `snapshots` that are about trees no backup among them has any more: a record lives as long as its snapshot. */
export function orphanedVerifications(snapshots: readonly StoredSnapshot[]): readonly StoredSnapshot[] {
  const trees = new Set(snapshots.flatMap((snapshot) => (isVerification(snapshot) ? [] : snapshot.tree)))
  return snapshots.filter((snapshot) => isVerification(snapshot) && !trees.has(verifiedTree(snapshot)))
}

/** How far a snapshot is proved, as its records say. */
export interface Proof {
  /** The highest level that holds. */
  readonly level: ProofLevel | undefined
  /** The level that failed when it was last looked at. */
  readonly failed: ProofLevel | undefined
  /** When it was last looked at. */
  readonly at: Timestamp
}

/**
 * What the records among `snapshots` of one repository prove, by tree; those copied from another prove nothing here. Later ones win: a failure takes back what was proved from its level on, until a
 * verification that goes as far passes.
 */
export function proofsOf(snapshots: readonly StoredSnapshot[]): ReadonlyMap<Id, Proof> {
  const records = snapshots.flatMap((snapshot) => readRecord(snapshot) ?? [])
  const proofs = new Map<Id, Proof>()
  for (const record of records.sort((a, b) => compareTimes(a.at, b.at)))
    proofs.set(record.tree, proofAfter(proofs.get(record.tree), record))
  return proofs
}

interface ReadRecord {
  readonly tree: Id
  readonly at: Timestamp
  readonly hasFailed: boolean
  readonly proved: ProofLevel | undefined
}

function proofAfter(before: Proof | undefined, { hasFailed, proved, at }: ReadRecord): Proof {
  if (hasFailed) return { level: proved, failed: proofLevels[rank(proved) + 1], at }
  if (before === undefined) return { level: proved, failed: undefined, at }
  if (before.failed !== undefined)
    return rank(proved) < rank(before.failed) ? { ...before, at } : { level: proved, failed: undefined, at }
  return { level: rank(before.level) > rank(proved) ? before.level : proved, failed: undefined, at }
}

const rank = (level: ProofLevel | undefined): number => (level === undefined ? -1 : proofLevels.indexOf(level))

function readRecord(snapshot: StoredSnapshot): ReadRecord | undefined {
  const tree = verifiedTree(snapshot)
  const outcome = tagOf(snapshot, 'outcome')
  if (tree === undefined || outcome === undefined) return undefined
  // A record that was copied here, by whatever program, is about the bytes of another repository.
  if (snapshot.original !== undefined) return undefined
  return {
    tree,
    at: snapshot.summary?.backupEnd ?? snapshot.time,
    hasFailed: outcome === 'failed',
    proved: proofLevels.find((known) => known === tagOf(snapshot, 'proved')),
  }
}
