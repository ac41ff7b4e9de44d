import { availableParallelism, hostname } from 'node:os'
import type { ArgumentVector, Hooks } from '../config/shape.ts'
import type { BackupObserver } from '../engine/archive/backup-observer.ts'
import { userName } from '../engine/posix/owner-names.ts'
import type { Repository } from '../engine/repository/repository.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import { findLatest } from '../engine/repository/snapshot-filter.ts'
import { loadSnapshots, type UnreadableSnapshot } from '../engine/repository/snapshots.ts'
import { type Clock, monotonicMilliseconds } from '../lib/clock.ts'
import { HoldfastError } from '../lib/errors.ts'
import { localTimestamp } from '../lib/go-time.ts'
import { forEachParallel } from '../lib/parallel.ts'
import type { BackupType, Source, SourceBackup } from '../sources/source.ts'
import { runHook } from './hooks.ts'

/** A source as a run sees it. */
export interface RunSource {
  readonly source: Source
  /** Commands around the backup. A failing one before it keeps it from being made; those after it all run, whatever happened. */
  readonly hooks: Hooks
  /** What must be there, or the run of the source fails; each sort of source has its own words for it. */
  readonly require: readonly string[]
}

export type RunPhase = 'pre hook' | 'backup' | 'post hook'

/** What a run tells meanwhile; all calls come from the main thread, none may throw. */
export interface RunObserver {
  /** A snapshot that is damaged; the run goes on without it. */
  readonly onUnreadableSnapshot: (snapshot: UnreadableSnapshot) => void
  onPhase(source: Source, phase: RunPhase): void
  /** Of the backup of one source. */
  backupObserver(source: Source): BackupObserver
  /** A line a hook printed. */
  onHookLine(source: Source, line: string): void
  onFinished(result: SourceResult): void
}

export interface RunOptions {
  /** Names the run in tags and results. */
  readonly run: string
  readonly type: BackupType
  /** Sources that are backed up at the same time. */
  readonly parallel: number
  readonly programVersion: string
  readonly clock: Clock
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly observer: RunObserver
  readonly signal?: AbortSignal | undefined
}

export interface PhaseTime {
  readonly phase: RunPhase
  readonly milliseconds: number
}

/** What became of one source. */
export interface SourceResult {
  readonly source: Source
  /** `incomplete`: there is a snapshot, and some items are not in it. */
  readonly outcome: 'complete' | 'incomplete' | 'failed'
  readonly backup: SourceBackup | undefined
  /** What failed; after an incomplete backup that may still be the post hook. */
  readonly error: unknown
  readonly phases: readonly PhaseTime[]
}

/**
 * Backs up sources into one repository, whose index is loaded and in which an append lock is held. A source that fails does not stop the
 * others. Results come in the order of `sources`.
 *
 * @throws HoldfastError HF_INTERRUPTED, HF_REPO_LOCKED, HF_LOCK_LOST: then nothing goes on
 */
export async function runBackups(
  repository: Repository,
  sources: readonly RunSource[],
  options: RunOptions,
): Promise<readonly SourceResult[]> {
  const { signal, parallel, observer } = options
  const snapshots = await loadSnapshots(repository, { onUnreadable: observer.onUnreadableSnapshot, signal })
  const results = new Map<RunSource, SourceResult>()
  await forEachParallel(sources, parallel, async (one) => {
    const result = await new SourceRun(repository, one, snapshots, options).perform()
    // What stops the whole run is nobody's failure.
    signal?.throwIfAborted()
    results.set(one, result)
    observer.onFinished(result)
  })
  return sources.map((one) => results.get(one)!)
}

class SourceRun {
  readonly #repository: Repository
  readonly #one: RunSource
  readonly #snapshots: readonly StoredSnapshot[]
  readonly #options: RunOptions
  readonly #phases: PhaseTime[] = []

