import { closeSync } from 'node:fs'
import { ID_BYTES } from '../../../lib/id.ts'
import { type PlainError, WorkerPool, workerModule } from '../../../lib/worker-pool.ts'
import { sha256Calibration } from '../../kernels/sha256.ts'
import { type FileAttributes, fstat, sameContentAttributes } from '../../posix/attributes.ts'
import { dataRanges } from '../../posix/sparse.ts'
import type { Repository } from '../../repository/repository.ts'
import type { BlobWriter } from '../../repository/write/blob-writer.ts'
import { packBatch, RESULT_FIELDS } from './file-batch.ts'
import type {
  DataRange,
  FileTask,
  NewData,
  SavedBlobs,
  SavedContent,
  SavedPatches,
  SaverData,
  SaverNotice,
  SaverResult,
  SaverTask,
} from './messages.ts'
import { openSource } from './open-source.ts'
import type { PatchBatch } from './patch-batch.ts'

/** Files up to this size are read whole by one thread, many in one task. */
const WHOLE_FILE_BYTES = 8 * 1024 * 1024
const FILES_PER_TASK = 128
const BYTES_PER_TASK = 8 * 1024 * 1024
/** What a thread that has nothing to do begins with, rather than wait for more. */
const FILES_TO_BEGIN = 16
/** A second thread costs more than it saves until so much is waiting. */
const FILES_FOR_MORE_THREADS = 512
const BYTES_FOR_MORE_THREADS = 64 * 1024 * 1024

/** What became of one file. */
export type SavedFile =
  | {
      readonly error?: undefined
      /** 32 bytes per blob. */
      readonly ids: Uint8Array
      readonly size: number
      readonly attributes: FileAttributes | undefined
      readonly unstable: boolean
      readonly added: Readonly<NewData>
    }
  | { readonly error: PlainError }

export interface SaverPoolOptions {
  readonly threads: number
  readonly preserveAccessTimes: boolean
  readonly dryRun: boolean
  /** Called when bytes have been read and dealt with. */
  readonly onBytes?: (bytes: number) => void
}

interface PendingFile {
  readonly task: FileTask
  readonly done: (saved: SavedFile) => void
}

type SavedBatch = Extract<SaverResult, { kind: 'files' }>

interface LargeFile {
  readonly fd: number
  readonly file: FileTask
  readonly before: FileAttributes
  readonly ranges: readonly DataRange[] | undefined
  readonly parts: Promise<{ readonly content: SavedContent; readonly bytes: number }>[]
  readonly settle: () => void
}

/**
 * Saves the content of files on worker threads. Small files travel in batches; a large one is cut part by part, each part going to
 * whichever thread is free while the one before is still being compressed.
 */
export class SaverPool {
  /** What the new blobs of the run cost so far. */
  readonly counts: NewData = { newBlobs: 0, newBytes: 0, storedBytes: 0 }
  readonly #pool: WorkerPool<SaverTask, SaverResult, SaverNotice>
  readonly #writer: BlobWriter
  readonly #options: SaverPoolOptions
  readonly #onFailure: (error: unknown) => void
  readonly #large = new Map<number, LargeFile>()
  #batch: PendingFile[] = []
  #batchBytes = 0
  #nextJob = 0
  #unanswered = 0
  #unansweredBytes = 0
  readonly #roomWaiters: (() => void)[] = []
  #storeFailure: { readonly error: unknown } | undefined
  /** Why nothing more is begun. */
  #halted: { readonly reason: unknown } | undefined

