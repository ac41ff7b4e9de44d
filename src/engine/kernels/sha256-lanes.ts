import {
  BLOCK_BYTES,
  BlockWalk,
  type CompressBlocks,
  compressWalk,
  initialWords,
  type Sha256State,
  writeDigest,
} from './sha256-blocks.ts'

/** Several messages compressed side by side. Lanes in use are the first ones, without gaps. */
export interface LaneKernel {
  readonly lanes: number
  /** Word h of lane l is at h * stride + l. */
  readonly words: Uint32Array
  readonly stride: number
  /** Sets where a lane reads: from `at` in `source`, which has room for all blocks the lane will run. */
  point(lane: number, source: Uint8Array, at: number): void
  /** Compresses the next `blocks` (at least one) of each of the first `active` lanes. */
  run(active: number, blocks: number): void
}

/** A whole message whose digest is wanted, or bytes to append, in this order, to a message in progress. */
export type LaneWork =
  | { readonly bytes: Uint8Array; readonly digest: Uint8Array }
  | { readonly pieces: readonly Uint8Array[]; readonly state: Sha256State }

/** The work a lane is on, and where in it. */
interface Lane {
  readonly walk: BlockWalk
  work: LaneWork | undefined
}

/**
 * Runs work with as many lanes of a kernel busy as possible. Each step lasts until the first lane reaches the end of a run of blocks; that
 * lane goes on with its next run or with the next work.
 */
export class LaneScheduler {
  readonly #kernel: LaneKernel
  readonly #compress: CompressBlocks | undefined
  readonly #minimumLanes: number
  readonly #lanes: Lane[]
  readonly #words = new Uint32Array(8)
  #queue: readonly LaneWork[] = []
  #next = 0

  /** With fewer than `minimumLanes` left to fill, `compress` is faster and finishes the work; without it lanes do all. */
  constructor(kernel: LaneKernel, compress: CompressBlocks | undefined, minimumLanes: number) {
    this.#kernel = kernel
    this.#compress = compress
    this.#minimumLanes = compress ? Math.max(1, minimumLanes) : 1
    this.#lanes = Array.from({ length: kernel.lanes }, () => ({ walk: new BlockWalk(), work: undefined }))
  }

  /** Does all work, starting it in this order: with the longest first, lanes end together. */
  run(queue: readonly LaneWork[]): void {
    this.#queue = queue
    this.#next = 0
    let active = 0
    while (active < this.#lanes.length && this.#begin(active)) active++
    while (active >= this.#minimumLanes) active = this.#step(active)
    if (this.#compress) for (let lane = 0; lane < active; lane++) this.#finishAlone(lane, this.#compress)
    this.#queue = []
  }

  /** Runs all lanes up to the end of the shortest run; returns how many lanes are then in use. */
  #step(active: number): number {
    const lanes = this.#lanes
    let blocks = lanes[0]!.walk.blocks
    for (let lane = 1; lane < active; lane++) blocks = Math.min(blocks, lanes[lane]!.walk.blocks)
    this.#kernel.run(active, blocks)
    let left = active
    for (let lane = active - 1; lane >= 0; lane--) {
      const { walk } = lanes[lane]!
      walk.at += blocks * BLOCK_BYTES
      walk.blocks -= blocks
      if (walk.blocks > 0) continue
      if (walk.next()) {
        this.#kernel.point(lane, walk.source, walk.at)
        continue
      }
      this.#end(lane)
      if (!this.#begin(lane)) this.#move(--left, lane)
    }
    return left
  }

  /** Gives a lane the next work that has blocks to compress; false when there is none. */
  #begin(lane: number): boolean {
    const { walk } = this.#lanes[lane]!
    while (this.#next < this.#queue.length) {
      const work = this.#queue[this.#next++]!
      const stream = 'state' in work
      if (stream) walk.startUpdate(work.state, work.pieces)
      else walk.startMessage(work.bytes)
      if (!walk.next()) continue
      this.#lanes[lane]!.work = work
      this.#load(lane, stream ? work.state.words : initialWords)
      this.#kernel.point(lane, walk.source, walk.at)
      return true
    }
    return false
  }

  /** Hands over the result of a lane whose work is done. */
  #end(lane: number): void {
    const { words, stride } = this.#kernel
    const { work } = this.#lanes[lane]!
    if (!work) return
    if ('state' in work) for (let h = 0; h < 8; h++) work.state.words[h] = words[h * stride + lane]!
    else writeDigest(words, lane, stride, work.digest)
    this.#lanes[lane]!.work = undefined
  }

  #load(lane: number, from: Uint32Array): void {
    const { words, stride } = this.#kernel
    for (let h = 0; h < 8; h++) words[h * stride + lane] = from[h]!
  }

  /** Closes the gap a lane without work leaves. */
  #move(from: number, to: number): void {
    if (from === to) return
    const { words, stride } = this.#kernel
    const lanes = this.#lanes
    const moved = lanes[from]!
    lanes[from] = lanes[to]!
    lanes[to] = moved
    for (let h = 0; h < 8; h++) words[h * stride + to] = words[h * stride + from]!
    this.#kernel.point(to, moved.walk.source, moved.walk.at)
  }

  #finishAlone(lane: number, compress: CompressBlocks): void {
    const { words, stride } = this.#kernel
    const { walk } = this.#lanes[lane]!
    for (let h = 0; h < 8; h++) this.#words[h] = words[h * stride + lane]!
    compress(this.#words, walk.source.subarray(walk.at), walk.blocks)
    compressWalk(walk, this.#words, compress)
    this.#load(lane, this.#words)
    this.#end(lane)
  }
}
