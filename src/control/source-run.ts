import { availableParallelism, hostname } from 'node:os'
import type { ArgumentVector, Hooks } from '../config/shape.ts'
import type { BackupObserver } from '../engine/archive/backup-observer.ts'
import { userName } from '../engine/posix/owner-names.ts'
import type { FanOutOptions } from '../engine/repository/copy/fan-out.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import { findLatest } from '../engine/repository/snapshot-filter.ts'
import type { PackSink } from '../engine/repository/write/pack-sink.ts'
import { type Clock, monotonicMilliseconds } from '../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../lib/errors.ts'
import { localTimestamp } from '../lib/go-time.ts'
import type { BackupType, Source, SourceBackup } from '../sources/source.ts'
import { type CopyOutcome, failedCopy, NotWrittenError, writeCopies } from './copies.ts'
import { runHook } from './hooks.ts'
import { byCutting, inWritingOrder, type RunRepository } from './run-repository.ts'

/** A source as a run sees it. */
export interface RunSource {
  readonly source: Source
  /** Commands around the backup. A failing one before it keeps it from being made; those after it all run, whatever happened. */
  readonly hooks: Hooks
  /** What must be there, or the run of the source fails; each sort of source has its own words for it. */
  readonly require: readonly string[]
  /** Where its snapshots go: all that could be opened. With none its run fails. */
  readonly repositories: readonly RunRepository[]
  /** Where they should go as well, by name, and why they cannot. */
  readonly unopened: ReadonlyMap<string, unknown>
}

export type RunPhase = 'pre hook' | 'backup' | 'post hook'

/** What a run tells meanwhile; all calls come from the main thread, none may throw. */
export interface RunObserver {
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
  readonly programVersion: string
  readonly clock: Clock
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Where packs wait for slow repositories when none is on this machine. */
  readonly spool: FanOutOptions['spool']
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
  /** `incomplete`: there is a snapshot, and some items are not in it, or it is not in all repositories. */
  readonly outcome: 'complete' | 'incomplete' | 'failed'
  /** The first one, where repositories that cut differently need several. */
  readonly backup: SourceBackup | undefined
  /** What became of each repository, in the order of writing. */
  readonly copies: readonly CopyOutcome[]
  /** What failed; after an incomplete backup that may still be the post hook. */
  readonly error: unknown
  readonly phases: readonly PhaseTime[]
}

interface Written {
  readonly backup: SourceBackup | undefined
  readonly copies: readonly CopyOutcome[]
  readonly error?: unknown
}

/** The run of one source: hooks around, and between them one reading for all its repositories. */
export class SourceRun {
  readonly #one: RunSource
  readonly #options: RunOptions
  readonly #phases: PhaseTime[] = []

  constructor(one: RunSource, options: RunOptions) {
    this.#one = one
    this.#options = options
  }

  async perform(): Promise<SourceResult> {
    const { source, hooks } = this.#one
    let written: Written = { backup: undefined, copies: [] }
    let error: unknown
    try {
      // Nothing is stopped for a backup that cannot be made.
      if (this.#one.repositories.length === 0) throw [...this.#one.unopened.values()][0]
      for (const command of hooks.pre) await this.#hook('pre hook', command, undefined)
      written = await this.#phase('backup', () => this.#write())
      error = written.error
    } catch (failure) {
      error = failure
    }
    const outcome = error === undefined ? 'done' : 'failed'
    for (const command of hooks.post)
      await this.#hook('post hook', command, outcome).catch((failure: unknown) => {
        error = withFailure(error, failure)
      })
    const { backup } = written
    const unopened = [...this.#one.unopened].map(([name, cause]) => failedCopy(name, cause))
    const copies = [...written.copies, ...unopened]
    const isWhole = backup?.result.errors === 0 && copies.every((copy) => copy.error === undefined)
    return {
      source,
      outcome: error !== undefined ? 'failed' : isWhole ? 'complete' : 'incomplete',
      backup,
      copies,
      error,
      phases: this.#phases,
    }
  }

  /** Reads the source once for all repositories that cut alike. */
  async #write(): Promise<Written> {
    const { source, repositories } = this.#one
    const { spool, signal } = this.#options
    let backup: SourceBackup | undefined
    const copies: CopyOutcome[] = []
    let error: unknown
    for (const group of byCutting(inWritingOrder(repositories)))
      try {
        const options = { source: source.name, backUp: this.#backUp, spool, signal }
        const written = await writeCopies(group, options)
        backup ??= written.backup
        copies.push(...written.copies)
      } catch (failure) {
        if (!(failure instanceof NotWrittenError)) throw failure
        error ??= failure.cause
        copies.push(...failure.copies)
        const told = new Set(failure.copies.map(({ repository }) => repository))
        for (const { name } of group) if (!told.has(name)) copies.push(failedCopy(name, failure.cause))
      }
    // With a snapshot in one of them it is a matter of the others.
    return { backup, copies, error: backup === undefined ? error : undefined }
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

  readonly #backUp = async (
    { repository, snapshots }: RunRepository,
    packs: PackSink,
    signal: AbortSignal | undefined,
  ): Promise<SourceBackup> => {
    const { source } = this.#one
    const { run, type, clock, programVersion, observer } = this.#options
    const parent = latestOf(snapshots, source.name, type)
    const uid = process.getuid?.() ?? 0
    return await source.backup({
      repository,
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
        packs,
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

/** Of several failures none is kept back: what a hook was to start again may still be stopped. */
function withFailure(first: unknown, next: unknown): unknown {
  if (!isHoldfastError(first) || !(next instanceof Error)) return first ?? next
  const { code, message, hint, context, retry } = first
  return new HoldfastError(code, `${message}; and ${next.message}`, {
    ...(hint === undefined ? {} : { hint }),
    context,
    retry,
    cause: first,
  })
}
