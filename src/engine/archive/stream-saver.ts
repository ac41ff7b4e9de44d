import { ID_BYTES } from '../../lib/id.ts'
import { copyBytes } from '../kernels/copy-bytes.ts'
import { MAX_CHUNK_BYTES } from '../kernels/rabin.ts'
import { type CutOutlet, type CutRule, cutStream, ScannerStock } from './cut-stream.ts'
import { type FilePart, gatherParts, mixed, type PatchedPart, withMended } from './file-parts.ts'
import type { NewData, SavedBlobs } from './saver/messages.ts'
import type { PatchBatchBuilder } from './saver/patch-batch.ts'
import type { SaverPool } from './saver/saver-pool.ts'

/** Saves blobs of shared memory, on so many threads. */
export type BlobSaver = Pick<SaverPool, 'saveCut' | 'savePatched' | 'threads'>

/** What a stream came to: 32 bytes per blob, and its length. */
export interface SavedStream {
  readonly ids: Uint8Array
  readonly size: number
  readonly added: Readonly<NewData>
}

/** Shared memory in which a batch of blobs goes to a thread: always of this size and used again, since V8 frees such memory very late. */
const BATCH_BYTES = MAX_CHUNK_BYTES
/** What a stream has left over at its end shares a batch with others: a message for every small file would cost more than saving it. */
const SHARED_BYTES = 1024 * 1024

/** A batch in the making with what is left of several streams. */
interface SharedBatch {
  readonly bytes: Uint8Array
  used: number
  readonly ends: number[]
  readonly content: PromiseWithResolvers<SavedBlobs>
}

/**
 * Saves streams, one or several at the same time: they are cut on this thread and saved by the threads of `pool`. A fast input waits until
 * the threads have caught up. Buffers are used again.
 */
export class StreamSaver {
  readonly #pool: BlobSaver
  readonly #scanners: ScannerStock
  readonly #signal: AbortSignal | undefined
  readonly #free: Uint8Array[] = []
  readonly #waiting: (() => void)[] = []
  #underWay = 0
  /** Batches given to the pool so far. */
  #begun = 0
  #shared: SharedBatch | undefined
  /** What could not be saved: there is no use in reading on. */
  #failure: { readonly error: unknown } | undefined

  constructor(pool: BlobSaver, polynomial: bigint, signal?: AbortSignal) {
    this.#pool = pool
    this.#scanners = new ScannerStock(polynomial)
    this.#signal = signal
  }

  /**
   * Saves all bytes of `input`. Resolves when they are read; `saved` of the result when the blobs are dealt with, so that the next file of an
   * archive need not wait.
   */
  async save(input: AsyncIterable<Uint8Array>, rule: CutRule): Promise<{ readonly saved: Promise<SavedStream> }> {
    const contents: Promise<SavedBlobs>[] = []
    let size = 0
    const outlet: CutOutlet = {
      batch: () => this.#batch(),
      send: async (batch, length, ends) => {
        size += length
        await this.#send(batch, length, ends, contents)
      },
    }
    const pieces = untilAborted(input, this.#signal)
    await cutStream(pieces, rule, this.#scanners, outlet)
    const saved = summarise(contents, size)
    saved.catch(() => undefined)
    return { saved }
  }

  /** Saves the new ones among the parts of a file; of the result, `ids` has those of all parts. Otherwise as `save`. */
  async saveParts(parts: AsyncIterable<FilePart>): Promise<{ readonly saved: Promise<SavedStream> }> {
    const contents: Promise<SavedBlobs>[] = []
    const { runs, size } = await gatherParts(untilAborted(parts, this.#signal), {
      batch: () => this.#batch(),
      send: (batch, length, ends) => this.#send(batch, length, ends, contents),
      sendPatches: (patches, patched) => this.#sendPatches(patches, patched, contents),
    })
    const saved = summarise(contents, size).then((stream) => ({ ...stream, ids: mixed(runs, stream.ids) }))
    saved.catch(() => undefined)
    return { saved }
  }

  #batch(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(new SharedArrayBuffer(BATCH_BYTES))
  }

  /** Has a batch saved, at once or with others, and adds what comes of it to `contents`. */
  async #send(batch: Uint8Array, length: number, ends: Uint32Array, contents: Promise<SavedBlobs>[]): Promise<void> {
    const begun = this.#begun
    const content =
      length > SHARED_BYTES ? this.#saveBatch(batch, length, ends) : this.#share(batch.subarray(0, length), ends)
    if (length <= SHARED_BYTES) this.#free.push(batch)
    await this.#add(content, this.#begun > begun, contents)
  }

