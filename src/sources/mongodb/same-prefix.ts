import { Sha256Stream } from '../../engine/kernels/sha256.ts'
import { equalBytes } from '../../lib/bytes.ts'
import type { DocumentBatch } from './bson/batch.ts'

/**
 * Lets what is read from the beginning again go on where it broke: what was given on before is held back, and must be the same. In natural
 * order nothing else tells where that was; servers may put documents they change to another place.
 */
export class SamePrefix {
  /** Of what was given on, and of what was read since the beginning. */
  #given = new Sha256Stream()
  #read = new Sha256Stream()
  #givenBytes = 0
  #readBytes = 0
  #expected: Uint8Array | undefined

  /** Whether everything that was given on before has come again. */
  get isPassed(): boolean {
    return this.#expected === undefined
  }

  /** Everything is going to be read from the beginning. */
  startAgain(): void {
    this.#expected ??= this.#givenBytes === 0 ? undefined : this.#given.digest()
    this.#read = new Sha256Stream()
    this.#given = new Sha256Stream()
    this.#readBytes = 0
  }

  /** What of a batch was not given on yet; undefined when nothing; `other` when what was has changed. */
  pass(batch: DocumentBatch): DocumentBatch | undefined | 'other' {
    const { bytes } = batch
    const held = Math.min(bytes.length, this.#givenBytes - this.#readBytes)
    if (this.#expected === undefined) {
      this.#given.update(bytes)
      this.#givenBytes += bytes.length
      this.#readBytes += bytes.length
      return batch
    }
    this.#read.update(bytes.subarray(0, held))
    this.#given.update(bytes)
    this.#readBytes += held
    if (this.#readBytes < this.#givenBytes) return undefined
    if (!equalBytes(this.#read.digest(), this.#expected)) return 'other'
    this.#expected = undefined
    const rest = bytes.subarray(held)
    this.#givenBytes += rest.length
    this.#readBytes += rest.length
    if (rest.length === 0) return undefined
    return { bytes: rest, count: countOf(rest), lastStart: batch.lastStart - held }
  }
}

/** Documents of bytes that begin and end with one: the prefix is the same, so it ends with a document. */
function countOf(bytes: Buffer): number {
  let count = 0
  for (let at = 0; at < bytes.length; at += bytes.readInt32LE(at)) count++
  return count
}
