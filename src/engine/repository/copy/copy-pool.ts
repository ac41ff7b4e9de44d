import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import { SharedArena } from '../../../lib/shared-arena.ts'
import { WorkerPool, workerModule } from '../../../lib/worker-pool.ts'
import { sha256Calibration } from '../../kernels/sha256.ts'
import { interruption, throwIfInterrupted } from '../../storage/interruption.ts'
import type { PackDirectory } from '../../storage/local/pack-files.ts'
import { readInto } from '../../storage/read-into.ts'
import { blobTypes } from '../blob.ts'
import { rowsOf } from '../pack/blob-rows.ts'
import type { PackEntry } from '../pack/header.ts'
import { type PackRange, type RangeLimits, rangesOf, remoteRanges } from '../pack/read-ranges.ts'
import type { Repository } from '../repository.ts'
import { BlobWriter } from '../write/blob-writer.ts'
import type { CopyNotice, CopyResult, CopyTask, CopyThreadData } from './messages.ts'

/** What a thread gets at a time. Where reading costs nothing but the bytes, unneeded ones are not worth much. */
const localLimits: RangeLimits = { gapBytes: 64 * 1024, requestBytes: 8 * 1024 * 1024 }

/** What is on its way from a far source or waits for a thread. */
const FETCH_MEMORY_BYTES = 64 * 1024 * 1024

/** Tasks under way for each thread, so that none waits for the next. */
const TASKS_PER_THREAD = 2

/** Blobs of one pack that are to be copied. */
export interface PackPart {
  readonly pack: Id
  readonly blobs: readonly PackEntry[]
  /** Whether the pack lies in the folder of packs that were kept. */
  readonly isKept?: boolean
}

export interface CopyPoolOptions {
  readonly threads: number
  /** A folder of this machine with some packs of a source that is none itself. */
  readonly kept?: PackDirectory | undefined
  /** Called when something failed and nothing will be copied any more. */
  readonly onFailure?: () => void
  readonly signal?: AbortSignal | undefined
}

interface SourceRange extends PackRange<PackEntry> {
  readonly part: PackPart
  /** What is left of its pack to be copied. */
  readonly left: { ranges: number }
}

/** Copies blobs on worker threads, each of which does the whole way from a stretch of a source pack to full packs of the destination. */
export class CopyPool {
  readonly #source: Repository
  readonly #writer: BlobWriter
  readonly #pool: WorkerPool<CopyTask, CopyResult, CopyNotice>
  readonly #signal: AbortSignal | undefined
  /** Memory for what comes from a far source. */
  readonly #fetched = new SharedArena(FETCH_MEMORY_BYTES)
  readonly #stop: () => void
  readonly #onFailure: (() => void) | undefined
  #failure: unknown

