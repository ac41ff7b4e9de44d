import { ID_BYTES, type Id } from '../../lib/id.ts'
import { AVERAGE_CHUNK_BYTES, createRabinScanner, MAX_CHUNK_BYTES, type RabinScanner } from '../kernels/rabin.ts'
import { idBytes } from './hex-ids.ts'
import type { NewData, SavedBlobs } from './saver/messages.ts'
import type { SaverPool } from './saver/saver-pool.ts'

/** How content is cut into blobs. Readers of a repository follow the list of blobs and do not care. */
export type CutRule =
  /**
   * By content. As restic cuts files, 1 MiB on average; or in smaller blobs, a power of two from 16 KiB on: for dumps, of which scattered
   * rows change.
   */
  | { readonly kind: 'content'; readonly averageBytes?: number }
  /** Every `blockBytes` from the beginning of the file: for files that are written in place, page by page. */
  | { readonly kind: 'blocks'; readonly blockBytes: number }

/** A stretch of a file that is put together: blobs the repository has, or bytes that become one blob. */
export type FilePart =
  | {
      readonly kind: 'stored'
      readonly ids: readonly Id[]
      /** Of all of them together. */
      readonly size: number
    }
  /** Valid until the next part is asked for; at most MAX_CHUNK_BYTES. */
  | { readonly kind: 'blob'; readonly bytes: Uint8Array }

/** Saves blobs of shared memory, on so many threads. */
export type CutBytesSaver = Pick<SaverPool, 'saveCut' | 'threads'>

/** What a stream came to: 32 bytes per blob, and its length. */
export interface SavedStream {
  readonly ids: Uint8Array
  readonly size: number
  readonly added: Readonly<NewData>
}

/** Shared memory in which a batch of blobs goes to a thread: always of this size and used again, since V8 frees such memory very late. */
const BATCH_BYTES = MAX_CHUNK_BYTES
const CUT_BUFFER_BYTES = 2 * MAX_CHUNK_BYTES
/** Small blobs of one stream travel together, so many bytes at a time. */
const SENT_BYTES = 2 * 1024 * 1024
/** What a stream has left over at its end shares a batch with others: a message for every small file would cost more than saving it. */
const SHARED_BYTES = 1024 * 1024

