import { instantiateVectorWasm, sharedWasmMemory, WASM_PAGE_BYTES } from './wasm.ts'

interface ScryptExports {
  mixOne(block: number, table: number, n: number, r: number): void
  mixTwo(block: number, table: number, otherBlock: number, otherTable: number, n: number, r: number): void
}

/**
 * Replaces each block of 128 * r bytes by its ROMix (RFC 7914, 5), two at a time, in twice 128 * n * r bytes of memory. Returns whether it
 * did: not on processors and versions of Node that lack vectors.
 */
export function mixScryptBlocks(blocks: Uint8Array, n: number, r: number): boolean {
  const blockBytes = 128 * r
  const count = blocks.length / blockBytes
  const tableBytes = (n + 2) * blockBytes
  const lanes = Math.min(2, count)
  // The first page is the module's own.
  const area = WASM_PAGE_BYTES + lanes * blockBytes
  const memory = sharedWasmMemory(Math.ceil((area + lanes * tableBytes) / WASM_PAGE_BYTES))
  const wasm = instantiateVectorWasm<ScryptExports>('scrypt', { env: { memory } })
  if (!wasm) return false
  for (let i = 0; i < count; i += lanes) {
    const here = blocks.subarray(i * blockBytes, (i + lanes) * blockBytes)
    const there = new Uint8Array(memory.buffer, WASM_PAGE_BYTES, here.length)
    there.set(here)
    if (here.length > blockBytes)
      wasm.mixTwo(WASM_PAGE_BYTES, area, WASM_PAGE_BYTES + blockBytes, area + tableBytes, n, r)
    else wasm.mixOne(WASM_PAGE_BYTES, area, n, r)
    here.set(there)
  }
  return true
}
