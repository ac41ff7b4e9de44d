import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, type RabinTables, rabinTables, scanRabinPlain } from './rabin-plain.ts'
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
  /**
   * End of the chunk that starts at `chunkStart`, or -1 when it lies beyond `end` (positions in `memory`; bytes before `end` are filled in).
   * It is the smallest p with chunkStart + MIN_CHUNK_BYTES <= p <= chunkStart + MAX_CHUNK_BYTES at which the fingerprint of the 64 bytes
   * before p has its low 20 bits zero, or p = chunkStart + MAX_CHUNK_BYTES.
   * Positions up to and including `scannedTo` are taken as searched: pass `chunkStart` first, and the previous `end` after reading more.
   */
  findCut(chunkStart: number, scannedTo: number, end: number): number
}

/** A scanner with `memoryBytes` of memory of its own; belongs to one thread. HF_REPO_CONFIG unless the polynomial has degree 53. */
export function createRabinScanner(polynomial: bigint, memoryBytes: number): RabinScanner {
  const tables: RabinTables = rabinTables(polynomial)
  const memory = new Uint8Array(sharedWasmMemory(Math.ceil(memoryBytes / WASM_PAGE_BYTES)).buffer, 0, memoryBytes)
  return {
    memory,
    findCut(chunkStart, scannedTo, end) {
      const last = chunkStart + MAX_CHUNK_BYTES
      const to = Math.min(end, last, memory.length)
      const from = Math.max(scannedTo + 1, chunkStart + MIN_CHUNK_BYTES)
      const cut = from <= to ? scanRabinPlain(tables, memory, from, to) : -1
      if (cut >= 0) return cut
      return end >= last ? last : -1
    },
  }
}
