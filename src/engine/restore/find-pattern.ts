import { HoldfastError } from '../../lib/errors.ts'
import { compareTimes, type Timestamp } from '../../lib/go-time.ts'
import { patternSources } from '../archive/filter/pattern.ts'
import { createPatternList } from '../archive/filter/pattern-list.ts'
import type { ByteString } from '../repository/tree/node.ts'

/** What `find` looks for. */
export interface FindOptions {
  /** Any of these; see createPatternList. */
  readonly patterns: readonly string[]
  readonly ignoreCase?: boolean
  /** Bounds of the time of modification, both included. */
  readonly oldest?: Timestamp | undefined
  readonly newest?: Timestamp | undefined
}

export interface FindMatch {
  readonly found: boolean
  /** For a directory: whether anything below it may be found. For anything else: false. */
  readonly descend: boolean
}

/** Looks at an entry of a snapshot; its path has a leading `/`. */
export type FindPattern = (path: ByteString, isDirectory: boolean, mtime: Timestamp) => FindMatch

/**
 * Makes the test of a search, with the rules of restic 0.19. Unlike in excludes a leading `!` says nothing, and an empty pattern fits everything.
 *
 * @throws HF_PATTERN_INVALID for a pattern; HF_USAGE when `oldest` comes after `newest`.
 */
export function createFindPattern(options: FindOptions): FindPattern {
  const { patterns, ignoreCase = false, oldest, newest } = options
  if (oldest !== undefined && newest !== undefined && compareTimes(oldest, newest) > 0)
    throw new HoldfastError('HF_USAGE', '--oldest must specify a time before --newest')
  const list = createPatternList(patternSources(patterns.map(withoutNegation)), { ignoreCase })
  const fitsAll = patterns.includes('')
  return (path, isDirectory, mtime) => {
    const { matched, childMayMatch } = fitsAll ? EVERYTHING : list.inspect(path)
    const inTime =
      (oldest === undefined || compareTimes(mtime, oldest) >= 0) &&
      (newest === undefined || compareTimes(mtime, newest) <= 0)
    return { found: matched && inTime, descend: isDirectory && childMayMatch }
  }
}

const EVERYTHING = { matched: true, childMayMatch: true }

/** The pattern without its `!`; one that stands behind it is meant literally. */
const withoutNegation = (pattern: string): string =>
  pattern.startsWith('!') ? pattern.slice(1).replace(/^!/, '\\!') : pattern
