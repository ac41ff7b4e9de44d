import { createRabinScanner, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from '../kernels/rabin.ts'
import type { NewData, SavedContent } from './saver/messages.ts'
import type { SaverPool } from './saver/saver-pool.ts'

const BUFFER_BYTES = 2 * MAX_CHUNK_BYTES

/** What a stream came to: 32 bytes per blob, and its length. */
export interface SavedStream {
  readonly ids: Uint8Array
  readonly size: number
  readonly added: NewData
}

/**
 * Saves the bytes of `input` as the content of one file. They are cut here and saved by the threads of `pool`, of which at most
 * `2 * threads` chunks are under way: a fast input waits.
 */
export async function saveStream(
  input: AsyncIterable<Uint8Array>,
  pool: SaverPool,
  polynomial: bigint,
  signal?: AbortSignal,
): Promise<SavedStream> {
  const scanner = createRabinScanner(polynomial, BUFFER_BYTES)
  const { memory } = scanner
  const saved: Promise<SavedContent>[] = []
  let size = 0
  // The chunk in the making is [start, end) of the scanner's memory, searched for a cut up to `scanned`.
  let start = 0
  let end = 0
  let scanned = 0

  const sendUpTo = async (cut: number): Promise<void> => {
    const bytes = new Uint8Array(new SharedArrayBuffer(cut - start))
    bytes.set(memory.subarray(start, cut))
    size += cut - start
    start = scanned = cut
    const chunk = pool.saveChunk(bytes)
    // Awaited below, in order; until then a failure is not an unhandled one.
    chunk.catch(() => undefined)
    saved.push(chunk)
    const waitFor = saved.length - 2 * pool.threads
    if (waitFor >= 0) await saved[waitFor]
  }

  for await (const piece of input) {
    signal?.throwIfAborted()
    for (let at = 0; at < piece.length; ) {
      if (end === BUFFER_BYTES) {
        memory.copyWithin(0, start, end)
        end -= start
        scanned -= start
        start = 0
      }
      const take = Math.min(piece.length - at, BUFFER_BYTES - end)
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
  const contents = await Promise.all(saved)
  const added = { newBlobs: 0, newBytes: 0, storedBytes: 0 }
  for (const content of contents) {
    added.newBlobs += content.newBlobs
    added.newBytes += content.newBytes
    added.storedBytes += content.storedBytes
  }
  return { ids: Buffer.concat(contents.map((content) => content.ids)), size, added }
}
