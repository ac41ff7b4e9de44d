import { z } from 'zod'
import { nearest } from '../lib/nearest.ts'

/** What repositories and sources may be called. */
export const configuredName: z.ZodType<string, string> = z
  .string()
  .regex(
    /^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/,
    'is no name: letters, digits, "-", "_" and "." make one, and no dot begins it',
  )

/** `; did you mean "main"?` when one of `candidates` is close to `word`, else nothing. */
export function suggestion(word: string, candidates: Iterable<string>): string {
  const close = nearest(word, candidates)
  return close === undefined ? '' : `; did you mean ${JSON.stringify(close)}?`
}
