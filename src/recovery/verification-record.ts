import { backupEntries } from '../engine/archive/entries-backup.ts'
import type { SnapshotLabels } from '../engine/archive/run-backup.ts'
import type { Repository } from '../engine/repository/repository.ts'
import { rootOf, type StoredSnapshot } from '../engine/repository/snapshot.ts'
import type { Timestamp } from '../lib/go-time.ts'
import type { Id } from '../lib/id.ts'
import { storeJson } from '../sources/json-file.ts'
import type { ProofCheck, ProofLevel } from '../sources/proof.ts'
import { VERIFICATION_KIND } from './verification.ts'

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
        VERIFICATION_KIND,
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
