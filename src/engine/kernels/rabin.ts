import { HoldfastError } from '../../lib/errors.ts'
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, rabinTables, scanRabinPlain } from './rabin-plain.ts'
import { wasmRabinScan } from './rabin-wasm.ts'
import { sharedWasmMemory, WASM_PAGE_BYTES } from './wasm.ts'

export { isIrreducible, randomPolynomial } from './polynomial.ts'
export { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from './rabin-plain.ts'

/**
 * Finds where restic's chunker cuts (content-defined chunking by Rabin fingerprints of 64 bytes). Whether a position may be a cut depends
 * only on the 64 bytes before it, so nothing is remembered between calls.
 */
export interface RabinScanner {
  /** Page-aligned memory that threads can share; callers read files into it and scan in place. */
  readonly memory: Uint8Array
  /** No chunk but the last is shorter. */
  readonly minBytes: number
  /** No chunk is longer. */
  readonly maxBytes: number
  /**
   * End of the chunk that starts at `chunkStart`, or -1 when it lies beyond `end` (positions in `memory`; bytes before `end` are filled in).
   * It is the smallest p with chunkStart + minBytes <= p <= chunkStart + maxBytes at which the fingerprint of the 64 bytes before p has its
   * low 20 bits zero (log2 of the average, if another one was asked for), or p = chunkStart + maxBytes.
   * Positions up to and including `scannedTo` are taken as searched: pass `chunkStart` first, and the previous `end` after reading more.
   */
  findCut(chunkStart: number, scannedTo: number, end: number): number
}

/** Larger memory could not be addressed by signed 32-bit positions. */
const MAX_MEMORY_BYTES = 2 ** 31 - WASM_PAGE_BYTES

/** Between two places where restic may cut. */
export const AVERAGE_CHUNK_BYTES: number = 1024 * 1024
export const MIN_AVERAGE_BYTES: number = 16 * 1024

/**
 * A scanner with `memoryBytes` of memory of its own; belongs to one thread. With another `averageBytes` than restic's, a power of two from
 * 16 KiB to 1 MiB, the least and the most are in proportion: half and eight times of it.
 *
 * @throws HoldfastError HF_REPO_CONFIG unless the polynomial has degree 53
 */
export function createRabinScanner(
  polynomial: bigint,
  memoryBytes: number,
  averageBytes: number = AVERAGE_CHUNK_BYTES,
): RabinScanner {
  const tables = rabinTables(polynomial)
  const cutBits = Math.log2(averageBytes)
  if (memoryBytes > MAX_MEMORY_BYTES)
    throw new HoldfastError('HF_INTERNAL', `a chunker was asked for with ${memoryBytes} bytes of memory`)
  if (!Number.isInteger(cutBits) || averageBytes < MIN_AVERAGE_BYTES || averageBytes > AVERAGE_CHUNK_BYTES)
    throw new HoldfastError('HF_INTERNAL', `a chunker was asked for chunks of ${averageBytes} bytes`)
  const minBytes = (MIN_CHUNK_BYTES / AVERAGE_CHUNK_BYTES) * averageBytes
  const maxBytes = (MAX_CHUNK_BYTES / AVERAGE_CHUNK_BYTES) * averageBytes
  const wasmMemory = sharedWasmMemory(1 + Math.ceil(memoryBytes / WASM_PAGE_BYTES))
  const memory = new Uint8Array(wasmMemory.buffer, WASM_PAGE_BYTES, memoryBytes)
  const scan =
    wasmRabinScan(tables, wasmMemory, WASM_PAGE_BYTES, cutBits) ??
    ((from, end) => scanRabinPlain(tables, memory, from, end, cutBits))
  return {
    memory,
    minBytes,
    maxBytes,
    findCut(chunkStart, scannedTo, end) {
      const last = chunkStart + maxBytes
      const cut = scan(Math.max(scannedTo + 1, chunkStart + minBytes), Math.min(end, last, memoryBytes))
      return cut < 0 && end >= last ? last : cut
    },
  }
}
