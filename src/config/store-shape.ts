import { z } from 'zod'
import { parseCalendarDuration } from '../lib/durations.ts'
import { parseSize } from '../lib/sizes.ts'

/** What a repository says about its store besides where it is. */
export interface StoreShape {
  readonly region?: string | undefined
  readonly storageClass?: string | undefined
  readonly lock?: { readonly mode: 'governance' | 'compliance'; readonly forMs: number } | undefined
  readonly limit?:
    | { readonly up?: readonly RateWindow[] | undefined; readonly down?: readonly RateWindow[] | undefined }
    | undefined
}

/** A rate during a part of each day; always, when it does not say. */
export interface RateWindow {
  readonly bytesPerSecond: number
  /** Minutes since midnight. */
  readonly during?: { readonly fromMinute: number; readonly toMinute: number } | undefined
}

/** What a repository says about where it is, in the world. */
export interface PlaceShape {
  readonly location?: string | undefined
  readonly offsite?: boolean | undefined
}

const HOUR_MS = 60 * 60 * 1000

/** Days and hours only: months differ, and a lock cannot be taken back. */
const lockTime: z.ZodType<number> = z.string().transform((text, context) => {
  const milliseconds = millisecondsOf(text)
  if (milliseconds > 0) return milliseconds
  context.addIssue({ code: 'custom', message: 'must be a time in days or hours, like 35d or 12h', input: text })
  return z.NEVER
})

function millisecondsOf(text: string): number {
  try {
    const { years, months, days, hours } = parseCalendarDuration(text)
    return years + months > 0 ? 0 : (days * 24 + hours) * HOUR_MS
  } catch {
    return 0
  }
}

/** `20M 08:00-18:00`: a size for each second, and when. */
function parseRateWindow(text: string): RateWindow | undefined {
  const match = /^(\S+)(?:\s+(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d))?$/.exec(text.trim())
  if (match === null) return undefined
  const [, size = '', ...time] = match
  const bytesPerSecond = sizeOf(size)
  if (!(bytesPerSecond > 0)) return undefined
  if (time[0] === undefined) return { bytesPerSecond }
  const [fromHour = 0, from = 0, toHour = 0, to = 0] = time.map(Number)
  const fromMinute = fromHour * 60 + from
  const toMinute = toHour * 60 + to
  const isTime = from < 60 && to < 60 && fromMinute < DAY_MINUTES && toMinute <= DAY_MINUTES && fromMinute !== toMinute
  return isTime ? { bytesPerSecond, during: { fromMinute, toMinute } } : undefined
}

function sizeOf(text: string): number {
  try {
    return parseSize(text)
  } catch {
    return 0
  }
}

const DAY_MINUTES = 24 * 60

const rateWindow: z.ZodType<RateWindow> = z.string().transform((text, context) => {
  const window = parseRateWindow(text)
  if (window !== undefined) return window
  const message = 'must be a rate for each second and, if it is not for the whole day, when: 20M or 20M 08:00-18:00'
  context.addIssue({ code: 'custom', message, input: text })
  return z.NEVER
})

const rates = z
  .union([rateWindow, z.array(rateWindow).min(1)], 'must be a rate like 20M 08:00-18:00, or a list of such')
  .transform((one): readonly RateWindow[] => (Array.isArray(one) ? one : [one]))
  .optional()

/** Keys of a repository for its store; which of them a store understands is known when it is opened. */
export const storeKeys: { readonly [Key in keyof StoreShape]-?: z.ZodType<StoreShape[Key]> } = {
  region: z.string().min(1).optional().describe('Region of the store.'),
  storageClass: z
    .string()
    .min(1)
    .optional()
    .describe('Class or tier that packs are written to, as the store names it.'),
  lock: z
    .strictObject({
      mode: z.enum(['governance', 'compliance']),
      for: lockTime.describe('How long nobody may delete or change what is written, as 35d.'),
    })
    .transform(({ mode, for: forMs }) => ({ mode, forMs }))
    .optional()
    .describe('Files that nobody may delete or change, where the store can keep them so.'),
  limit: z
    .strictObject({
      up: rates.describe('How fast is written, as 20M, or 20M 08:00-18:00; of several, the first in force counts.'),
      down: rates.describe('How fast is read.'),
    })
    .optional()
    .describe('Bytes for each second, by the time of day of this machine.'),
}

/** A region of stores, or several by what their names begin with. */
export const location: z.ZodString = z
  .string()
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'must be a region or the beginning of one, like eu or eu-central-1')

/** Keys of a repository for who wants to know whether all copies would burn together, or lie where they may not. */
export const placeKeys: { readonly [Key in keyof PlaceShape]-?: z.ZodType<PlaceShape[Key]> } = {
  location: location
    .optional()
    .describe('Where the data lies, as eu or eu-central-1: refused when the store says otherwise.'),
  offsite: z.boolean().optional().describe('It is not in the same building as what is backed up.'),
}
