import type { ByteString } from '../../repository/tree/node.ts'
import { type AnchorPlace, anchorPatterns, isAnchored, placesAt } from './anchored-patterns.ts'
import { lowerCase } from './byte-string.ts'
import type { ComponentPattern } from './component-pattern.ts'
import { type Pattern, type PatternSource, parsePatterns } from './pattern.ts'

/** What a list of patterns says about one path. */
export interface PatternMatch {
  readonly matched: boolean
  /** Whether a path below this one may match. */
  readonly childMayMatch: boolean
}

/**
 * An ordered list of patterns. Paths are components joined by `/`; a leading `/` makes them absolute.
 * The answer depends on the path alone, but asking along a walk of a tree is quick: what is known of its directories is kept.
 */
export interface PatternList {
  /** How many patterns there are. */
  readonly size: number
  /** Whether the last pattern that fits the path or a directory above it is one without `!`. */
  matches(path: ByteString): boolean
  inspect(path: ByteString): PatternMatch
}

/**
 * Compiles a list of patterns.
 *
 * @throws HF_PATTERN_INVALID (see parsePatterns).
 */
export function createPatternList(
  sources: readonly PatternSource[],
  options: { ignoreCase?: boolean } = {},
): PatternList {
  const ignoreCase = options.ignoreCase ?? false
  const patterns = parsePatterns(sources, ignoreCase)
  const rules = sortRules(patterns)
  const hasNegation = patterns.some((pattern) => pattern.negated)

  // The path asked for last, one level per component: its directories serve the next question.
  const levels: Level[] = [rules.rooted.root]
  const names: string[] = []
  let depth = 0
  let rooted = true
  let scope = rules.rooted

  /** Makes the level of `path` the top one. */
  const enter = (path: string): Level => {
    const isRooted = path.charCodeAt(0) === SLASH
    if (isRooted !== rooted) {
      rooted = isRooted
      scope = rooted ? rules.rooted : rules.unrooted
      levels[0] = scope.root
      depth = 0
    }
    while (depth > 0 && !isAtOrAbove(levels[depth]!.path, path)) depth--
    if (depth > 0 && levels[depth]!.path.length === path.length) return levels[depth]!
    let at = depth > 0 ? levels[depth]!.path.length + 1 : rooted ? 1 : 0
    for (;;) {
      const slash = path.indexOf('/', at)
      const name = slash < 0 ? path.slice(at) : path.slice(at, slash)
      names.length = depth
      names.push(ignoreCase ? lowerCase(name) : name)
      levels[depth + 1] = levelBelow(levels[depth]!, slash < 0 ? path : path.slice(0, slash))
      depth++
      if (slash < 0) return levels[depth]!
      at = slash + 1
    }
  }

  /** The level of the last of `names`. */
  const levelBelow = (parent: Level, path: string): Level => {
    // Without `!` the first rule says it all, for everything below too.
    if (parent.rule >= 0 && !hasNegation) return { ...parent, path }
    const name = names.at(-1)!
    let { rule, opened } = parent
    let places = NO_PLACES
    if (parent.places.length > 0) {
      const found: AnchorPlace[] = []
      placesAt(parent.places, name, (place) => {
        rule = Math.max(rule, place.fulfilled)
        opened = Math.max(opened, place.opened)
        found.push(place)
      })
      places = found
    }
    return { path, rule: crowdedRule(floatingRule(name, rule)), opened, places }
  }

  /** The latest rule after `rule` that names ending in the last one fulfil, else `rule`. */
  const floatingRule = (name: string, rule: number): number => {
    let best = rule
    const literal = rules.byLiteral.get(name)
    if (literal !== undefined)
      for (const candidate of literal) {
        if (candidate <= best) break
        if (fits(patterns[candidate]!, names, rooted)) best = candidate
      }
    if (best >= 0 && !hasNegation) return best
    for (const { rule: candidate, last } of rules.byWildcard) {
      if (candidate <= best) break
      if (last.test(name) && fits(patterns[candidate]!, names, rooted)) best = candidate
    }
    return best
  }

  /** The same for the rules that need a look at the whole path. */
  const crowdedRule = (rule: number): number =>
    scope.crowded.find((candidate) => candidate > rule && fitsCrowded(patterns[candidate]!, names, rooted)) ?? rule

  const isMatch = ({ rule }: Level): boolean => rule >= 0 && !patterns[rule]!.negated

  const mayMatchBelow = ({ rule, opened, places }: Level): boolean =>
    opened > rule || scope.latestFloating > rule || places.some((place) => place.latest > rule)

  return {
    size: patterns.length,
    matches: (path) => path !== '' && isMatch(enter(path)),
    inspect: (path) => {
      if (path === '') return NO_MATCH
      const level = enter(path)
      return isMatch(level) ? MATCH : mayMatchBelow(level) ? MATCH_BELOW : NO_MATCH
    },
  }
}

const SLASH = 0x2f
const NO_PLACES: readonly AnchorPlace[] = []
// Everything below a match matches too, unless a rule takes it back, so children always may.
const MATCH: PatternMatch = { matched: true, childMayMatch: true }
const MATCH_BELOW: PatternMatch = { matched: false, childMayMatch: true }
const NO_MATCH: PatternMatch = { matched: false, childMayMatch: false }

/** What is known of one path. A rule is the index of a pattern in the list; -1 is none. */
interface Level {
  readonly path: string
  /** The latest rule that fits the path or a directory above it. */
  readonly rule: number
  /** The latest rule without `!` bound to the root whose beginning fits, so that anything below may match it. */
  readonly opened: number
  readonly places: readonly AnchorPlace[]
}