  constructor(repository: Repository, one: RunSource, snapshots: readonly StoredSnapshot[], options: RunOptions) {
    this.#repository = repository
    this.#one = one
    this.#snapshots = snapshots
    this.#options = options
  }

  async perform(): Promise<SourceResult> {
    const { source, hooks } = this.#one
    let backup: SourceBackup | undefined
    let error: unknown
    try {
      for (const command of hooks.pre) await this.#hook('pre hook', command, undefined)
      backup = await this.#phase('backup', () => this.#backUp())
    } catch (failure) {
      error = failure
    }
    const outcome = error === undefined ? 'done' : 'failed'
    for (const command of hooks.post)
      await this.#hook('post hook', command, outcome).catch((failure: unknown) => {
        error ??= failure
      })
    const isWhole = backup !== undefined && backup.result.errors === 0
    return {
      source,
      outcome: error !== undefined ? 'failed' : isWhole ? 'complete' : 'incomplete',
      backup,
      error,
      phases: this.#phases,
    }
  }

  async #phase<T>(phase: RunPhase, work: () => Promise<T>): Promise<T> {
    this.#options.observer.onPhase(this.#one.source, phase)
    const started = monotonicMilliseconds()
    try {
      return await work()
    } finally {
      this.#phases.push({ phase, milliseconds: monotonicMilliseconds() - started })
    }
  }

  async #hook(phase: RunPhase, command: ArgumentVector, outcome: string | undefined): Promise<void> {
    const { source } = this.#one
    const { environment, observer, run, signal } = this.#options
    await this.#phase(phase, () =>
      runHook(command, {
        what: `${phase} of ${source.name}`,
        environment: { ...environment, HOLDFAST_SOURCE: source.name, HOLDFAST_RUN: run, HOLDFAST_OUTCOME: outcome },
        onLine: (line) => observer.onHookLine(source, line),
        // What stands after a backup puts back what stood before it: it runs also when the run is being stopped.
        signal: phase === 'post hook' ? undefined : signal,
      }),
    )
  }

  async #backUp(): Promise<SourceBackup> {
    const { source } = this.#one
    const { run, type, clock, programVersion, observer, signal } = this.#options
    const parent = latestOf(this.#snapshots, source.name, type)
    const uid = process.getuid?.() ?? 0
    return await source.backup({
      repository: this.#repository,
      type,
      require: this.#one.require,
      options: {
        labels: {
          time: localTimestamp(clock.now()),
          host: source.host ?? hostname(),
          username: userName(uid),
          uid,
          gid: process.getgid?.() ?? 0,
          tags: [`source=${source.name}`, 'kind=backup', `run=${run}`],
          excludes: [],
          programVersion,
        },
        parent,
        threads: Math.max(2, availableParallelism()),
        observer: observer.backupObserver(source),
        signal,
      },
    })
  }
}

/** What a run of `type` compares with: the newest snapshot of the source, for a differential the newest full one. */
export function latestOf(
  snapshots: readonly StoredSnapshot[],
  source: string,
  type: BackupType,
): StoredSnapshot | undefined {
  const tags = [`source=${source}`, 'kind=backup', ...(type === 'differential' ? ['type=full'] : [])]
  return findLatest(snapshots, { hosts: [], paths: [], tags: [tags] })
}

/** The failure that a run as a whole ends with; undefined when all went well. */
export function failureOf(results: readonly SourceResult[]): HoldfastError | undefined {
  const named = (outcome: SourceResult['outcome']): string[] =>
    results.flatMap((result) => (result.outcome === outcome ? result.source.name : []))
  const failed = named('failed')
  const incomplete = named('incomplete')
  if (failed.length > 0)
    return new HoldfastError(
      'HF_RUN_FAILED',
      `${failed.length} of ${results.length} sources failed: ${failed.join(', ')}`,
    )
  if (incomplete.length > 0)
    return new HoldfastError('HF_INCOMPLETE', `some items could not be read: ${incomplete.join(', ')}`)
  return undefined
}
