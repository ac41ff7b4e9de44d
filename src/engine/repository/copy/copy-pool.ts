import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import { WorkerPool, workerModule } from '../../../lib/worker-pool.ts'
import { sha256Calibration } from '../../kernels/sha256.ts'
import { interruption, throwIfInterrupted } from '../../storage/interruption.ts'
import { blobTypes } from '../blob.ts'
import { rowsOf } from '../pack/blob-rows.ts'
import type { PackEntry } from '../pack/header.ts'
import { type PackRange, type RangeLimits, rangesOf } from '../pack/read-ranges.ts'
import type { Repository } from '../repository.ts'
import { BlobWriter } from '../write/blob-writer.ts'
import type { CopyNotice, CopyResult, CopyTask, CopyThreadData } from './messages.ts'

/** What a thread gets at a time. Where reading costs nothing but the bytes, unneeded ones are not worth much. */
const localLimits: RangeLimits = { gapBytes: 64 * 1024, requestBytes: 8 * 1024 * 1024 }
const remoteLimits: RangeLimits = { gapBytes: 1024 * 1024, requestBytes: 8 * 1024 * 1024 }

/** Tasks under way for each thread, so that none waits for the next. */
const TASKS_PER_THREAD = 2

interface SourceRange extends PackRange<PackEntry> {
  readonly pack: Id
  /** Whether it is the last one of its pack. */
  readonly isLast: boolean
}

/** Copies blobs on worker threads, each of which does the whole way from a stretch of a source pack to full packs of the destination. */
export class CopyPool {
  readonly #source: Repository
  readonly #writer: BlobWriter
  readonly #pool: WorkerPool<CopyTask, CopyResult, CopyNotice>
  readonly #signal: AbortSignal | undefined
  readonly #stop: () => void
  #failure: unknown

  constructor(source: Repository, destination: Repository, threads: number, signal?: AbortSignal) {
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
      sourceDirectory: source.storage.properties.directory,
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
  async copy(blobs: ReadonlyMap<Id, readonly PackEntry[]>, onPack: () => void): Promise<void> {
    const width = this.#pool.threads * TASKS_PER_THREAD
    const { directory, connections } = this.#source.storage.properties
    try {
      await forEachParallel(this.#ranges(blobs), directory ? width : width + connections, async (range) => {
        await this.#copyRange(range)
        if (range.isLast) onPack()
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

  async close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#stop)
    await this.#pool.close()
  }

  *#ranges(blobs: ReadonlyMap<Id, readonly PackEntry[]>): Generator<SourceRange> {
    const limits = this.#source.storage.properties.directory ? localLimits : remoteLimits
    for (const [pack, entries] of blobs) {
      const ranges = [...rangesOf(entries, limits)]
      for (const [i, range] of ranges.entries()) yield { ...range, pack, isLast: i === ranges.length - 1 }
    }
  }

  async #copyRange({ pack, offset, length, blobs }: SourceRange): Promise<void> {
    throwIfInterrupted(this.#signal)
    let bytes: Uint8Array | undefined
    let damaged: readonly number[] | undefined
    if (!this.#source.storage.properties.directory) {
      try {
        const file = { kind: 'data', name: pack } as const
        bytes = await this.#source.storage.get(file, { offset, length }, { signal: this.#signal })
      } catch (error) {
        if (!isHoldfastError(error) || this.#signal?.aborted) throw error
        damaged = [...blobs.keys()]
      }
    }
    if (!damaged) {
      const result = await this.#pool.run({ kind: 'range', pack, offset, length, rows: rowsOf(blobs), bytes })
      damaged = result.kind === 'range' ? result.damaged : []
    }
    for (const row of damaged) await this.#copyOther(blobs[row]!)
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
    this.#failure ??= error
    this.#pool.close().catch(() => undefined)
  }
}