/** The patterns sorted by what has to be looked at for a name; lists of rules have the latest first. */
interface Rules {
  /** Rules whose last component may stand anywhere, by that component when it is literal ... */
  readonly byLiteral: ReadonlyMap<string, readonly number[]>
  /** ... and the others. */
  readonly byWildcard: readonly { readonly rule: number; readonly last: ComponentPattern }[]
  /** For absolute paths, and for relative ones, which absolute patterns do not concern. */
  readonly rooted: Scope
  readonly unrooted: Scope
}

interface Scope {
  readonly root: Level
  /** The latest rule without `!` that is not bound to the root. */
  readonly latestFloating: number
  readonly crowded: readonly number[]
}

function sortRules(patterns: readonly Pattern[]): Rules {
  const byLiteral = new Map<string, number[]>()
  const byWildcard: { rule: number; last: ComponentPattern }[] = []
  for (let rule = patterns.length - 1; rule >= 0; rule--) {
    const pattern = patterns[rule]!
    const last = pattern.segments.at(-1)?.components.at(-1)
    if (last === undefined || isCrowded(pattern, true) || (pattern.segments.length === 1 && isAnchored(pattern)))
      continue
    if (last.literal === undefined) byWildcard.push({ rule, last })
    else {
      const sameEnd = byLiteral.get(last.literal)
      if (sameEnd === undefined) byLiteral.set(last.literal, [rule])
      else sameEnd.push(rule)
    }
  }
  return { byLiteral, byWildcard, rooted: scopeOf(patterns, true), unrooted: scopeOf(patterns, false) }
}

function scopeOf(patterns: readonly Pattern[], rooted: boolean): Scope {
  const latest = (condition: (pattern: Pattern) => boolean): number =>
    patterns.findLastIndex((pattern) => (rooted || !pattern.absolute) && condition(pattern))
  const everything = latest((pattern) => pattern.segments.length === 0 && !isCrowded(pattern, rooted))
  const places = rooted ? [anchorPatterns(patterns)] : NO_PLACES
  return {
    root: { path: '', rule: everything, opened: -1, places },
    latestFloating: latest((pattern) => !pattern.negated && !isAnchored(pattern)),
    crowded: patterns
      .flatMap((pattern, rule) => ((rooted || !pattern.absolute) && isCrowded(pattern, rooted) ? [rule] : []))
      .reverse(),
  }
}

const isAtOrAbove = (directory: string, path: string): boolean =>
  path.startsWith(directory) && (path.length === directory.length || path.charCodeAt(directory.length) === SLASH)

/** Whether the segments of a pattern fit the names such that the last segment ends at the last name. */
function fits(pattern: Pattern, names: readonly string[], rooted: boolean): boolean {
  const { absolute, segments } = pattern
  if (!rooted && (absolute || isCrowded(pattern, rooted))) return false
  let end = names.length
  for (let s = segments.length - 1; s >= (absolute ? 1 : 0); s--) {
    const { components } = segments[s]!
    let start = end - components.length
    // The last segment has no choice; the rightmost place of each other one leaves the most room for those before it.
    const lowest = s === segments.length - 1 ? start : 0
    while (start >= lowest && start >= 0 && !fitsAt(components, names, start)) start--
    if (start < lowest || start < 0) return false
    end = start
  }
  return !absolute || (segments[0]!.components.length <= end && fitsAt(segments[0]!.components, names, 0))
}

// Whether a pattern has so many `**` that restic lets them stand for fewer components than there is room for. It replaces one `**` after the
// other and lets the j-th and those before it take at most as many as keep one component free for each `**` still to come, although these
// can stand for nothing: `/home/**/cache/**` leaves the directory `/home/me/cache` in the backup and takes out all that is in it.
// The root counts as a component, so that relative patterns only feel it from the third `**` on.
const isCrowded = ({ absolute, starCount }: Pattern, rooted: boolean): boolean =>
  starCount > (rooted && !absolute ? 2 : 1)

/** Whether a crowded pattern fits the names or the beginning of them. */
function fitsCrowded({ absolute, segments, starCount }: Pattern, names: readonly string[], rooted: boolean): boolean {
  const fixed = segments.reduce((sum, { components }) => sum + components.length, 0)
  const spare = names.length + (rooted ? 1 : 0) - fixed - (absolute ? 1 : 0) - starCount
  if (spare + 1 < 0) return false
  const lastStart = absolute ? 0 : names.length - fixed
  for (let start = 0; start <= lastStart; start++) {
    // The leftmost place of each segment leaves the most room for those behind it and keeps what the `**` take smallest.
    let end = start
    let taken = 0
    const fitting = segments.every(({ components, starsBefore }, s) => {
      let at = end
      const highest = s === 0 ? at : names.length - components.length
      while (at <= highest && !fitsAt(components, names, at)) at++
      if (at > highest) return false
      taken += at - end
      end = at + components.length
      return starsBefore === 0 || taken <= spare + starsBefore
    })
    if (fitting) return true
  }
  return false
}

/** Whether the components fit the names from `start` on. */
function fitsAt(components: readonly ComponentPattern[], names: readonly string[], start: number): boolean {
  if (start + components.length > names.length) return false
  for (let i = components.length - 1; i >= 0; i--) if (!components[i]!.test(names[start + i]!)) return false
  return true
}
