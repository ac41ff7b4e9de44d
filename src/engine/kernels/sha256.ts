import { createHash, type Hash, hash } from 'node:crypto'
import { toHex } from '../../lib/bytes.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { nativeLibrary } from '../../lib/native.ts'
import {
  BlockWalk,
  compressWalk,
  DIGEST_BYTES,
  finishState,
  initialWords,
  newSha256State,
  type Sha256State,
  writeDigest,
} from './sha256-blocks.ts'
import { calibrateSha256, laneKernel, type Sha256Choice } from './sha256-calibration.ts'
import { LaneScheduler, type LaneWork } from './sha256-lanes.ts'
import { type NativeSha256, nativeSha256 } from './sha256-native.ts'

export type { Sha256Choice } from './sha256-calibration.ts'

/**
 * Part of a batch: a whole message whose 32-byte digest is written to `digest`, or bytes to append to a stream (several for one stream are
 * appended in the order of the batch).
 */
export type Sha256Job =
  | { readonly bytes: Uint8Array; readonly digest: Uint8Array }
  | { readonly bytes: Uint8Array; readonly stream: Sha256Stream }

/** undefined: not looked for yet in this thread; null: not available. */
let native: NativeSha256 | null | undefined

function nativeKernel(): NativeSha256 | null {
  if (native === undefined) {
    const library = nativeLibrary()
    native = (library && nativeSha256(library)) ?? null
  }
  return native
}

const walk = new BlockWalk()
const words = new Uint32Array(8)

/** SHA-256 of one message as 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  const digest = new Uint8Array(DIGEST_BYTES)
  digestInto(bytes, digest)
  return digest
}

/** SHA-256 of one message in hex. */
export function sha256Hex(bytes: Uint8Array): string {
  return toHex(sha256(bytes))
}

function digestInto(bytes: Uint8Array, digest: Uint8Array): void {
  const kernel = nativeKernel()
  if (!kernel) {
    digest.set(hash('sha256', bytes, 'buffer'))
    return
  }
  words.set(initialWords)
  walk.startMessage(bytes)
  compressWalk(walk, words, kernel.compress)
  writeDigest(words, 0, 1, digest)
}

/** The state of a stream that lanes can continue; set by the class, which alone sees it. */
let stateOf: (stream: Sha256Stream) => Sha256State | undefined

/** SHA-256 of a message that arrives in pieces. */
export class Sha256Stream {
  /** Our own state when there is a native block function, else `hash` of node:crypto. */
  readonly #state: Sha256State | undefined
  readonly #hash: Hash | undefined
  #finished = false

  static {
    stateOf = (stream) => {
      stream.#assertUnfinished()
      return stream.#state
    }
  }

  constructor() {
    if (nativeKernel()) this.#state = newSha256State()
    else this.#hash = createHash('sha256')
  }

  update(bytes: Uint8Array): this {
    this.#assertUnfinished()
    const kernel = nativeKernel()
    if (this.#state && kernel) {
      walk.startUpdate(this.#state, [bytes])
      compressWalk(walk, this.#state.words, kernel.compress)
    } else {
      this.#hash?.update(bytes)
    }
    return this
  }

  /** Ends the message and returns its 32-byte digest; the stream cannot be used afterwards. */
  digest(): Uint8Array {
    this.#assertUnfinished()
    this.#finished = true
    const digest = new Uint8Array(DIGEST_BYTES)
    const kernel = nativeKernel()
    if (this.#state && kernel) finishState(this.#state, kernel.compress, digest)
    else if (this.#hash) digest.set(this.#hash.digest())
    return digest
  }

  #assertUnfinished(): void {
    if (this.#finished) throw new HoldfastError('HF_INTERNAL', 'a SHA-256 stream was used after its digest was taken')
  }
}

/** Messages below this size are hashed faster alone than with the scheduler's bookkeeping. */
const SMALLEST_LANE_BYTES = 256

let choice: Sha256Choice | undefined
let scheduler: LaneScheduler | undefined

/**
 * The fastest way to hash batches on this machine, measured at the first call in a thread, within 5 ms. Hand it to the threads you start,
 * for `useSha256`: they need not measure, at a moment when all processors are busy.
 */
export function sha256Calibration(): Sha256Choice {
  return choice ?? useSha256(calibrateSha256(nativeKernel() ?? undefined))
}

/** Makes this thread hash batches in a way measured by another; one message after the other where it is not available here. */
export function useSha256(wanted: Sha256Choice): Sha256Choice {
  const compress = nativeKernel()?.compress
  const kernel = laneKernel(wanted, nativeKernel() ?? undefined)
  scheduler = kernel && new LaneScheduler(kernel, compress, wanted.minimumLanes)
  choice = kernel ? wanted : { kernel: 'alone', lanes: 1, minimumLanes: 1, rate: wanted.rate }
  return choice
}

/**
 * Hashes several messages side by side, as fast as this machine can. Results do not depend on how. The bytes must not change and streams
 * must not be used otherwise until it returns.
 */
export function hashTogether(jobs: readonly Sha256Job[]): void {
  if (!choice) sha256Calibration()
  const queue: QueuedWork[] = []
  const updates = new Map<Sha256State, Update>()
  for (const job of jobs) {
    const { bytes } = job
    if ('digest' in job) {
      if (job.digest.length !== DIGEST_BYTES) {
        throw new HoldfastError(
          'HF_INTERNAL',
          `${job.digest.length} bytes were given for a SHA-256 digest of ${DIGEST_BYTES}`,
        )
      }
      if (!scheduler || bytes.length < SMALLEST_LANE_BYTES) digestInto(bytes, job.digest)
      else queue.push({ lengthBytes: bytes.length, bytes, digest: job.digest })
      continue
    }
    const state = stateOf(job.stream)
    if (!scheduler || !state) {
      job.stream.update(bytes)
      continue
    }
    let update = updates.get(state)
    if (!update) {
      update = { lengthBytes: 0, pieces: [], state }
      updates.set(state, update)
      queue.push(update)
    }
    update.pieces.push(bytes)
    update.lengthBytes += bytes.length
  }
  queue.sort((a, b) => b.lengthBytes - a.lengthBytes)
  scheduler?.run(queue)
}

type QueuedWork = LaneWork & { readonly lengthBytes: number }

/** What one batch appends to one stream. */
interface Update {
  lengthBytes: number
  readonly pieces: Uint8Array[]
  readonly state: Sha256State
}
