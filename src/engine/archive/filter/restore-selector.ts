import { HoldfastError } from '../../../lib/errors.ts'
import type { ByteString } from '../../repository/tree/node.ts'
import type { PatternSource } from './pattern.ts'
import { createPatternList } from './pattern-list.ts'

/** The filter options of a restore or a rewrite; the `i` ones whatever the letter case. */
export interface RestoreSelectorOptions {
  readonly include?: readonly PatternSource[]
  readonly iinclude?: readonly PatternSource[]
  readonly exclude?: readonly PatternSource[]
  readonly iexclude?: readonly PatternSource[]
}

/** What becomes of one path of a snapshot. */
export interface RestoreSelection {
  readonly selected: boolean
  /** For a directory: whether anything below it may be selected. For anything else: false. */
  readonly descend: boolean
}

/** Decides about a path of a snapshot, with a leading `/`. `selected` does not depend on `isDirectory`. */
export type RestoreSelector = (path: ByteString, isDirectory: boolean) => RestoreSelection

/**
 * Makes the selector of a restore, with the rules of restic 0.19: without patterns everything; with excludes everything but what they match
 * and what lies below it; with includes only what they match, found below directories that need not match themselves.
 *
 * @throws HF_USAGE when both includes and excludes are given; HF_PATTERN_INVALID for a pattern.
 */
export function createRestoreSelector(options: RestoreSelectorOptions): RestoreSelector {
  const { include = [], iinclude = [], exclude = [], iexclude = [] } = options
  const hasIncludes = include.length + iinclude.length > 0
  const hasExcludes = exclude.length + iexclude.length > 0
  if (hasIncludes && hasExcludes)
    throw new HoldfastError('HF_USAGE', 'exclude and include patterns are mutually exclusive', {
      hint: 'use only one kind; an include pattern with a leading ! takes back what earlier ones include',
    })
  if (!hasIncludes && !hasExcludes) return (_path, isDirectory) => (isDirectory ? WHOLE : SELECTED)
  const lists = [
    createPatternList(hasIncludes ? iinclude : iexclude, { ignoreCase: true }),
    createPatternList(hasIncludes ? include : exclude),
  ].filter((list) => list.size > 0)
  if (hasExcludes)
    return (path, isDirectory) => {
      if (lists.some((list) => list.matches(path))) return NOTHING
      return isDirectory ? WHOLE : SELECTED
    }
  return (path, isDirectory) => {
    let selected = false
    let descend = false
    for (const list of lists) {
      const { matched, childMayMatch } = list.inspect(path)
      selected ||= matched
      descend ||= childMayMatch && isDirectory
    }
    return selected ? (descend ? WHOLE : SELECTED) : descend ? BELOW : NOTHING
  }
}

const WHOLE: RestoreSelection = { selected: true, descend: true }
const SELECTED: RestoreSelection = { selected: true, descend: false }
const BELOW: RestoreSelection = { selected: false, descend: true }
const NOTHING: RestoreSelection = { selected: false, descend: false }
