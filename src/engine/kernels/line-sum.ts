import { instantiateWasm, type WasmGlobal, type WasmMemory } from './wasm.ts'

interface LineSumExports {
  readonly memory: WasmMemory
  readonly PIECE_BYTES: WasmGlobal
  readonly STATE_BYTES: WasmGlobal
  readonly STATE: WasmGlobal
  readonly SUM: WasmGlobal
  readonly LINES: WasmGlobal
  readonly PIECE: WasmGlobal
  start(): void
  update(length: number): void
}

interface Kernel {
  readonly wasm: LineSumExports
  readonly state: Uint8Array
  readonly piece: Uint8Array
}

export const LINE_SUM_KEY_BYTES = 16
const SUM_BITS = 128

let shared: Kernel | undefined

/** One instance per thread: texts take turns in it. */
function kernel(): Kernel {
  if (shared !== undefined) return shared
  const wasm = instantiateWasm<LineSumExports>('line-sum')
  const { buffer } = wasm.memory
  const state = new Uint8Array(buffer, wasm.STATE.value, wasm.STATE_BYTES.value)
  const piece = new Uint8Array(buffer, wasm.PIECE.value, wasm.PIECE_BYTES.value)
  shared = { wasm, state, piece }
  return shared
}

/**
 * Says what lines a text consists of, whatever their order: adds up a hash of each, SipHash-2-4-128 of its bytes without the newline, modulo
 * 2^128. Who does not know the key cannot choose lines so that sums coincide. Sums of parts that end with a newline add up to that of all.
 */
export class LineSum {
  readonly #state: Uint8Array

  /** @param key of LINE_SUM_KEY_BYTES */
  constructor(key: Uint8Array) {
    if (key.length !== LINE_SUM_KEY_BYTES) throw new RangeError(`the key has ${key.length} bytes`)
    const { wasm, state } = kernel()
    state.fill(0)
    state.set(key)
    wasm.start()
    this.#state = state.slice()
  }

  update(bytes: Uint8Array): void {
    const { wasm, state, piece } = kernel()
    state.set(this.#state)
    for (let at = 0; at < bytes.length; at += piece.length) {
      const part = bytes.subarray(at, at + piece.length)
      piece.set(part)
      wasm.update(part.length)
    }
    this.#state.set(state)
  }

  /** Lines so far; what has no newline yet is none. */
  get lines(): number {
    const { wasm } = kernel()
    return Number(this.#word(wasm.LINES.value - wasm.STATE.value))
  }

  /** The sum of lines so far. */
  get sum(): bigint {
    const { wasm } = kernel()
    const at = wasm.SUM.value - wasm.STATE.value
    return (this.#word(at + 8) << 64n) | this.#word(at)
  }

  #word(at: number): bigint {
    const { buffer, byteOffset, byteLength } = this.#state
    return new DataView(buffer, byteOffset, byteLength).getBigUint64(at, true)
  }
}

/** Sums of parts as that of the whole, in 32 digits of hex. */
export const lineSumText = (sums: readonly bigint[]): string =>
  BigInt.asUintN(
    SUM_BITS,
    sums.reduce((total, sum) => total + sum, 0n),
  )
    .toString(16)
    .padStart(SUM_BITS / 4, '0')
