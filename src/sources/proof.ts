import type { Assertion } from '../config/assertion.ts'
import type { Repository } from '../engine/repository/repository.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import type { SandboxFolder } from './sandbox/sandbox-folder.ts'

/**
 * How far a snapshot is proved, each level including those before it (DESIGN.md, idea 1): every byte re-read; its structure read; restored
 * into a sandbox; restored and equal to what was read when it was made, and what its owner asserts holds.
 */
export const proofLevels = ['checksum', 'structure', 'restore', 'data'] as const
export type ProofLevel = (typeof proofLevels)[number]

/** One thing that was looked at. */
export interface ProofCheck {
  readonly level: ProofLevel
  /** What was looked at: `WAL from the start to the end of the backup`, `rows of shop.public.orders`. */
  readonly name: string
  /** `skipped` proves nothing: the level is not reached. `not applicable`: there is nothing of this kind in the snapshot. */
  readonly outcome: 'passed' | 'failed' | 'skipped' | 'not applicable'
  /** What was found, or why it was skipped. Required unless it passed. */
  readonly detail?: string | undefined
}

export interface ProofJob {
  readonly repository: Repository
  readonly snapshot: StoredSnapshot
  /** Takes each check as it is done. */
  readonly report: (check: ProofCheck) => void
  readonly signal?: AbortSignal | undefined
}

/** What was restored for a proof, with whatever had to be started to look at it. */
export interface ProofSandbox extends AsyncDisposable {
  /** Which program of which version it runs in, where: for the record. */
  readonly facts: Readonly<Record<string, string>>
  /** Compares with what was read at the backup, and reports checks of level `data`. */
  compare(): Promise<void>
  /**
   * What an assertion is about.
   * @throws HoldfastError HF_ASSERTION_INVALID when it does not go with this sort of source, or the server refuses it
   */
  answer(assertion: Assertion): Promise<AssertionAnswer>
}

/** What an expression can name. */
export interface AssertionAnswer {
  /** The only, or first, value. */
  readonly value: unknown
  /** All rows, documents, replies. */
  readonly rows: readonly unknown[]
}

/** How snapshots of a source are proved. Checks that fail are reported, not thrown. */
export interface SourceProof {
  /** Level `structure`: manifest, completeness, formats, chains. Reads the repository only. */
  checkStructure(job: ProofJob): Promise<void>
  /**
   * Level `restore`: restores into the folder and starts what makes it usable; reports checks of that level. Undefined when it could not
   * be had, which has been reported then.
   */
  openSandbox(job: ProofJob, folder: SandboxFolder): Promise<ProofSandbox | undefined>
  /**
   * Compares what the snapshot holds with what the source holds now, by content. Absent where a source changes as long as it lives.
   * @throws HoldfastError when the snapshot cannot be read, HF_INTERRUPTED
   */
  compareWithSource?(job: Omit<ProofJob, 'report'>): Promise<SourceComparison>
}

/** How a snapshot and its source differ now. Names are for people; what is secret is not named. */
export interface SourceComparison {
  /** Items whose content is equal. */
  readonly equal: number
  /** Bytes of the source that were read. */
  readonly bytes: number
  /** In the snapshot only. A folder stands for all that is in it. */
  readonly missing: ListedItems
  /** In the source only, and not left out by its settings. */
  readonly extra: ListedItems
  readonly changed: ListedItems
  /** What could not be compared. */
  readonly unreadable: ListedItems
}

export interface ListedItems {
  readonly count: number
  /** The first of them. */
  readonly names: readonly string[]
}
