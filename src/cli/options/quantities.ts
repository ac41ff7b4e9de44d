import { type CalendarDuration, parseCalendarDuration, parseGoDuration } from '../../lib/durations.ts'
import { parsePercent, parseSize } from '../../lib/sizes.ts'
import type { ValueKind } from './option.ts'

/** Bytes; the suffixes K, M, G and T are powers of 1024. */
export const sizeKind = (placeholder: string): ValueKind<number> => ({
  placeholder,
  expects: 'a size like 500K, 16M or 2G',
  parse: parseSize,
})

/** A size above zero. */
export const smallerThanKind: ValueKind<number> = { ...sizeKind('below-limit'), parse: parsePositiveSize }

/** How much unused data stays: an amount, a share of the repository, or any. */
export type UnusedLimit =
  | { readonly kind: 'bytes'; readonly bytes: number }
  | { readonly kind: 'percent'; readonly percent: number }
  | { readonly kind: 'unlimited' }

export const maxUnusedKind: ValueKind<UnusedLimit> = {
  placeholder: 'limit',
  expects: 'a size like 500M, a percentage below 100 like 5%, or "unlimited"',
  completes: ['unlimited'],
  parse(given) {
    const text = given.trim()
    if (text === 'unlimited') return { kind: 'unlimited' }
    if (!text.endsWith('%')) return { kind: 'bytes', bytes: parseSize(text) }
    const percent = parsePercent(text)
    if (percent >= 100) throw new Error('is not below 100 %')
    return { kind: 'percent', percent }
  },
}

/** Which packs `check` reads: part n of t, a random share, or a random amount. */
export type ReadSubset =
  | { readonly kind: 'part'; readonly part: number; readonly parts: number }
  | { readonly kind: 'percent'; readonly percent: number }
  | { readonly kind: 'bytes'; readonly bytes: number }

export const readSubsetKind: ValueKind<ReadSubset> = {
  placeholder: 'subset',
  expects: 'n/t with n from 1 to t and t at most 256, a percentage like 5%, or a size like 10G',
  parse(text) {
    const fraction = /^(\d+)\/(\d+)$/.exec(text)
    if (fraction !== null) {
      const part = Number(fraction[1])
      const parts = Number(fraction[2])
      if (part < 1 || part > parts || parts > 256) throw new Error('is not a part of a whole')
      return { kind: 'part', part, parts }
    }
    if (!text.endsWith('%')) return { kind: 'bytes', bytes: parsePositiveSize(text) }
    const percent = parsePercent(text)
    if (percent === 0 || percent > 100) throw new Error('is not above 0 % and at most 100 %')
    return { kind: 'percent', percent }
  },
}

/** Go's durations (`5m30s`, `1.5h`), in milliseconds. */
export const durationKind: ValueKind<number> = {
  placeholder: 'duration',
  expects: 'a duration like 90s, 5m or 2h30m',
  parse(text) {
    const milliseconds = Number(parseGoDuration(text)) / 1e6
    if (milliseconds < 0) throw new Error('is negative')
    return milliseconds
  },
}

/** Years, months, days and hours by the calendar. */
export const keepWithinKind: ValueKind<CalendarDuration> = {
  placeholder: 'duration',
  expects: 'years, months, days and hours like 1y5m7d2h',
  parse: parseCalendarDuration,
}

function parsePositiveSize(text: string): number {
  const bytes = parseSize(text)
  if (bytes === 0) throw new Error('is not above zero')
  return bytes
}
