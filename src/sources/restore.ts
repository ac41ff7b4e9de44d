import type { Repository } from '../engine/repository/repository.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import type { RestoreThreads } from '../engine/restore/restore-threads.ts'
import { HoldfastError } from '../lib/errors.ts'
import type { SourceProblem } from './source.ts'

/** Where a restore goes. A sandbox is a directory that was made for it. */
export type RestoreTarget =
  | { readonly kind: 'directory'; readonly path: string }
  /** A server to restore into, as a connection URL. */
  | { readonly kind: 'server'; readonly url: string }

/** One part of a restore under another name. */
export interface Renaming {
  readonly from: string
  readonly to: string
}

/** What is to be restored, and where to. */
export interface RestoreJob {
  readonly repository: Repository
  readonly snapshot: StoredSnapshot
  readonly target: RestoreTarget
  /** Only these, in the source's own words: databases, tables, namespaces, key patterns, paths. None: everything. */
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  readonly rename: readonly Renaming[]
  /** Whether what is in the target may be changed or replaced. Without it the target must be new, or empty. */
  readonly overwrite: boolean
  /**
   * The threads of a restore to a directory, started at the first call so that they load while it is planned; whoever gives them closes
   * them. Absent where a plan is all that is wanted.
   */
  readonly threads?: (() => RestoreThreads) | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a restore will do: plain data, to be shown and agreed to before anything is written. */
export interface SourceRestorePlan {
  /** In order, as a person would say it: `write 1,012 files, 1.4 GiB, to /srv/new/data`. */
  readonly steps: readonly string[]
  /** Written at most. */
  readonly files: number
  readonly bytes: number
  /** What is in the target now and will be changed or removed. */
  readonly overwrites: readonly string[]
  /** What speaks against it. With one of severity `error` it is not carried out. */
  readonly problems: readonly SourceProblem[]
  /** What to do when it is done: how to start the server, how to connect. */
  readonly afterwards: readonly string[]
}

/** @throws HoldfastError HF_TARGET_INVALID with the first thing that speaks against a plan */
export function refuseObstacles(problems: readonly SourceProblem[]): void {
  const obstacle = problems.find(({ severity }) => severity === 'error')
  if (obstacle !== undefined)
    throw new HoldfastError('HF_TARGET_INVALID', obstacle.what, { hint: obstacle.remedy ?? 'see the plan' })
}

/** A restore that has been thought through. */
export interface PlannedRestore {
  readonly plan: SourceRestorePlan
  /**
   * Does what the plan says. The target is looked at again before the first byte is written: what has changed since the plan was made ends
   * it with HF_TARGET_INVALID.
   *
   * @throws HoldfastError HF_TARGET_INVALID, HF_RESTORE_FAILED, HF_INTERRUPTED, what reading the repository throws
   */
  execute(observer: SourceRestoreObserver, signal?: AbortSignal): Promise<SourceRestoreResult>
}

/** What a restore tells meanwhile. All calls come from the main thread; none may throw. */
export interface SourceRestoreObserver {
  /** A step of the plan begins. */
  onStep(step: string): void
  onProgress(progress: { readonly bytes: number; readonly totalBytes: number }): void
  /** Something that is not as it was, and did not keep the restore from going on. */
  onWarning(message: string): void
  /** Something was not restored, or not whole; the restore goes on. */
  onError(item: string, error: Error): void
}

export interface SourceRestoreResult {
  readonly files: number
  readonly bytes: number
  /** How often `onError` was called: with one or more the restore is incomplete. */
  readonly errors: number
  /** What else there is to know of it, by name. */
  readonly facts: Readonly<Record<string, string>>
}