  constructor(source: Repository, destination: Repository, options: CopyPoolOptions) {
    const { threads, kept, onFailure, signal } = options
    this.#onFailure = onFailure
    this.#source = source
    this.#writer = new BlobWriter(destination, signal)
    this.#signal = signal
    const data = (): CopyThreadData => ({
      sourceKey: source.masterKey,
      destinationKey: destination.masterKey,
      version: destination.config.version,
      compression: destination.compression,
      packBytes: destination.packBytes,
      extraVerify: destination.extraVerify,
      sha256: sha256Calibration(),
      sourceDirectory: source.storage.properties.directory ?? kept,
      destinationDirectory: destination.storage.properties.directory,
    })
    this.#pool = new WorkerPool(workerModule(import.meta.url, './copy-thread'), {
      threads,
      data,
      onNotice: (notice) => this.#receive(notice),
    })
    this.#stop = () => this.#fail(interruption(signal!))
    signal?.addEventListener('abort', this.#stop, { once: true })
  }

  /** Copies blobs, by pack; what is not yet a full pack stays with the threads until `flush`. */
  async copy(parts: Iterable<PackPart> | AsyncIterable<PackPart>, onPack: (pack: Id) => void): Promise<void> {
    const width = this.#pool.threads * TASKS_PER_THREAD
    const { directory, connections } = this.#source.storage.properties
    try {
      await forEachParallel(this.#ranges(parts), directory ? width : width + connections, async (range) => {
        await this.#copyRange(range).catch((error: unknown) => {
          this.#fail(error)
          throw error
        })
        if (--range.left.ranges === 0) onPack(range.part.pack)
      })
    } catch (error) {
      throw this.#failure ?? error
    }
  }

  /** Stores all that was copied, and the index. */
  async flush(): Promise<void> {
    try {
      for (const result of await this.#pool.runOnStarted({ kind: 'finish' }))
        if (result.kind === 'finish')
          for (const type of blobTypes) await this.#writer.savePartial(type, result.packs[type])
      await this.#writer.flush()
    } catch (error) {
      throw this.#failure ?? error
    }
  }

  set threads(count: number) {
    this.#pool.threads = count
  }

  /** Bytes of the packs stored so far. */
  get storedBytes(): number {
    return this.#writer.counts.packBytes
  }

  async close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#stop)
    await this.#pool.close()
  }

  async *#ranges(parts: Iterable<PackPart> | AsyncIterable<PackPart>): AsyncGenerator<SourceRange> {
    for await (const part of parts) {
      const isAtHand = this.#source.storage.properties.directory !== undefined || part.isKept
      const ranges = [...rangesOf(part.blobs, isAtHand ? localLimits : remoteRanges)]
      const left = { ranges: ranges.length }
      for (const range of ranges) yield { ...range, part, left }
    }
  }

  async #copyRange(range: SourceRange): Promise<void> {
    throwIfInterrupted(this.#signal)
    const { part, blobs } = range
    const isAtHand = this.#source.storage.properties.directory !== undefined || part.isKept
    const damaged = isAtHand ? await this.#copyOnThread(range, undefined) : await this.#fetchAndCopy(range)
    for (const row of damaged) await this.#copyOther(blobs[row]!)
  }

  /** Returns the numbers of blobs that are damaged. */
  async #copyOnThread(range: SourceRange, bytes: Uint8Array | undefined): Promise<readonly number[]> {
    const { part, offset, length, blobs } = range
    const task = { kind: 'range', pack: part.pack, offset, length, rows: rowsOf(blobs), bytes } as const
    const result = await this.#pool.run(task)
    return result.kind === 'range' ? result.damaged : []
  }

  async #fetchAndCopy(range: SourceRange): Promise<readonly number[]> {
    const { part, offset, length, blobs } = range
    const memory = await this.#fetched.allocate(length)
    try {
      throwIfInterrupted(this.#signal)
      const file = { kind: 'data', name: part.pack } as const
      try {
        await readInto(this.#source.storage, file, offset, memory, { signal: this.#signal })
      } catch (error) {
        if (!isHoldfastError(error) || this.#signal?.aborted) throw error
        return [...blobs.keys()]
      }
      return await this.#copyOnThread(range, memory)
    } finally {
      this.#fetched.release(memory)
    }
  }

  /** The chosen copy of a blob is damaged: another pack may hold an intact one. */
  async #copyOther({ type, id }: PackEntry): Promise<void> {
    let plaintext: Uint8Array
    try {
      plaintext = await this.#source.loadBlob(type, id, this.#signal)
    } catch (cause) {
      if (!isHoldfastError(cause) || cause.code === 'HF_INTERRUPTED') throw cause
      throw new HoldfastError(cause.code, `the source repository is damaged: ${cause.message}`, {
        cause,
        context: cause.context,
        hint: 'run "holdfast check --read-data" on the source repository and repair it; what has been copied is kept',
      })
    }
    await this.#writer.save(type, plaintext, id)
  }

  #receive(notice: CopyNotice): void {
    const { type, pack: id, rows } = notice
    if (notice.kind === 'stored') {
      this.#writer.packStored({ id, type, rows, sizeBytes: notice.sizeBytes }).catch((error) => this.#fail(error))
      return
    }
    const wake = (outcome: 1 | 2): void => {
      Atomics.store(notice.done, 0, outcome)
      Atomics.notify(notice.done, 0)
    }
    this.#writer.storePack({ id, type, rows, bytes: notice.bytes }).then(
      () => wake(1),
      (error: unknown) => {
        this.#fail(error)
        wake(2)
      },
    )
  }

  /** Ends everything that is under way with `error`. */
  #fail(error: unknown): void {
    if (this.#failure === undefined) {
      this.#failure = error
      this.#onFailure?.()
    }
    this.#pool.close().catch(() => undefined)
  }
}
