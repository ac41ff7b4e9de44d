import { HoldfastError } from '../../lib/errors.ts'

/** Part of a file that could not be restored. */
export interface MissingRange {
  readonly offset: number
  readonly length: number
  readonly error: Error
}

/** More ranges than this are counted, not listed. */
const MAX_LISTED = 8

/** The error of a file that lacks parts of its content: which bytes, and why. */
export function missingContent(ranges: readonly MissingRange[], sizeBytes: number): HoldfastError {
  const joined: { start: number; end: number }[] = []
  for (const { offset, length } of ranges.toSorted((a, b) => a.offset - b.offset)) {
    const last = joined.at(-1)
    if (last !== undefined && offset <= last.end) last.end = Math.max(last.end, offset + length)
    else joined.push({ start: offset, end: offset + length })
  }
  const listed = joined.slice(0, MAX_LISTED).map(({ start, end }) => `${start}-${end - 1}`)
  const others = joined.length > MAX_LISTED ? ` and ${joined.length - MAX_LISTED} more ranges` : ''
  const bytes = joined.reduce((sum, { start, end }) => sum + end - start, 0)
  const [first] = ranges
  return new HoldfastError(
    'HF_RESTORE_FAILED',
    `incomplete: ${bytes} of its ${sizeBytes} bytes are missing (${listed.join(', ')}${others}): ${first!.error.message}`,
    {
      cause: first!.error,
      context: { missingBytes: bytes, sizeBytes, ranges: joined.length },
      hint: 'the missing bytes are not written and the file keeps the time of this restore; try another snapshot for it',
    },
  )
}
