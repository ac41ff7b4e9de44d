/** A position in the log as a number, for comparing and reckoning: `0/3000138`. */
export function positionOf(lsn: string): bigint {
  const [high, low] = lsn.split('/')
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}

/** A position as the server writes it. */
export const positionText = (position: bigint): string =>
  `${(position >> 32n).toString(16).toUpperCase()}/${(position & 0xffff_ffffn).toString(16).toUpperCase()}`

/** A file of the log. */
export interface Segment {
  /** `000000010000000000000002`. */
  readonly name: string
  /** Where it begins. */
  readonly start: bigint
}

/** The segments that hold the log from `start` up to `end`, which is not included. */
export function* segmentsBetween(
  timeline: number,
  start: bigint,
  end: bigint,
  segmentBytes: number,
): Generator<Segment> {
  const size = BigInt(segmentBytes)
  for (let at = start - (start % size); at < end; at += size)
    yield { name: segmentName(timeline, at, segmentBytes), start: at }
}

/** Name of the segment that holds a position; PostgreSQL documentation, "WAL Internals". */
export function segmentName(timeline: number, position: bigint, segmentBytes: number): string {
  const number = position / BigInt(segmentBytes)
  const perFile = 0x1_0000_0000n / BigInt(segmentBytes)
  return [BigInt(timeline), number / perFile, number % perFile]
    .map((part) => part.toString(16).toUpperCase().padStart(8, '0'))
    .join('')
}
