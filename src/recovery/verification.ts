import { z } from 'zod'
import { backupEntries } from '../engine/archive/entries-backup.ts'
import type { SnapshotLabels } from '../engine/archive/run-backup.ts'
import type { Repository } from '../engine/repository/repository.ts'
import { rootOf, type StoredSnapshot } from '../engine/repository/snapshot.ts'
import { compareTimes, type Timestamp } from '../lib/go-time.ts'
import { type Id, isId } from '../lib/id.ts'
import { storeJson } from '../sources/json-file.ts'
import { type ProofCheck, type ProofLevel, proofLevels } from '../sources/proof.ts'

/**
 * What came of looking at a snapshot: `/verification/<source>/<tree>/record.json` in a small snapshot of its own, in the same repository. It
 * is found by the tree, since copying, tagging and rewriting give a snapshot another id, and it survives the loss of everything but the
 * repository.
 */
export interface Verification {
  readonly format: 1
  readonly source: string
  /** Root of the snapshot that was looked at, and its id then. */
  readonly tree: Id
  readonly snapshot: Id
  readonly asked: ProofLevel
  /** The highest level at which, and below which, everything was proved. */
  readonly proved: ProofLevel | undefined
  /** `unproved`: nothing is wrong, and what was asked for could not be looked at in full. */
  readonly outcome: 'passed' | 'unproved' | 'failed'
  readonly checks: readonly ProofCheck[]
  /** Programs it was restored into, by name. */
  readonly facts: Readonly<Record<string, string>>
  /** RFC 3339. */
  readonly started: string
  readonly ended: string
  readonly program: string
}

const level = z.enum(proofLevels)
const check: z.ZodType<ProofCheck> = z.strictObject({
  level,
  name: z.string(),
  outcome: z.enum(['passed', 'failed', 'skipped', 'not applicable']),
  detail: z.string().optional(),
})

export const verificationSchema: z.ZodType<Verification> = z
  .strictObject({
    format: z.literal(1),
    source: z.string(),
    tree: z.string().refine(isId),
    snapshot: z.string().refine(isId),
    asked: level,
    proved: level.optional(),
    outcome: z.enum(['passed', 'unproved', 'failed']),
    checks: z.array(check),
    facts: z.record(z.string(), z.string()),
    started: z.string(),
    ended: z.string(),
    program: z.string(),
  })
  .transform(({ proved, ...rest }) => ({ ...rest, proved }))

const KIND = 'kind=verification'

/** Whether a snapshot is the record of a verification, and no backup. */
export const isVerification = ({ tags }: StoredSnapshot): boolean => tags.includes(KIND)

/** The tree a record is about; undefined for other snapshots. */
export const verifiedTree = (snapshot: StoredSnapshot): Id | undefined =>
  isVerification(snapshot) ? tagOf(snapshot, 'of') : undefined

const tagOf = ({ tags }: StoredSnapshot, name: string): string | undefined =>
  tags.find((tag) => tag.startsWith(`${name}=`))?.slice(name.length + 1)

/**
 * Keeps the record of a verification. Its snapshot says that it is a second older than the one that was looked at: whoever asks any
 * program for the latest snapshot gets data. When it was made stands in its summary.
 *
 * The repository's index is loaded and an append lock is held.
 */
export async function saveVerification(
  repository: Repository,
  verification: Verification,
  of: StoredSnapshot,
  labels: Pick<SnapshotLabels, 'username' | 'uid' | 'gid' | 'programVersion'>,
  signal?: AbortSignal,
): Promise<StoredSnapshot> {
  const { source, outcome, proved } = verification
  const folder = `/verification/${source}/${rootOf(of)}`
  const time: Timestamp = { ...of.time, seconds: of.time.seconds - 1 }
  const { snapshot } = await backupEntries(repository, {
    labels: {
      ...labels,
      time,
      host: of.hostname,
      tags: [
        KIND,
        `source=${source}`,
        `of=${rootOf(of)}`,
        `outcome=${outcome}`,
        ...(proved === undefined ? [] : [`proved=${proved}`]),
      ],
      excludes: [],
    },
    parent: undefined,
    paths: [folder],
    threads: 1,
    observer: { onError: () => undefined },
    write: (entries) =>
      storeJson(entries, `${folder}/record.json`, verification, { mtime: time, uid: labels.uid, gid: labels.gid }),
    signal,
  })
  return snapshot!
}

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
