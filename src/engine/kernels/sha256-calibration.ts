import { hash } from 'node:crypto'
import { monotonicMilliseconds } from '../../lib/clock.ts'
import { BLOCK_BYTES, type CompressBlocks, initialWords } from './sha256-blocks.ts'
import type { LaneKernel } from './sha256-lanes.ts'
import type { NativeSha256 } from './sha256-native.ts'
import { wasmSha256Lanes } from './sha256-wasm.ts'

/** How batches of messages are hashed: plain data, to be handed to other threads. */
export interface Sha256Choice {
  /** OpenSSL's multi-block code, four lanes in WebAssembly, or one message after the other. */
  readonly kernel: 'native' | 'wasm' | 'alone'
  /** Messages at a time. */
  readonly lanes: number
  /** With fewer messages than this left, one after the other is faster. */
  readonly minimumLanes: number
  /** Bytes per microsecond measured for this choice. */
  readonly rate: number
}

type Candidate = Pick<Sha256Choice, 'kernel' | 'lanes'>

/** The lanes of a choice; undefined when it has none or they are not available in this thread. */
export function laneKernel(choice: Candidate, native: NativeSha256 | undefined): LaneKernel | undefined {
  if (choice.kernel === 'native') return native?.lanes?.(choice.lanes)
  return choice.kernel === 'wasm' ? wasmSha256Lanes() : undefined
}

const SAMPLE_BLOCKS = 256
const WARM_UP_RUNS = 2
const RUNS = 5
/** More lanes must win by this much: with few lanes less is left over at the end of a batch. */
const CLEARLY_FASTER = 1.1

/** Measures what is available on some 16 KiB messages; takes 1 to 4 ms. */
export function calibrateSha256(native: NativeSha256 | undefined): Sha256Choice {
  const sample = new Uint8Array((SAMPLE_BLOCKS + 8) * BLOCK_BYTES)
  const alone: Sha256Choice = { kernel: 'alone', lanes: 1, minimumLanes: 1, rate: rateAlone(sample, native?.compress) }
  const candidates: Candidate[] = native?.lanes
    ? [2, 4, 8].map((lanes) => ({ kernel: 'native', lanes }))
    : [{ kernel: 'wasm', lanes: 4 }]
  let best = alone
  for (const candidate of candidates) {
    const kernel = laneKernel(candidate, native)
    const rate = kernel ? rateOfLanes(kernel, sample) : 0
    if (rate < best.rate * CLEARLY_FASTER) continue
    best = { ...candidate, minimumLanes: Math.floor(alone.rate / (rate / candidate.lanes)) + 1, rate }
  }
  return best
}

function rateAlone(sample: Uint8Array, compress: CompressBlocks | undefined): number {
  const message = sample.subarray(0, SAMPLE_BLOCKS * BLOCK_BYTES)
  const words = initialWords.slice()
  return (
    message.length /
    shortest(() => (compress ? compress(words, message, SAMPLE_BLOCKS) : hash('sha256', message, 'buffer')))
  )
}

function rateOfLanes(kernel: LaneKernel, sample: Uint8Array): number {
  const time = shortest(() => {
    for (let lane = 0; lane < kernel.lanes; lane++) kernel.point(lane, sample, lane * BLOCK_BYTES)
    kernel.run(kernel.lanes, SAMPLE_BLOCKS)
  })
  return (kernel.lanes * SAMPLE_BLOCKS * BLOCK_BYTES) / time
}

/** Microseconds of the fastest run: noise only ever adds. */
function shortest(run: () => unknown): number {
  let best = Number.POSITIVE_INFINITY
  for (let i = -WARM_UP_RUNS; i < RUNS; i++) {
    const start = monotonicMilliseconds()
    run()
    const microseconds = (monotonicMilliseconds() - start) * 1000
    if (i >= 0) best = Math.min(best, microseconds)
  }
  return best
}
