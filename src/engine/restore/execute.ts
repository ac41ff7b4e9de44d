import { closeSync, mkdirSync } from 'node:fs'
import { HoldfastError } from '../../lib/errors.ts'
import { forEachParallel } from '../../lib/parallel.ts'
import { reviveError } from '../../lib/worker-pool.ts'
import { openDirectoryAt } from '../posix/at.ts'
import { missingFeatures } from '../posix/missing-features.ts'
import type { Repository } from '../repository/repository.ts'
import { byteStringToText } from '../repository/tree/node.ts'
import { throwIfInterrupted } from '../storage/interruption.ts'
import { bringBackPacks, findArchivedPacks } from './archived-packs.ts'
import type { PackTask } from './content-plan.ts'
import { ROOT } from './entry-table.ts'
import { type PackFetch, planFetches } from './fetch-plan.ts'
import { type MissingRange, missingContent } from './missing-content.ts'
import { type FetchedBytes, fetchEach } from './pack-fetcher.ts'
import type { RestoreObserver, RestoreProgress } from './restore-observer.ts'
import { deletedItems, itemOf, type RestorePlan, targetPathOf } from './restore-plan.ts'
import { RestoreThreads } from './restore-threads.ts'
import { SharedFiles } from './shared-files.ts'
import { beginOnThreads } from './thread-plan.ts'
import { type CreatedFile, EntryWriter, removeTree, type WriteRules } from './threads/entry-writer.ts'
import type { FetchedStretch, RestoreResult, WrittenEntries } from './threads/messages.ts'

