import { HoldfastError } from '../../lib/errors.ts'
import type { ExcludeOptions, IncludeOptions } from '../options/patterns.ts'

/** An error about the command line. */
export const usageError = (message: string, hint?: string): HoldfastError =>
  new HoldfastError('HF_USAGE', message, hint === undefined ? {} : { hint })

/** Refuses options that contradict each other; `given` maps their spellings to whether they were given. */
export function atMostOneOf(given: Readonly<Record<string, boolean>>): void {
  const names = Object.keys(given).filter((name) => given[name])
  if (names.length > 1)
    throw usageError(`${names.slice(0, -1).join(', ')} and ${names.at(-1)} cannot be given together`)
}

/** Whether patterns to leave out and patterns to take are among the options. */
export function hasPatterns(options: ExcludeOptions & IncludeOptions): {
  readonly excludes: boolean
  readonly includes: boolean
} {
  const any = (...lists: (readonly string[])[]): boolean => lists.some((list) => list.length > 0)
  return {
    excludes: any(options.excludes, options.insensitiveExcludes, options.excludeFiles, options.insensitiveExcludeFiles),
    includes: any(options.includes, options.insensitiveIncludes, options.includeFiles, options.insensitiveIncludeFiles),
  }
}
