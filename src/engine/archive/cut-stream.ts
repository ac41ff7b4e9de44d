import { copyBytes } from '../kernels/copy-bytes.ts'
import { AVERAGE_CHUNK_BYTES, createRabinScanner, MAX_CHUNK_BYTES, type RabinScanner } from '../kernels/rabin.ts'

/** How content is cut into blobs. Readers of a repository follow the list of blobs and do not care. */
export type CutRule =
  /**
   * By content. As restic cuts files, 1 MiB on average; or in smaller blobs, a power of two from 16 KiB on: for dumps, of which scattered
   * rows change.
   */
  | { readonly kind: 'content'; readonly averageBytes?: number }
  /** Every `blockBytes` from the beginning of the file: for files that are written in place, page by page. */
  | { readonly kind: 'blocks'; readonly blockBytes: number }

/** Takes cut bytes: `length` bytes of `batch`, which was got from `batch()`, with blobs that end at `ends`. Waits while too much is under way. */
export interface CutOutlet {
  batch(): Uint8Array
  send(batch: Uint8Array, length: number, ends: Uint32Array): Promise<void>
}

/** What is handed over at once, at most. */
const BATCH_BYTES = MAX_CHUNK_BYTES
const CUT_BUFFER_BYTES = 2 * MAX_CHUNK_BYTES
/** Small blobs of one stream travel together, so many bytes at a time. */
const SENT_BYTES = 2 * 1024 * 1024

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
      copyBytes(batch, piece.subarray(at, at + take), used)
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
    copyBytes(batch, memory.subarray(start, from), 0)
    start = from
    await outlet.send(batch, length, ends)
  }
  for await (const piece of input) {
    for (let at = 0; at < piece.length; ) {
      if (end === CUT_BUFFER_BYTES) {
        if (from > start) await send()
        copyBytes(memory, memory.subarray(start, end), 0)
        end -= start
        scanned -= start
        start = from = 0
      }
      const take = Math.min(piece.length - at, CUT_BUFFER_BYTES - end)
      copyBytes(memory, piece.subarray(at, at + take), end)
      end += take
      at += take
      while (end - from > minBytes) {
        const cut = findCut(from, scanned, end)
        if (cut < 0) {
          scanned = end
          break
        }
        // Behind small blobs the largest one does not fit any more.
        if (cut - start > BATCH_BYTES) await send()
        cuts.push(cut)
        from = scanned = cut
        if (from - start >= SENT_BYTES || minBytes >= SENT_BYTES / 2) await send()
      }
    }
  }
  if (end > from) {
    if (end - start > BATCH_BYTES) await send()
    cuts.push(end)
    from = end
  }
  if (from > start) await send()
}
