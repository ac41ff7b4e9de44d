import { POLYNOMIAL_DEGREE } from './polynomial.ts'
import { CUT_BITS, type RabinTables, WINDOW_BYTES } from './rabin-plain.ts'
import { instantiateVectorWasm, type WasmGlobal, type WasmMemory } from './wasm.ts'

interface RabinExports {
  readonly MODULUS: WasmGlobal
  readonly OUTGOING: WasmGlobal
  readonly MODULUS_PLANES: WasmGlobal
  readonly OUTGOING_PLANES: WasmGlobal
  prepare(cutBits: number): void
  /** Addresses as unsigned 32-bit numbers; -1 when there is none. */
  scan(from: number, end: number): number
}

/** As `scanRabinPlain`, in memory that was given: the smallest p with max(from, 64) <= p <= end that may be a cut, else -1. */
export type RabinScan = (from: number, end: number) => number

/**
 * Search by WebAssembly vectors in a memory whose first page is reserved for its tables; positions count from `firstByte`.
 * undefined on processors and versions of Node that lack the instructions.
 */
export function wasmRabinScan(
  tables: RabinTables,
  memory: WasmMemory,
  firstByte: number,
  cutBits: number = CUT_BITS,
): RabinScan | undefined {
  const wasm = instantiateVectorWasm<RabinExports>('rabin', { env: { memory } })
  if (!wasm) return undefined
  wasm.prepare(cutBits)
  new Uint32Array(memory.buffer, wasm.MODULUS.value, 512).set(tables.modulus)
  new Uint32Array(memory.buffer, wasm.OUTGOING.value, 512).set(tables.outgoing)
  writePlanes(tables.modulus, new Uint8Array(memory.buffer, wasm.MODULUS_PLANES.value, 2 * PLANES * HALF_ENTRIES))
  writePlanes(tables.outgoing, new Uint8Array(memory.buffer, wasm.OUTGOING_PLANES.value, 2 * PLANES * HALF_ENTRIES))
  return (from, end) => {
    const first = Math.max(from, WINDOW_BYTES)
    const cut = first > end ? -1 : wasm.scan(firstByte + first, firstByte + end)
    return cut < 0 ? -1 : cut - firstByte
  }
}

const PLANES = 7
const HALF_ENTRIES = 16
/** Bits of the high half of an entry that belong to the fingerprint, not to the index kept above it. */
const HIGH_BITS = 2 ** (POLYNOMIAL_DEGREE - 32) - 1

/** A table as the vectors want it: times x^3, byte by byte, for the 16 values of the low and of the high half of the index. */
function writePlanes(table: Uint32Array, planes: Uint8Array): void {
  for (let value = 0; value < 2 * HALF_ENTRIES; value++) {
    const index = value < HALF_ENTRIES ? value : (value - HALF_ENTRIES) << 4
    const low = table[2 * index]!
    const high = table[2 * index + 1]! & HIGH_BITS
    const words = [low << 3, (high << 3) | (low >>> 29)]
    for (let plane = 0; plane < PLANES; plane++)
      planes[2 * HALF_ENTRIES * plane + value] = words[plane >> 2]! >>> (8 * (plane & 3))
  }
}
