import { HoldfastError } from './errors.ts'

const units = new Map([
  ['', 1],
  ['b', 1],
  ['k', 2 ** 10],
  ['m', 2 ** 20],
  ['g', 2 ** 30],
  ['t', 2 ** 40],
])

/**
 * Bytes of a size like `512`, `64K`, `16M`, `1.5G`, `2t`: powers of 1024, rounded down to whole bytes.
 * restic takes whole numbers only; the fraction is ours.
 * @throws HoldfastError HF_PATTERN_INVALID, also beyond 2^53 bytes
 */
export function parseSize(text: string): number {
  const match = /^\+?(\d+(?:\.\d+)?|\.\d+)([bkmgt]?)$/i.exec(text)
  const bytes = match === null ? Number.NaN : Math.floor(Number(match[1]) * units.get(match[2]!.toLowerCase())!)
  if (!Number.isSafeInteger(bytes))
    throw new HoldfastError('HF_PATTERN_INVALID', `${JSON.stringify(text)} is no size`, {
      hint: 'Write a number with one of the suffixes K, M, G or T, like 16M.',
    })
  return bytes
}

/**
 * The number before the sign of `5%` or `2.5%`, not negative.
 * @throws HoldfastError HF_PATTERN_INVALID
 */
export function parsePercent(text: string): number {
  const match = /^(\d+(?:\.\d*)?|\.\d+)%$/.exec(text)
  if (match === null)
    throw new HoldfastError('HF_PATTERN_INVALID', `${JSON.stringify(text)} is no percentage`, {
      hint: 'Write a number and a percent sign, like 5%.',
    })
  return Number(match[1])
}

/** A size for people as restic prints it: `0 B`, `1023 B`, `1.500 KiB`, `2.000 TiB`. */
export function formatSize(bytes: number | bigint): string {
  const size = Number(bytes)
  if (size >= 2 ** 40) return `${fixed(size / 2 ** 40, 3)} TiB`
  if (size >= 2 ** 30) return `${fixed(size / 2 ** 30, 3)} GiB`
  if (size >= 2 ** 20) return `${fixed(size / 2 ** 20, 3)} MiB`
  if (size >= 2 ** 10) return `${fixed(size / 2 ** 10, 3)} KiB`
  return `${bytes} B`
}

/** A share as restic prints it: `12.50%`, at most `100.00%`; empty when there is no whole. */
export function formatPercent(part: number | bigint, whole: number | bigint): string {
  if (Number(whole) === 0) return ''
  return `${fixed(Math.min((100 * Number(part)) / Number(whole), 100), 2)}%`
}

/** Rounds halves to the even digit as Go does, where `toFixed` takes the larger. 100 digits show every double this meets in full. */
function fixed(value: number, digits: number): string {
  const rounded = value.toFixed(digits)
  const tail = value.toFixed(100).split('.')[1]!.slice(digits)
  if (!/^50*$/.test(tail)) return rounded
  const lower = value.toFixed(100).slice(0, digits - 100)
  return Number(lower.at(-1)) % 2 === 0 ? lower : rounded
}