/** Takes cut bytes: `length` bytes of `batch`, which was got from `batch()`, with blobs that end at `ends`. Waits while too much is under way. */
export interface CutOutlet {
  batch(): Uint8Array
  send(batch: Uint8Array, length: number, ends: Uint32Array): Promise<void>
}

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
  readonly #pool: CutBytesSaver
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

  constructor(pool: CutBytesSaver, polynomial: bigint, signal?: AbortSignal) {
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
    /** Stored ids, or how many new ones follow, in turn. */
    const runs: (Uint8Array | number)[] = []
    let size = 0
    let batch: Uint8Array | undefined
    let used = 0
    let ends: number[] = []
    const send = async (): Promise<void> => {
      if (batch === undefined) return
      await this.#send(batch, used, Uint32Array.from(ends), contents)
      batch = undefined
      used = 0
      ends = []
    }
    for await (const part of untilAborted(parts, this.#signal)) {
      if (part.kind === 'stored') {
        size += part.size
        runs.push(idBytes(part.ids))
        continue
      }
      const { length } = part.bytes
      if (length === 0 || length > BATCH_BYTES) throw new RangeError(`a blob cannot have ${length} bytes`)
      if (used + length > BATCH_BYTES) await send()
      batch ??= this.#batch()
      batch.set(part.bytes, used)
      used += length
      ends.push(used)
      size += length
      const last = runs.at(-1)
      if (typeof last === 'number') runs[runs.length - 1] = last + 1
      else runs.push(1)
    }
    await send()
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
    // Awaited when all is read; until then a failure is not an unhandled one.
    content.catch(() => undefined)
    contents.push(content)
    if (length <= SHARED_BYTES) this.#free.push(batch)
    // Each batch that is done lets one go on, so only who began one may wait.
    if (this.#begun > begun && this.#underWay >= 2 * this.#pool.threads)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (this.#failure) throw this.#failure.error
  }

  /** Copies blobs into the shared batch. */
  #share(bytes: Uint8Array, ends: Uint32Array): Promise<SavedBlobs> {
    if ((this.#shared?.used ?? 0) + bytes.length > BATCH_BYTES) this.#sendShared()
    this.#shared ??= { bytes: this.#batch(), used: 0, ends: [], content: Promise.withResolvers() }
    const { used, ends: sharedEnds, content } = this.#shared
    const first = sharedEnds.length
    this.#shared.bytes.set(bytes, used)
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
    this.#underWay++
    this.#begun++
    try {
      return await this.#pool.saveCut(batch.subarray(0, length), ends)
    } catch (error) {
      this.#failure ??= { error }
      throw error
    } finally {
      this.#underWay--
      this.#free.push(batch)
      this.#waiting.shift()?.()
      this.#sendSharedWhenIdle()
    }
  }
}

async function* untilAborted<T>(input: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
  for await (const piece of input) {
    signal?.throwIfAborted()
    yield piece
  }
}

/** Scanners that were used before: memory that threads could share is given back late. */
export class ScannerStock {
  readonly #polynomial: bigint
  readonly #free = new Map<number, RabinScanner[]>()

  constructor(polynomial: bigint) {
    this.#polynomial = polynomial
  }

  async use<T>(averageBytes: number, work: (scanner: RabinScanner) => Promise<T>): Promise<T> {
    const free = this.#free.get(averageBytes) ?? []
    this.#free.set(averageBytes, free)
    const scanner = free.pop() ?? createRabinScanner(this.#polynomial, CUT_BUFFER_BYTES, averageBytes)
    try {
      return await work(scanner)
    } finally {
      free.push(scanner)
    }
  }
}

/** Cuts `input` into blobs and hands them over in order, at most 8 MiB at a time. */
export async function cutStream(
  input: AsyncIterable<Uint8Array>,
  rule: CutRule,
  scanners: ScannerStock,
  outlet: CutOutlet,
): Promise<void> {
  if (rule.kind === 'blocks') return await cutBlocks(input, rule.blockBytes, outlet)
  await scanners.use(rule.averageBytes ?? AVERAGE_CHUNK_BYTES, (scanner) => cutByContent(input, scanner, outlet))
}

async function cutBlocks(input: AsyncIterable<Uint8Array>, blockBytes: number, outlet: CutOutlet): Promise<void> {
  const capacity = Math.floor(BATCH_BYTES / blockBytes) * blockBytes
  if (capacity === 0) throw new RangeError(`blocks of ${blockBytes} bytes are larger than a blob may be`)
  let batch: Uint8Array | undefined
  let used = 0
  const send = async (): Promise<void> => {
    const ends = Uint32Array.from({ length: Math.ceil(used / blockBytes) }, (_, i) =>
      Math.min((i + 1) * blockBytes, used),
    )
    await outlet.send(batch!, used, ends)
    batch = undefined
    used = 0
  }
  for await (const piece of input) {
    for (let at = 0; at < piece.length; ) {
      batch ??= outlet.batch()
      const take = Math.min(piece.length - at, capacity - used)
      batch.set(piece.subarray(at, at + take), used)
      used += take
      at += take
      if (used === capacity) await send()
    }
  }
  if (used > 0) await send()
}

async function cutByContent(
  input: AsyncIterable<Uint8Array>,
  { memory, minBytes, findCut }: RabinScanner,
  outlet: CutOutlet,
): Promise<void> {
  // [start, end) of the scanner's memory is not sent yet; the chunk in the making begins at `from` and is searched up to `scanned`.
  let start = 0
  let from = 0
  let end = 0
  let scanned = 0
  let cuts: number[] = []
  const send = async (): Promise<void> => {
    const length = from - start
    const ends = Uint32Array.from(cuts, (cut) => cut - start)
    cuts = []
    const batch = outlet.batch()
    batch.set(memory.subarray(start, from))
    start = from
    await outlet.send(batch, length, ends)
  }
  for await (const piece of input) {
    for (let at = 0; at < piece.length; ) {
      if (end === CUT_BUFFER_BYTES) {
        if (from > start) await send()
        memory.copyWithin(0, start, end)
        end -= start
        scanned -= start
        start = from = 0
      }
      const take = Math.min(piece.length - at, CUT_BUFFER_BYTES - end)
      memory.set(piece.subarray(at, at + take), end)
      end += take
      at += take
      while (end - from > minBytes) {
        const cut = findCut(from, scanned, end)
        if (cut < 0) {
          scanned = end
          break
        }
        cuts.push(cut)
        from = scanned = cut
        if (from - start >= SENT_BYTES || minBytes >= SENT_BYTES / 2) await send()
      }
    }
  }
  if (end > from) {
    cuts.push(end)
    from = end
  }
  if (from > start) await send()
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

/** Puts new ids where the runs of stored ones leave room for them. */
function mixed(runs: readonly (Uint8Array | number)[], newIds: Uint8Array): Uint8Array {
  let at = 0
  return Buffer.concat(
    runs.map((run) => {
      if (typeof run !== 'number') return run
      const ids = newIds.subarray(at, at + run * ID_BYTES)
      at += ids.length
      return ids
    }),
  )
}
