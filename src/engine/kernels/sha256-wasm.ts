import { BLOCK_BYTES } from './sha256-blocks.ts'
import type { LaneKernel } from './sha256-lanes.ts'
import { instantiateVectorWasm, type WasmGlobal, type WasmMemory } from './wasm.ts'

interface Sha256Exports {
  readonly memory: WasmMemory
  readonly PIECE_BLOCKS: WasmGlobal
  readonly STATE: WasmGlobal
  readonly PIECES: WasmGlobal
  run(blocks: number): void
}

const LANES = 4

/** undefined: not tried yet in this thread; null: not available. */
let shared: LaneKernel | null | undefined

/** Four lanes in WebAssembly vectors, one instance per thread; undefined where there are no vectors. Blocks are copied in. */
export function wasmSha256Lanes(): LaneKernel | undefined {
  if (shared === undefined) shared = create() ?? null
  return shared ?? undefined
}

function create(): LaneKernel | undefined {
  const wasm = instantiateVectorWasm<Sha256Exports>('sha256')
  if (!wasm) return undefined
  const pieceBlocks = wasm.PIECE_BLOCKS.value
  const pieces = Array.from(
    { length: LANES },
    (_, lane) =>
      new Uint8Array(
        wasm.memory.buffer,
        wasm.PIECES.value + lane * pieceBlocks * BLOCK_BYTES,
        pieceBlocks * BLOCK_BYTES,
      ),
  )
  const sources: Uint8Array[] = pieces.map(() => new Uint8Array(0))
  const positions: number[] = pieces.map(() => 0)
  return {
    lanes: LANES,
    words: new Uint32Array(wasm.memory.buffer, wasm.STATE.value, 8 * LANES),
    stride: LANES,
    point(lane, source, at) {
      sources[lane] = source
      positions[lane] = at
    },
    run(active, blocks) {
      for (let done = 0; done < blocks; done += pieceBlocks) {
        const step = Math.min(pieceBlocks, blocks - done)
        for (let lane = 0; lane < active; lane++) {
          const at = positions[lane]!
          const end = at + step * BLOCK_BYTES
          pieces[lane]!.set(sources[lane]!.subarray(at, end))
          positions[lane] = end
        }
        wasm.run(step)
      }
    },
  }
}
