import { copySnapshots } from '../engine/repository/copy/copy-snapshots.ts'
import { copyThreads, FanOut, type FanOutOptions } from '../engine/repository/copy/fan-out.ts'
import { repositoryFault } from '../engine/repository/repository-fault.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import type { PackSink } from '../engine/repository/write/pack-sink.ts'
import { noProgress } from '../lib/progress.ts'
import type { SourceBackup } from '../sources/source.ts'
import { type CopyWay, parentFinder, settledRootOf } from './copy-way.ts'
import { backupKey, isBackupOf, missedSnapshots } from './missed-snapshots.ts'
import type { RunRepository } from './run-repository.ts'

/** What became of one repository of a source. */
export interface CopyOutcome {
  readonly repository: string
  /** `written`: read from the source; `copied`: from the repository that was written. */
  readonly outcome: 'written' | 'copied' | 'failed'
  /** The snapshot there. */
  readonly snapshot: StoredSnapshot | undefined
  /** Bytes of new packs. */
  readonly storedBytes: number
  /** Earlier snapshots that it had missed, and has now. */
  readonly caughtUp: number
  /** What failed. With a snapshot it is about what it had missed. */
  readonly error: unknown
}

/** What writing a source to repositories came to. */
export interface WrittenCopies {
  readonly backup: SourceBackup
  readonly copies: readonly CopyOutcome[]
}

export interface WriteOptions extends FanOutOptions {
  readonly source: string
  /** Makes one snapshot in a repository, and tells `packs` of what it stores. */
  readonly backUp: (
    repository: RunRepository,
    packs: PackSink,
    signal: AbortSignal | undefined,
  ) => Promise<SourceBackup>
}

/** None of the repositories could be written, or the source could not be read. */
export class NotWrittenError extends Error {
  readonly copies: readonly CopyOutcome[]

  constructor(cause: unknown, copies: readonly CopyOutcome[]) {
    super('nothing was written', { cause })
    this.copies = copies
  }
}

/**
 * Reads a source once, into the first of `repositories`, and brings what is stored there into the others meanwhile. When the first one fails
 * on the way the next one takes its place: the source is read again, and what has been copied by then is not stored again.
 *
 * @throws NotWrittenError when there is no snapshot, with what failed last as its cause
 */
export async function writeCopies(
  repositories: readonly RunRepository[],
  options: WriteOptions,
): Promise<WrittenCopies> {
  const failed: CopyOutcome[] = []
  for (let waiting = repositories; ; waiting = waiting.slice(1)) {
    const [first, ...others] = waiting as readonly [RunRepository, ...RunRepository[]]
    try {
      const written = await writeFrom(first, others, options)
      return { ...written, copies: [...failed, ...written.copies] }
    } catch (error) {
      options.signal?.throwIfAborted()
      if (repositoryFault(error) === undefined || others.length === 0) throw new NotWrittenError(error, failed)
      failed.push(failedCopy(first.name, error))
    }
  }
}

async function writeFrom(
  first: RunRepository,
  others: readonly RunRepository[],
  options: WriteOptions,
): Promise<WrittenCopies> {
  const signals = [options.signal, first.signal].filter((signal) => signal !== undefined)
  const signal = AbortSignal.any(signals)
  const fanOut = new FanOut(first.repository, others, { ...options, signal })
  try {
    const backup = await options.backUp(first, fanOut.sink, signal).catch(async (error: unknown) => {
      await fanOut.salvage()
      throw error
    })
    const { snapshot, summary } = backup.result
    if (snapshot === undefined) return { backup, copies: [] }
    const copies = await Promise.all(
      others.map((other) => bring(fanOut, snapshot, { from: first, to: other, source: options.source })),
    )
    options.signal?.throwIfAborted()
    const catchUp = await catchUpFrom(others, first, options)
    const written = { repository: first.name, outcome: 'written', snapshot, ...catchUp } as const
    return { backup, copies: [{ ...written, storedBytes: summary.dataAddedPackedBytes }, ...copies] }
  } finally {
    await fanOut.close()
  }
}

/** Stores a copy of the new snapshot, behind those that were missed before it. */
async function bring(fanOut: FanOut, snapshot: StoredSnapshot, way: CopyWay): Promise<CopyOutcome> {
  const { from, to, source } = way
  try {
    const hasSome = to.snapshots.some((one) => isBackupOf(one, source))
    // A repository that is new to the source gets its history when it is asked for, and not while a backup is waited for.
    const missed = hasSome ? missedSnapshots(to.snapshots, from.snapshots, source, 'newer') : []
    const { copied, storedBytes } = await fanOut.finish(to, [...missed, snapshot], {
      progress: noProgress,
      settledRoot: settledRootOf(way),
      ...parentFinder(way),
    })
    const { copy } = copied.at(-1)!
    const caughtUp = missed.length
    return { repository: to.name, outcome: 'copied', snapshot: copy, storedBytes, caughtUp, error: undefined }
  } catch (error) {
    return failedCopy(to.name, error)
  }
}

/** Brings what only the others have into the repository that was written first: snapshots of runs in which it could not be had. */
async function catchUpFrom(
  others: readonly RunRepository[],
  first: RunRepository,
  { source, signal }: WriteOptions,
): Promise<Pick<CopyOutcome, 'caughtUp' | 'error'>> {
  if (!first.snapshots.some((one) => isBackupOf(one, source))) return { caughtUp: 0, error: undefined }
  const brought = new Set<string>()
  try {
    for (const { repository, snapshots } of others) {
      const all = missedSnapshots(first.snapshots, snapshots, source, 'newer')
      const missed = all.filter((snapshot) => !brought.has(backupKey(snapshot)))
      if (missed.length === 0) continue
      const threads = copyThreads(first.repository)
      await copySnapshots(repository, first.repository, missed, { threads, progress: noProgress, signal })
      for (const snapshot of missed) brought.add(backupKey(snapshot))
    }
    return { caughtUp: brought.size, error: undefined }
  } catch (error) {
    signal?.throwIfAborted()
    return { caughtUp: brought.size, error }
  }
}

export const failedCopy = (repository: string, error: unknown): CopyOutcome => ({
  repository,
  outcome: 'failed',
  snapshot: undefined,
  storedBytes: 0,
  caughtUp: 0,
  error,
})
