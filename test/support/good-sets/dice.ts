import { createRandom } from '../../../bench/tree/random.ts'

/** Choices of one data set: the same seed and stream give the same set on every machine. */
export interface Dice {
  /** An integer in [0, limit). */
  below(limit: number): number
  /** An integer in [low, high]. */
  between(low: number, high: number): number
  /** Whether something happens that does so once in `times`. */
  oneIn(times: number): boolean
  pick<T>(from: readonly T[]): T
  /** Some of them, each with even chances, in their order. */
  some<T>(from: readonly T[]): T[]
  bytes(length: number): Buffer
  /** Letters, digits, signs that have to be quoted somewhere, and letters of several bytes. */
  word(maxLength?: number): string
}

const SIGNS = [...'abcdefghijklmnopqrstuvwxyzABCXYZ0123456789 _-.,;:$%&/()=?*+~#\'"\\`{}[]<>|äöüßéñ漢字🙂']

export function dice(seed: number, stream: number): Dice {
  const random = createRandom(seed, stream)
  const { below } = random
  return {
    below,
    between: (low, high) => low + below(high - low + 1),
    oneIn: (times) => below(times) === 0,
    pick: (from) => from[below(from.length)]!,
    some: (from) => from.filter(() => below(2) === 0),
    bytes: (length) => Buffer.from(Array.from({ length }, () => below(256))),
    word: (maxLength = 12) => Array.from({ length: 1 + below(maxLength) }, () => SIGNS[below(SIGNS.length)]!).join(''),
  }
}

/** Of this run: `HOLDFAST_TEST_SEED`, or another one each time. Tests have it in their names, so that a failure can be had again. */
export const SEED: number = Number(process.env.HOLDFAST_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))
