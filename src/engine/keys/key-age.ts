import type { Timestamp } from '../../lib/go-time.ts'

const SECONDS_PER_DAY = 86_400

/** Whole days since `created`. */
export const ageInDays = (created: Timestamp, nowNanoseconds: bigint): number =>
  Math.floor((Number(nowNanoseconds / 1_000_000_000n) - created.seconds) / SECONDS_PER_DAY)
