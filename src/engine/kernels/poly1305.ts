import { instantiateWasm, type WasmGlobal, type WasmMemory } from './wasm.ts'

/** Computes Poly1305 tags (RFC 8439, 2.5). `key` is the one-time key r || s of 32 bytes; r is clamped inside. */
export type Poly1305 = (key: Uint8Array, message: Uint8Array, tag: Uint8Array) => void

interface Poly1305Exports {
  readonly memory: WasmMemory
  readonly MESSAGE_BYTES: WasmGlobal
  readonly KEY: WasmGlobal
  readonly TAG: WasmGlobal
  readonly MESSAGE: WasmGlobal
  start(): void
  update(length: number): void
  finish(): void
}

let shared: Poly1305 | undefined

/** The WebAssembly implementation, one instance per thread. Writes 16 bytes to `tag`. */
export function poly1305Wasm(): Poly1305 {
  shared ??= create()
  return shared
}

function create(): Poly1305 {
  const wasm = instantiateWasm<Poly1305Exports>('poly1305')
  const pieceBytes = wasm.MESSAGE_BYTES.value
  const area = (at: number, length: number): Uint8Array => new Uint8Array(wasm.memory.buffer, at, length)
  const keyArea = area(wasm.KEY.value, 32)
  const tagArea = area(wasm.TAG.value, 16)
  const piece = area(wasm.MESSAGE.value, pieceBytes)
  return (key, message, tag) => {
    keyArea.set(key)
    wasm.start()
    for (let at = 0; at < message.length; at += pieceBytes) {
      const end = Math.min(message.length, at + pieceBytes)
      piece.set(message.subarray(at, end))
      wasm.update(end - at)
    }
    wasm.finish()
    tag.set(tagArea)
    keyArea.fill(0)
  }
}