export interface ExecuteOptions {
  readonly observer: RestoreObserver
  /** The caller waits until all is on the disk: what is large is written there at once, past the system's cache. */
  readonly durable?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a restore has come to. */
export interface RestoreOutcome {
  readonly progress: RestoreProgress
  /** Entries that were not restored, or not whole. */
  readonly failed: ReadonlySet<number>
}

/** Entries that are not content, given to a thread at a time. */
const ENTRIES_PER_TASK = 256

/**
 * Does what `plan` says. Directories come first, closed to others; then content, pack by pack, on all threads, with everything that has
 * none; then further names of files, deletions, and the attributes of directories from the innermost outwards.
 *
 * A failure of one item is told to the observer and counted, and the restore goes on.
 * @throws HoldfastError HF_STORAGE_ARCHIVED before anything is written; HF_TARGET_INVALID when the target cannot be made, HF_RESTORE_FAILED when it is full, HF_INTERRUPTED
 */
export async function executeRestore(
  repository: Repository,
  plan: RestorePlan,
  options: ExecuteOptions,
  threads?: RestoreThreads,
): Promise<RestoreOutcome> {
  const archived = await findArchivedPacks(repository, plan, options.signal)
  if (archived !== undefined) {
    const onWarning = options.observer.onWarning?.bind(options.observer)
    await bringBackPacks(repository, archived, { onWarning, signal: options.signal })
  }
  makeTarget(plan.target)
  const own = threads === undefined ? new RestoreThreads() : undefined
  try {
    using execution = new Execution(repository, plan, threads ?? own!, options)
    return await execution.run()
  } finally {
    await own?.close()
  }
}

function makeTarget(target: string): void {
  try {
    mkdirSync(target, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw new HoldfastError('HF_TARGET_INVALID', `${target} cannot be restored to: ${(cause as Error).message}`, {
      cause,
      hint: 'name a folder that you may write to, or one that does not exist yet',
    })
  }
}

class Execution implements Disposable {
  readonly #repository: Repository
  readonly #plan: RestorePlan
  readonly #threads: RestoreThreads
  readonly #observer: RestoreObserver
  readonly #signal: AbortSignal | undefined
  readonly #rules: WriteRules
  readonly #writer: EntryWriter
  readonly #shared: SharedFiles
  readonly #failed = new Set<number>()
  /** Content that could not be had, by entry. */
  readonly #missing = new Map<number, MissingRange[]>()
  readonly #progress: { -readonly [K in keyof RestoreProgress]: RestoreProgress[K] }

  constructor(repository: Repository, plan: RestorePlan, threads: RestoreThreads, options: ExecuteOptions) {
    this.#repository = repository
    this.#plan = plan
    this.#threads = threads
    this.#observer = options.observer
    this.#signal = options.signal
    this.#rules = { ...plan.rules, direct: options.durable ?? false }
    this.#writer = new EntryWriter(plan.entries, openDirectoryAt(Buffer.from(plan.target)), this.#rules)
    this.#shared = new SharedFiles(this.#writer, plan.writing.tasksOfShared)
    this.#progress = { files: 0, bytes: plan.totals.presentBytes, deletedFiles: 0, errors: 0, totals: plan.totals }
  }

  async run(): Promise<RestoreOutcome> {
    const { entries, content, rows, writing, target, problems } = this.#plan
    for (const feature of missingFeatures()) this.#observer.onWarning?.(`on this machine ${feature}`)
    for (const { path, error } of problems) this.#report(path, error)
    const ready = beginOnThreads(this.#threads, this.#repository, {
      target,
      entries,
      content,
      rows,
      placements: writing.placements,
      rules: this.#rules,
    })
    // A failure is noticed when it is awaited.
    ready.catch(() => undefined)
    this.#createDirectories()
    await ready
    try {
      await this.#writeContent()
      await this.#writeOtherEntries()
      await this.#threads.runOnEach({ kind: 'end' })
    } finally {
      this.#shared.close()
    }
    this.#createLinks()
    this.#delete()
    this.#adjustDirectories()
    return { progress: this.#progress, failed: this.#failed }
  }

  [Symbol.dispose](): void {
    this.#shared.close()
    this.#writer.close()
  }

  #createDirectories(): void {
    const { entries } = this.#plan
    for (let entry = ROOT + 1; entry < entries.count; entry++) {
      if (entries.kind(entry) !== 'dir' || entries.action(entry) === 'skip') continue
      this.#try(entry, () => this.#writer.createDirectory(entry))
    }
  }

  async #writeContent(): Promise<void> {
    const { tasks, placements } = this.#plan.writing
    const { count } = this.#threads
    if (this.#repository.storage.properties.directory !== undefined) {
      await forEachParallel(inStrands(tasks, count), count * 2, (task) => this.#writeTask(task, undefined))
      return
    }
    const fetches = inStrands(planFetches(tasks, placements, this.#plan.rows), count)
    const use = async ({ tasks, offset, length }: PackFetch, bytes: FetchedBytes): Promise<void> => {
      for (const task of tasks) await this.#writeTask(task, { offset, length, bytes })
    }
    await fetchEach(this.#repository, fetches, use, { signal: this.#signal })
  }

  async #writeTask(task: PackTask, fetched: FetchedStretch | undefined): Promise<void> {
    throwIfInterrupted(this.#signal)
    const pack = this.#repository.index.packId(task.pack)
    const shared = this.#acquire(task)
    const { from, to } = task
    const descriptors = Int32Array.from(shared.flatMap(({ entry, file }) => [entry, file?.fd ?? -1]))
    const result = await this.#threads.run({ kind: 'content', pack, from, to, shared: descriptors, fetched })
    await this.#contentWritten(result)
    for (const { entry, file } of shared) if (file !== undefined) this.#release(entry)
    this.#observer.onProgress?.(this.#progress)
  }

  #acquire(task: PackTask): { readonly entry: number; readonly file: CreatedFile | undefined }[] {
    return task.shared.map((entry) => {
      let file: CreatedFile | undefined
      if (!this.#failed.has(entry)) this.#try(entry, () => (file = this.#shared.acquire(entry)))
      if (file === undefined) this.#shared.withdraw(entry)
      return { entry, file }
    })
  }

  #release(entry: number): void {
    const file = this.#shared.release(entry)
    if (file === undefined) return
    if (this.#failed.has(entry) || this.#missing.has(entry)) {
      closeSync(file.fd)
      this.#reportMissing(entry)
    } else if (this.#try(entry, () => this.#writer.finishFile(file))) this.#finish(entry)
  }

  async #contentWritten(result: Extract<RestoreResult, { kind: 'content' }>): Promise<void> {
    this.#progress.bytes += result.writtenBytes
    this.#written(result)
    if (result.missing.length > 0) await this.#recover(result)
  }

  #written({ finished, failed }: WrittenEntries): void {
    for (const { entry, error } of failed) this.#fail(entry, reviveError(error))
    for (const entry of finished) this.#finish(entry)
  }

  /** Looks for blobs that a thread could not read in all places they lie in, and puts them where they are missing. */
  async #recover({ missing, begun }: Extract<RestoreResult, { kind: 'content' }>): Promise<void> {
    const { placements } = this.#plan.writing
    const opened = new Map<number, CreatedFile | undefined>()
    let row = -1
    let blob: { readonly bytes: Uint8Array } | { readonly error: Error } | undefined
    for (const at of missing) {
      if (placements.row[at] !== row || blob === undefined) {
        row = placements.row[at]!
        blob = await this.#loadBlob(row)
      }
      const entry = placements.entry[at]!
      const offset = placements.offset[at]!
      if ('error' in blob) {
        this.#miss(entry, offset, this.#plan.rows.plaintextLength(row), blob.error)
        continue
      }
      // Only now: a file nothing of which can be had is not made.
      if (!opened.has(entry)) opened.set(entry, this.#openIncomplete(entry, begun.includes(entry)))
      const file = opened.get(entry)
      const { bytes } = blob
      if (file !== undefined && this.#try(entry, () => this.#writer.write(file, bytes, offset)))
        this.#progress.bytes += bytes.length
    }
    for (const entry of new Set(Array.from(missing, (at) => placements.entry[at]!))) {
      if (this.#plan.writing.tasksOfShared.has(entry)) continue
      const file = opened.get(entry)
      if (this.#failed.has(entry) || this.#missing.has(entry)) {
        if (file !== undefined) closeSync(file.fd)
        this.#reportMissing(entry)
      } else if (file !== undefined && this.#try(entry, () => this.#writer.finishFile(file))) this.#finish(entry)
    }
  }

  async #loadBlob(row: number): Promise<{ readonly bytes: Uint8Array } | { readonly error: Error }> {
    try {
      return { bytes: await this.#repository.loadBlob('data', this.#plan.rows.id(row), this.#signal) }
    } catch (error) {
      throwIfInterrupted(this.#signal)
      return { error: error as Error }
    }
  }

  /** The file of an entry that a thread has left without some of its content. */
  #openIncomplete(entry: number, isBegun: boolean): CreatedFile | undefined {
    if (this.#plan.writing.tasksOfShared.has(entry)) return this.#shared.file(entry)
    let file: CreatedFile | undefined
    this.#try(entry, () => {
      file = isBegun ? this.#writer.openForUpdate(entry) : this.#writer.createFile(entry, true)
    })
    return file
  }

  #miss(entry: number, offset: number, length: number, error: Error): void {
    const ranges = this.#missing.get(entry) ?? []
    ranges.push({ offset, length, error })
    this.#missing.set(entry, ranges)
  }

  #reportMissing(entry: number): void {
    const ranges = this.#missing.get(entry)
    if (ranges === undefined || this.#failed.has(entry)) return
    this.#fail(entry, missingContent(ranges, this.#plan.entries.memory.number[entry]!))
  }

  /** Everything without content, and files whose content is there. */
  async #writeOtherEntries(): Promise<void> {
    await forEachParallel(this.#otherEntries(), this.#threads.count * 2, async (entries) => {
      throwIfInterrupted(this.#signal)
      this.#written(await this.#threads.run({ kind: 'entries', entries }))
      this.#observer.onProgress?.(this.#progress)
    })
  }

  *#otherEntries(): IterableIterator<Uint32Array> {
    const { entries, writing } = this.#plan
    const hasPlacement = new Uint8Array(entries.count)
    for (const entry of writing.placements.entry) hasPlacement[entry] = 1
    let batch: number[] = []
    for (let entry = ROOT + 1; entry < entries.count; entry++) {
      const kind = entries.kind(entry)
      if (kind === 'dir' || kind === 'link' || hasPlacement[entry] === 1) continue
      if (entries.action(entry) === 'skip') {
        this.#observer.onItem?.(itemOf(entries, entry))
        continue
      }
      batch.push(entry)
      if (batch.length < ENTRIES_PER_TASK) continue
      yield Uint32Array.from(batch)
      batch = []
    }
    if (batch.length > 0) yield Uint32Array.from(batch)
  }

  #createLinks(): void {
    const { entries } = this.#plan
    for (let entry = ROOT + 1; entry < entries.count; entry++) {
      if (entries.kind(entry) !== 'link') continue
      if (entries.action(entry) === 'skip') {
        this.#observer.onItem?.(itemOf(entries, entry))
        continue
      }
      const first = entries.memory.number[entry]!
      if (this.#failed.has(first)) {
        const name = byteStringToText(entries.path(first))
        this.#fail(entry, new HoldfastError('HF_RESTORE_FAILED', `it is the same file as ${name}, which failed`))
      } else if (this.#try(entry, () => this.#writer.createLink(entry))) this.#finish(entry)
    }
  }

  #delete(): void {
    const { deletions, entries, target } = this.#plan
    for (const deletion of deletions) {
      throwIfInterrupted(this.#signal)
      const { directory, name, isDirectory, paths } = deletion
      try {
        const { handle } = this.#writer.directories.open(directory)
        if (isDirectory) removeTree(handle, name)
        else handle.removeFile(name)
      } catch (error) {
        this.#report(paths.at(-1) ?? targetPathOf(target, entries.path(directory)), error as Error)
        continue
      }
      this.#progress.deletedFiles += paths.length
      if (this.#observer.onItem) for (const item of deletedItems(deletion)) this.#observer.onItem(item)
    }
  }

  /** From the innermost outwards: an outer directory may become inaccessible. */
  #adjustDirectories(): void {
    const { entries } = this.#plan
    for (let entry = entries.count - 1; entry > ROOT; entry--) {
      if (entries.kind(entry) !== 'dir' || entries.action(entry) === 'skip' || this.#failed.has(entry)) continue
      if (this.#try(entry, () => this.#writer.adjustDirectory(entry))) this.#finish(entry)
    }
  }

  #finish(entry: number): void {
    const { entries } = this.#plan
    if (entries.kind(entry) !== 'file' || entries.action(entry) !== 'adjust') this.#progress.files++
    this.#observer.onItem?.(itemOf(entries, entry))
  }

  /** Whether `work` succeeded; a failure is that of the entry. */
  #try(entry: number, work: () => void): boolean {
    try {
      work()
      return true
    } catch (error) {
      this.#fail(entry, error as Error)
      return false
    }
  }

  #fail(entry: number, error: Error): void {
    this.#failed.add(entry)
    this.#report(byteStringToText(this.#plan.entries.path(entry)), error)
  }

  #report(item: string, error: Error): void {
    this.#progress.errors++
    this.#observer.onError(item, error)
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'ENOSPC' && code !== 'EDQUOT' && code !== 'EROFS') return
    throw new HoldfastError(
      'HF_RESTORE_FAILED',
      `nothing more can be written to ${this.#plan.target}: ${error.message}`,
      {
        cause: error,
        hint: 'make room there or choose another target, and run the restore again: what is there already is kept',
      },
    )
  }
}

/**
 * One from each of `count` stretches in turn: threads write to different files, as two that write to the same one keep each other waiting,
 * and yet read on where they left off.
 */
function inStrands<T>(items: readonly T[], count: number): T[] {
  const length = Math.ceil(items.length / count)
  return Array.from({ length: length * count }, (_, i) => items[(i % count) * length + Math.floor(i / count)]).filter(
    (item) => item !== undefined,
  )
}
