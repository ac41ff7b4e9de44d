import { createRabinScanner, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from '../kernels/rabin.ts'
import type { NewData, SavedContent } from './saver/messages.ts'
import type { SaverPool } from './saver/saver-pool.ts'

/** How content is cut into blobs. Readers of a repository follow the list of blobs and do not care. */
export type CutRule =
  /** As restic cuts files: by content, 1 MiB on average. */
  | { readonly kind: 'content' }
  /** Every `blockBytes` from the beginning of the file: for files that are written in place, page by page. */
  | { readonly kind: 'blocks'; readonly blockBytes: number }

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

/** Takes cut bytes: `length` bytes of `batch`, which was got from `batch()`, with blobs that end at `ends`. Waits while too much is under way. */
interface Outlet {
  batch(): Uint8Array
  send(batch: Uint8Array, length: number, ends: Uint32Array): Promise<void>
}

/**
 * Saves streams, one or several at the same time: they are cut on this thread and saved by the threads of `pool`. A fast input waits until
 * the threads have caught up. Buffers are used again.
 */
export class StreamSaver {
  readonly #pool: CutBytesSaver
  readonly #polynomial: bigint
  readonly #signal: AbortSignal | undefined
  readonly #free: Uint8Array[] = []
  readonly #waiting: (() => void)[] = []
  #underWay = 0
  /** What could not be saved: there is no use in reading on. */
  #failure: { readonly error: unknown } | undefined

  constructor(pool: CutBytesSaver, polynomial: bigint, signal?: AbortSignal) {
    this.#pool = pool
    this.#polynomial = polynomial
    this.#signal = signal
  }

  /**
   * Saves all bytes of `input`. Resolves when they are read; `saved` of the result when the blobs are dealt with, so that the next file of an
   * archive need not wait.
   */
  async save(input: AsyncIterable<Uint8Array>, rule: CutRule): Promise<{ readonly saved: Promise<SavedStream> }> {
    const contents: Promise<SavedContent>[] = []
    let size = 0
    const outlet: Outlet = {
      batch: () => this.#free.pop() ?? new Uint8Array(new SharedArrayBuffer(BATCH_BYTES)),
      send: async (batch, length, ends) => {
        size += length
        const content = this.#saveBatch(batch, length, ends)
        // Awaited when all is read; until then a failure is not an unhandled one.
        content.catch(() => undefined)
        contents.push(content)
        if (this.#underWay >= 2 * this.#pool.threads) await new Promise<void>((resolve) => this.#waiting.push(resolve))
        if (this.#failure) throw this.#failure.error
      },
    }
    const pieces = untilAborted(input, this.#signal)
    if (rule.kind === 'blocks') await cutBlocks(pieces, rule.blockBytes, outlet)
    else await cutByContent(pieces, this.#polynomial, outlet)
    const saved = Promise.all(contents).then((all) => summarise(all, size))
    saved.catch(() => undefined)
    return { saved }
  }

  async #saveBatch(batch: Uint8Array, length: number, ends: Uint32Array): Promise<SavedContent> {
    this.#underWay++
    try {
      return await this.#pool.saveCut(batch.subarray(0, length), ends)
    } catch (error) {
      this.#failure ??= { error }
      throw error
    } finally {
      this.#underWay--
      this.#free.push(batch)
      this.#waiting.shift()?.()
    }
  }
}

async function* untilAborted(input: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined) {
  for await (const piece of input) {
    signal?.throwIfAborted()
    yield piece
  }
}

async function cutBlocks(input: AsyncIterable<Uint8Array>, blockBytes: number, outlet: Outlet): Promise<void> {
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

async function cutByContent(input: AsyncIterable<Uint8Array>, polynomial: bigint, outlet: Outlet): Promise<void> {
  const scanner = createRabinScanner(polynomial, CUT_BUFFER_BYTES)
  const { memory } = scanner
  // The chunk in the making is [start, end) of the scanner's memory, searched for a cut up to `scanned`.
  let start = 0
  let end = 0
  let scanned = 0
  const sendUpTo = async (cut: number): Promise<void> => {
    const length = cut - start
    const batch = outlet.batch()
    batch.set(memory.subarray(start, cut))
    start = scanned = cut
    await outlet.send(batch, length, Uint32Array.of(length))
  }
  for await (const piece of input) {
    for (let at = 0; at < piece.length; ) {
      if (end === CUT_BUFFER_BYTES) {
        memory.copyWithin(0, start, end)
        end -= start
        scanned -= start
        start = 0
      }
      const take = Math.min(piece.length - at, CUT_BUFFER_BYTES - end)
      memory.set(piece.subarray(at, at + take), end)
      end += take
      at += take
      while (end - start > MIN_CHUNK_BYTES) {
        const cut = scanner.findCut(start, scanned, end)
        if (cut >= 0) await sendUpTo(cut)
        else {
          scanned = end
          break
        }
      }
    }
  }
  if (end > start) await sendUpTo(end)
}

function summarise(contents: readonly SavedContent[], size: number): SavedStream {
  const added = { newBlobs: 0, newBytes: 0, storedBytes: 0 }
  for (const content of contents) {
    added.newBlobs += content.newBlobs
    added.newBytes += content.newBytes
    added.storedBytes += content.storedBytes
  }
  return { ids: Buffer.concat(contents.map((content) => content.ids)), size, added }
}