  constructor(
    repository: Repository,
    writer: BlobWriter,
    options: SaverPoolOptions,
    onFailure: (error: unknown) => void,
  ) {
    this.#writer = writer
    this.#options = options
    this.#onFailure = onFailure
    const index = repository.index.share()
    const data = (): SaverData => ({
      key: repository.masterKey,
      version: repository.config.version,
      chunkerPolynomial: repository.config.chunkerPolynomial,
      compression: repository.compression,
      packBytes: repository.packBytes,
      extraVerify: repository.extraVerify,
      index,
      claimed: writer.claimed.data.memory,
      sha256: sha256Calibration(),
      directory: repository.storage.properties.directory,
      preserveAccessTimes: options.preserveAccessTimes,
      dryRun: options.dryRun,
    })
    this.#pool = new WorkerPool(workerModule(import.meta.url, './saver-thread'), {
      threads: 1,
      data,
      onNotice: (notice) => this.#receive(notice),
    })
  }

  get threads(): number {
    return this.#options.threads
  }

  /** Starts all threads, where it is known that there will be much to do. */
  begin(): void {
    this.#useAllThreads()
    this.#pool.begin()
  }

  /** Saves one file; `done` is called once, in any order among files; never, when `halt` was called before it was read whole. */
  saveFile(task: FileTask, done: (saved: SavedFile) => void): void {
    if (this.#halted) return
    this.#unanswered++
    this.#unansweredBytes += task.attributes.size
    if (this.#unanswered > FILES_FOR_MORE_THREADS || this.#unansweredBytes > BYTES_FOR_MORE_THREADS)
      this.#useAllThreads()
    const answered = (saved: SavedFile): void => {
      this.#unanswered--
      this.#unansweredBytes -= task.attributes.size
      if (this.#hasRoom()) for (const resume of this.#roomWaiters.splice(0)) resume()
      done(saved)
    }
    if (task.attributes.size > WHOLE_FILE_BYTES) {
      this.#saveLarge(task, answered)
      return
    }
    this.#batch.push({ task, done: answered })
    this.#batchBytes += task.attributes.size
    const isIdle = this.#pool.pending === 0 && this.#batch.length >= FILES_TO_BEGIN
    if (isIdle || this.#batch.length >= FILES_PER_TASK || this.#batchBytes >= BYTES_PER_TASK) this.sendBatch()
  }

  /**
   * Saves bytes that were cut elsewhere (a stream) as blobs that end at `ends`, ascending, the last at the end of `bytes`. `bytes` must lie in
   * shared memory and stay as they are until this resolves.
   */
  async saveCut(bytes: Uint8Array, ends: Uint32Array): Promise<SavedBlobs> {
    this.#throwIfHalted()
    this.#prepare()
    const result = await this.#pool.run({ kind: 'cut', bytes, ends })
    if (result.kind !== 'cut') throw new TypeError('a saver answered another task')
    this.#count(result.content)
    this.#options.onBytes?.(bytes.length)
    return result.content
  }

  /** Saves what becomes of stored blobs. The batch must stay as it is until this resolves. */
  async savePatched(patches: PatchBatch): Promise<SavedPatches> {
    this.#throwIfHalted()
    this.#prepare()
    const result = await this.#pool.run({ kind: 'patch', patches })
    if (result.kind !== 'patch') throw new TypeError('a saver answered another task')
    this.#count(result.content)
    this.#options.onBytes?.(patches.bytes.length)
    return result
  }

  /** Sends files that wait for a full batch. */
  sendBatch(): void {
    const batch = this.#batch
    if (batch.length === 0 || this.#halted) return
    this.#batch = []
    this.#batchBytes = 0
    if (this.#writer.claimed.data.grow()) this.#adopt()
    this.#pool.run({ kind: 'files', files: packBatch(batch.map(({ task }) => task)) }).then((result) => {
      if (result.kind === 'files') this.#deliver(batch, result)
    }, this.#onFailure)
  }

  /** Resolves when so little is waiting that the walk should go on. @throws the reason when `halt` was called */
  async room(): Promise<void> {
    if (!this.#halted && !this.#hasRoom()) await new Promise<void>((resolve) => this.#roomWaiters.push(resolve))
    this.#throwIfHalted()
  }

  /**
   * Begins nothing more: what the threads have been given is the last that `finish` hands over. Whatever a thread did behind that would be
   * lost, but trees that refer to it would not be.
   */
  halt(reason: unknown): void {
    this.#halted ??= { reason }
    this.#pool.dropWaiting(reason)
    for (const resume of this.#roomWaiters.splice(0)) resume()
  }

  /** Hands the unfinished packs of all threads to the writer, once every file is answered. */
  async finish(): Promise<void> {
    const results = await this.#pool.runOnStarted({ kind: 'finish' }).catch((error: unknown) => {
      // A thread only knows that one of its packs could not be stored.
      throw this.#storeFailure?.error ?? error
    })
    for (const result of results)
      if (result.kind === 'finish' && !this.#options.dryRun) await this.#writer.savePartial('data', result)
  }

  async close(): Promise<void> {
    // The threads first: one that still reads must not find another file behind the number of its descriptor.
    await this.#pool.close()
    for (const large of this.#large.values()) closeSync(large.fd)
    this.#large.clear()
  }

  #throwIfHalted(): void {
    if (this.#halted) throw this.#halted.reason
  }

  #prepare(): void {
    if (this.#pool.pending > 0) this.#useAllThreads()
    if (this.#writer.claimed.data.grow()) this.#adopt()
  }

  #useAllThreads(): void {
    if (this.#pool.threads < this.#options.threads) this.#pool.threads = this.#options.threads
  }

  #hasRoom(): boolean {
    return this.#unanswered < 40 * FILES_PER_TASK && this.#unansweredBytes < 256 * 1024 * 1024
  }

  #adopt(): void {
    this.#pool.runOnStarted({ kind: 'adopt', claimed: this.#writer.claimed.data.memory }).catch(this.#onFailure)
  }

  #deliver(batch: readonly PendingFile[], { results, remarks, content }: SavedBatch): void {
    this.#count(content)
    const remarkOf = new Map(remarks.map((remark) => [remark.file, remark]))
    let at = 0
    for (const [file, { done }] of batch.entries()) {
      const [blobs, size, newBlobs, newBytes, storedBytes] = numbersOf(results, file)
      const ids = content.ids.subarray(at, at + blobs * ID_BYTES)
      at += ids.length
      const remark = remarkOf.get(file)
      if (remark?.error) {
        done({ error: remark.error })
        continue
      }
      this.#options.onBytes?.(size)
      const added = { newBlobs, newBytes, storedBytes }
      done({ ids, size, attributes: remark?.attributes, unstable: remark?.unstable ?? false, added })
    }
  }

  #saveLarge(file: FileTask, done: (saved: SavedFile) => void): void {
    let fd: number
    try {
      fd = openSource(file.path, this.#options.preserveAccessTimes)
    } catch (error) {
      done({ error: systemFailure(error) })
      return
    }
    const before = fstat(fd)
    if (before.type !== 'file') {
      closeSync(fd)
      done({ error: systemFailure(Object.assign(new Error('it is no longer a regular file'), { code: 'EINVAL' })) })
      return
    }
    const job = this.#nextJob++
    const large: LargeFile = {
      fd,
      file,
      before,
      ranges: sparseRanges(fd, before),
      parts: [],
      settle: () => {
        this.#finishLarge(job, large, done).catch(this.#onFailure)
      },
    }
    this.#large.set(job, large)
    this.#startPart(job, large, 0)
  }

  #startPart(job: number, large: LargeFile, offset: number): void {
    if (this.#writer.claimed.data.grow()) this.#adopt()
    const part = this.#pool
      .run({ kind: 'segment', job, fd: large.fd, offset, dataRanges: large.ranges })
      .then((result) => {
        if (result.kind !== 'segment') throw new TypeError('a saver answered another task')
        this.#count(result.content)
        this.#options.onBytes?.(result.bytes)
        return result
      })
    // The first failed part ends the file; until then nobody listens to the others.
    part.catch(() => large.settle())
    large.parts.push(part)
  }

  async #finishLarge(job: number, large: LargeFile, done: (saved: SavedFile) => void): Promise<void> {
    if (!this.#large.delete(job)) return
    try {
      const parts = await Promise.all(large.parts)
      const after = fstat(large.fd)
      const size = parts.reduce((sum, part) => sum + part.bytes, 0)
      const unstable = !sameContentAttributes(large.before, after) || size !== after.size
      const attributes = unstable ? after : sameContentAttributes(large.file.attributes, after) ? undefined : after
      const ids = Buffer.concat(parts.map((part) => part.content.ids))
      const added = { newBlobs: 0, newBytes: 0, storedBytes: 0 }
      for (const { content } of parts) addData(added, content)
      done({ ids, size, attributes, unstable, added })
    } catch (error) {
      if (!isSystemError(error)) {
        // Threads may still read it: it is closed when they have ended.
        this.#large.set(job, large)
        throw error
      }
      await Promise.allSettled(large.parts)
      done({ error: systemFailure(error) })
    }
    closeSync(large.fd)
  }

  #receive(notice: SaverNotice): void {
    switch (notice.kind) {
      case 'cut': {
        const large = this.#large.get(notice.job)
        if (!large) return
        if (notice.end) large.settle()
        else if (!this.#halted) this.#startPart(notice.job, large, notice.nextOffset)
        return
      }
      case 'stored':
        this.#writer
          .packStored({ id: notice.pack, type: 'data', rows: notice.rows, sizeBytes: notice.packBytes })
          .catch(this.#onFailure)
        return
      case 'store': {
        const wake = (outcome: 1 | 2): void => {
          Atomics.store(notice.done, 0, outcome)
          Atomics.notify(notice.done, 0)
        }
        this.#writer.storePack({ id: notice.pack, type: 'data', rows: notice.rows, bytes: notice.bytes }).then(
          () => wake(1),
          (error: unknown) => {
            this.#storeFailure ??= { error }
            this.#onFailure(error)
            wake(2)
          },
        )
      }
    }
  }

  #count(content: SavedContent): void {
    addData(this.counts, content)
  }
}

function addData(sum: NewData, more: Readonly<NewData>): void {
  sum.newBlobs += more.newBlobs
  sum.newBytes += more.newBytes
  sum.storedBytes += more.storedBytes
}

/** Where a file with holes has data, closed by an entry behind its end; undefined for a file without holes. */
function sparseRanges(fd: number, { size, blocks }: FileAttributes): readonly DataRange[] | undefined {
  if (blocks * 512 >= size) return undefined
  return [...dataRanges(fd, size), { start: size, end: Number.MAX_SAFE_INTEGER }]
}

const isSystemError = (error: unknown): error is NodeJS.ErrnoException =>
  typeof (error as NodeJS.ErrnoException | undefined)?.code === 'string' &&
  !(error as NodeJS.ErrnoException).code!.startsWith('HF_')

const systemFailure = (error: unknown): PlainError => {
  const { code, message, stack } = error as NodeJS.ErrnoException
  return { code: undefined, message, hint: undefined, context: {}, retry: undefined, systemCode: code, stack }
}

/** The results of one file of a batch: blobs, bytes read, new blobs, their plaintext and stored bytes. */
function numbersOf(results: Float64Array, file: number): [number, number, number, number, number] {
  const at = file * RESULT_FIELDS
  return [results[at]!, results[at + 1]!, results[at + 2]!, results[at + 3]!, results[at + 4]!]
}
