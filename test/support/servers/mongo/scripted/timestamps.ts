import { Timestamp } from 'mongodb'

const INCREMENT_BITS = 32n

/** A timestamp of the cluster as a number that grows with it. */
export const timestampOf = (seconds: number, increment: number): bigint =>
  (BigInt(seconds) << INCREMENT_BITS) | BigInt(increment)

/** As BSON has it. */
export const toTimestamp = (time: bigint): Timestamp => new Timestamp(time)

export const secondsOf = (time: bigint): number => Number(time >> INCREMENT_BITS)

/** Gives every write its own time: the second of the wall clock, and a counter within it. */
export class ClusterClock {
  #now: bigint
  readonly #wall: () => number

  constructor(wall: () => number = Date.now) {
    this.#wall = wall
    this.#now = timestampOf(Math.floor(wall() / 1000), 0)
  }

  /** The time of the last write. */
  get last(): bigint {
    return this.#now
  }

  /** What the clock on the wall says. */
  wall(): Date {
    return new Date(this.#wall())
  }

  next(): bigint {
    const second = timestampOf(Math.floor(this.#wall() / 1000), 1)
    this.#now = second > this.#now ? second : this.#now + 1n
    return this.#now
  }

  /** Takes a time that another member gave, as replay of an oplog does. */
  advance(time: bigint): void {
    if (time > this.#now) this.#now = time
  }
}