  /** Has stored blobs changed, and those saved anew that could not be opened as they were handed over. */
  async #sendPatches(
    patches: PatchBatchBuilder,
    parts: readonly PatchedPart[],
    contents: Promise<SavedBlobs>[],
  ): Promise<void> {
    const { batch, memory } = patches
    const content = this.#underWayWith(memory, async () => {
      const saved = await this.#orFail(this.#pool.savePatched(batch))
      return await withMended(saved, batch, parts, (bytes) => this.#saveAlone(bytes))
    })
    await this.#add(content, true, contents)
  }

  /** Awaited when all is read; until then a failure is not an unhandled one. Each batch that is done lets one go on, so only who began one may wait. */
  async #add(content: Promise<SavedBlobs>, hasBegun: boolean, contents: Promise<SavedBlobs>[]): Promise<void> {
    content.catch(() => undefined)
    contents.push(content)
    if (hasBegun && this.#underWay >= 2 * this.#pool.threads)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (this.#failure) throw this.#failure.error
  }

  async #saveAlone(bytes: Uint8Array): Promise<SavedBlobs> {
    const batch = this.#batch()
    copyBytes(batch, bytes, 0)
    return await this.#saveBatch(batch, bytes.length, Uint32Array.of(bytes.length))
  }

  /** Copies blobs into the shared batch. */
  #share(bytes: Uint8Array, ends: Uint32Array): Promise<SavedBlobs> {
    if ((this.#shared?.used ?? 0) + bytes.length > BATCH_BYTES) this.#sendShared()
    this.#shared ??= { bytes: this.#batch(), used: 0, ends: [], content: Promise.withResolvers() }
    const { used, ends: sharedEnds, content } = this.#shared
    const first = sharedEnds.length
    copyBytes(this.#shared.bytes, bytes, used)
    for (const end of ends) sharedEnds.push(used + end)
    this.#shared.used += bytes.length
    const mine = content.promise.then((all) => sliceBlobs(all, sharedEnds, first, first + ends.length))
    if (this.#shared.used >= SHARED_BYTES && this.#underWay < this.#pool.threads) this.#sendShared()
    else if (this.#underWay === 0 && first === 0) setImmediate(() => this.#sendSharedWhenIdle())
    return mine
  }

  /** What waits for others waits no longer than the threads have something to do. */
  #sendSharedWhenIdle(): void {
    if (this.#underWay === 0) this.#sendShared()
  }

  #sendShared(): void {
    const shared = this.#shared
    this.#shared = undefined
    if (shared === undefined) return
    const { bytes, used, ends, content } = shared
    this.#saveBatch(bytes, used, Uint32Array.from(ends)).then(content.resolve, content.reject)
  }

  async #saveBatch(batch: Uint8Array, length: number, ends: Uint32Array): Promise<SavedBlobs> {
    return await this.#underWayWith(batch, () => this.#orFail(this.#pool.saveCut(batch.subarray(0, length), ends)))
  }

  async #underWayWith<T>(batch: Uint8Array, work: () => Promise<T>): Promise<T> {
    this.#underWay++
    this.#begun++
    try {
      const result = await work()
      // Not after a failure: a thread may still read it.
      this.#free.push(batch)
      return result
    } finally {
      this.#underWay--
      this.#waiting.shift()?.()
      this.#sendSharedWhenIdle()
    }
  }

  async #orFail<T>(saving: Promise<T>): Promise<T> {
    try {
      return await saving
    } catch (error) {
      this.#failure ??= { error }
      throw error
    }
  }
}

async function* untilAborted<T>(input: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
  for await (const piece of input) {
    signal?.throwIfAborted()
    yield piece
  }
}

async function summarise(contents: readonly Promise<SavedBlobs>[], size: number): Promise<SavedStream> {
  const added = { newBlobs: 0, newBytes: 0, storedBytes: 0 }
  const all = await Promise.all(contents)
  for (const content of all) {
    added.newBlobs += content.newBlobs
    added.newBytes += content.newBytes
    added.storedBytes += content.storedBytes
  }
  return { ids: Buffer.concat(all.map((content) => content.ids)), size, added }
}

/** Blobs `from` to `to` of a batch whose blobs end at `ends`. */
function sliceBlobs({ ids, stored }: SavedBlobs, ends: readonly number[], from: number, to: number): SavedBlobs {
  const slice = {
    ids: ids.subarray(from * ID_BYTES, to * ID_BYTES),
    stored: stored.subarray(from, to),
    newBlobs: 0,
    newBytes: 0,
    storedBytes: 0,
  }
  for (let blob = from; blob < to; blob++) {
    if (stored[blob] === 0) continue
    slice.newBlobs++
    slice.newBytes += ends[blob]! - (ends[blob - 1] ?? 0)
    slice.storedBytes += stored[blob]!
  }
  return slice
}
