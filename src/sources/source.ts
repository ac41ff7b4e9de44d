import type { ZodType } from 'zod'
import type { SecretReference } from '../config/secret.ts'
import type { BackupOptions, BackupResult } from '../engine/archive/run-backup.ts'
import type { Repository } from '../engine/repository/repository.ts'
import type { Clock } from '../lib/clock.ts'
import type { ProofCheck, SourceProof } from './proof.ts'
import type { PlannedRestore, RestoreJob } from './restore.ts'

/** How a run finds what changed; every snapshot is complete whatever it was (DESIGN.md, idea 4). */
export const backupTypes = ['full', 'incremental', 'differential'] as const
export type BackupType = (typeof backupTypes)[number]

/** A sort of thing that can be protected; one folder of `sources/` each. */
export interface SourceKind<Settings> {
  /** As in `type: postgres`. */
  readonly type: string
  /** One line for lists. */
  readonly summary: string
  /** Its keys in holdfast.yaml besides `type` and those all sources have. Strict: unknown keys are refused. */
  readonly settings: ZodType<Settings>
  /** Nothing is connected to or read yet. */
  open(name: string, settings: Settings, services: SourceServices): Source
}

export interface SourceServices {
  readonly clock: Clock
  /** The secret a setting refers to. @throws HoldfastError HF_SECRET_UNAVAILABLE */
  secret(reference: SecretReference): Promise<string>
}

/** One configured thing. */
export interface Source {
  readonly name: string
  readonly type: string
  /** What its snapshots say they are of. */
  readonly paths: readonly string[]
  /** The host its snapshots name, whichever machine makes them, so that retention takes them for one row; without it the machine's. */
  readonly host?: string
  /** Reaches it and says what it is. @throws HoldfastError with a hint how to mend it */
  test(signal?: AbortSignal): Promise<SourceFacts>
  /** Everything that would keep backups or restores from working, and what else a careful owner would want to know. */
  examine(signal?: AbortSignal): Promise<readonly SourceProblem[]>
  /**
   * Makes one snapshot. The repository's index is loaded and an append lock is held.
   * @throws HoldfastError when there is no snapshot; a snapshot that lacks items says so in `result.errors`
   */
  backup(job: BackupJob): Promise<SourceBackup>
  /**
   * Thinks a restore through: reads the snapshot and looks at the target, and changes nothing.
   * @throws HoldfastError when there is nothing to plan with: no such snapshot, a target that cannot be reached
   */
  planRestore?(job: RestoreJob): Promise<PlannedRestore>
  readonly proof?: SourceProof
  /**
   * Looks for damage in the live source: reads all of it, and has the server look through its own structures. Reads only; it takes time and
   * makes the source work. Reports what it looked at.
   * @throws HoldfastError when the source cannot be reached
   */
  check?(job: SourceCheckJob): Promise<void>
}

export interface SourceCheckJob {
  readonly report: (check: SourceCheck) => void
  readonly signal?: AbortSignal | undefined
}

/** One thing of a live source that was looked at. */
export type SourceCheck = Omit<ProofCheck, 'level'>

export interface SourceFacts {
  /** Product and version: `PostgreSQL 18.4`. */
  readonly version: string
  /** What else identifies it, by name: `system id`, `role`, `size`. */
  readonly facts: Readonly<Record<string, string>>
}

export interface SourceProblem {
  /** Whether backups fail with it, are less than they could be, or work. */
  readonly severity: 'error' | 'warning' | 'note'
  readonly what: string
  /** The statement, setting or command that mends it, ready to be pasted. */
  readonly remedy: string | undefined
}

export interface BackupJob {
  readonly repository: Repository
  /** How the run wants to find what changed. */
  readonly type: BackupType
  /** What must be there; HF_REQUIRED_MISSING names what is not. Files: paths. PostgreSQL: database.schema.table. MongoDB: database.collection. Redis: keys. */
  readonly require: readonly string[]
  /** Labels, parent snapshot, threads, observer, signal. `labels.tags` names the source; a source adds its own. */
  readonly options: BackupOptions
}

export interface SourceBackup {
  readonly result: BackupResult
  /** What the run was in the end. */
  readonly type: BackupType
  /** Why it was not what was asked for. */
  readonly reason: string | undefined
  /** The consistency point, in the source's own terms: an LSN, a timestamp. */
  readonly point: string | undefined
}
