import { z } from 'zod'
import { parseCalendarDuration } from '../lib/durations.ts'

/** What a repository says about its store besides where it is. */
export interface StoreShape {
  readonly region?: string | undefined
  readonly storageClass?: string | undefined
  readonly lock?: { readonly mode: 'governance' | 'compliance'; readonly forMs: number } | undefined
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
}

/** Keys of a repository for who wants to know whether all copies would burn together, or lie where they may not. */
export const placeKeys: { readonly [Key in keyof PlaceShape]-?: z.ZodType<PlaceShape[Key]> } = {
  location: z
    .string()
    .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'must be a region or the beginning of one, like eu or eu-central-1')
    .optional()
    .describe('Where the data lies, as eu or eu-central-1: refused when the store says otherwise.'),
  offsite: z.boolean().optional().describe('It is not in the same building as what is backed up.'),
}
