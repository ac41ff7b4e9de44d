import { HoldfastError } from '../../../lib/errors.ts'
import { type ByteString, byteStringToText, textToByteString } from '../../repository/tree/node.ts'
import { countRunes, lowerCase } from './byte-string.ts'
import { cleanComponents } from './clean-path.ts'
import { type ComponentPattern, compileComponent, isProblem } from './component-pattern.ts'

/** A pattern as somebody wrote it. */
export interface PatternSource {
  readonly text: ByteString
  readonly origin?: PatternOrigin | undefined
}

/** Where in a file a pattern stands. Line and column count from 1, the column in characters. */
export interface PatternOrigin {
  readonly file: string
  readonly line: number
  /** undefined when variables were expanded, so that the pattern is not what the file says. */
  readonly column: number | undefined
}

/** A compiled pattern. */
export interface Pattern {
  readonly source: PatternSource
  /** Written with a leading `!`: takes back what earlier patterns of the list matched. */
  readonly negated: boolean
  /** Written with a leading `/`: matches from the root only. */
  readonly absolute: boolean
  /**
   * The path components between the `**`. An absolute pattern starts with what stands before its first `**`, possibly nothing; the other
   * segments may lie anywhere, in this order. No segments at all (`**`, `/`) fit every path.
   */
  readonly segments: readonly Segment[]
  /** How many `**` there are; restic's `/` counts as `/**`. */
  readonly starCount: number
}

/** Components that follow one another. */
export interface Segment {
  readonly components: readonly ComponentPattern[]
  /** How many `**` stand before it in the pattern. */
  readonly starsBefore: number
}

/** Patterns of a command line, in ordinary text. */
export const patternSources = (texts: readonly string[]): PatternSource[] =>
  texts.map((text) => ({ text: textToByteString(text) }))

/**
 * Compiles patterns in restic's language (its internal/filter): components as in `compileComponent`, `**` for any number of components,
 * leading `!`, leading `/`; `.`, `..` and doubled or trailing slashes are resolved as Go's filepath.Clean does. Empty patterns are left out.
 *
 * @param ignoreCase match paths in lower case (see `lowerCase`).
 * @throws HF_PATTERN_INVALID naming each pattern that cannot be understood, with its place.
 */
export function parsePatterns(sources: readonly PatternSource[], ignoreCase = false): Pattern[] {
  const patterns: Pattern[] = []
  const problems: InvalidPattern[] = []
  for (const source of sources) {
    if (source.text === '') continue
    const parsed = parsePattern(source, ignoreCase)
    if ('reason' in parsed) problems.push(parsed)
    else patterns.push(parsed)
  }
  if (problems.length > 0) throw invalidPatterns(problems)
  return patterns
}

/** @throws HF_PATTERN_INVALID, as parsePatterns does, when `pattern` (ordinary text) cannot be understood. */
export function checkPattern(pattern: string): void {
  parsePatterns(patternSources([pattern]))
}

/**
 * Compiles one component of a pattern, which begins at byte `offset` of it.
 *
 * @throws HF_PATTERN_INVALID
 */
export function parseComponent(source: PatternSource, text: string, offset: number): ComponentPattern {
  const compiled = compileComponent(text)
  if (!isProblem(compiled)) return compiled
  throw invalidPatterns([{ source, offset: offset + compiled.offset, reason: compiled.reason }])
}

interface InvalidPattern {
  readonly source: PatternSource
  readonly offset: number
  readonly reason: string
}

function parsePattern(source: PatternSource, ignoreCase: boolean): Pattern | InvalidPattern {
  const { text } = source
  const negated = text.startsWith('!')
  const start = negated ? 1 : 0
  const absolute = text.startsWith('/', start)
  const segments: { components: ComponentPattern[]; starsBefore: number }[] = [{ components: [], starsBefore: 0 }]
  let starCount = 0
  for (const component of cleanComponents(text, start)) {
    if (component.text === '**') {
      segments.push({ components: [], starsBefore: ++starCount })
      continue
    }
    const compiled = compileComponent(component.text)
    if (isProblem(compiled)) return { source, offset: component.offset + compiled.offset, reason: compiled.reason }
    const folded = ignoreCase ? compileComponent(lowerCase(component.text)) : compiled
    if (isProblem(folded)) return { source, offset: component.offset, reason: folded.reason }
    segments.at(-1)!.components.push(folded)
  }
  const filled = segments.filter(({ components }) => components.length > 0)
  const isAnywhere = absolute && filled.length > 0 && filled[0]!.starsBefore > 0
  return {
    source,
    negated,
    absolute,
    segments: isAnywhere ? [segments[0]!, ...filled] : filled,
    starCount: filled.length === 0 ? Math.max(starCount, 1) : starCount,
  }
}

function invalidPatterns(problems: readonly InvalidPattern[]): HoldfastError {
  const lines = problems.map((problem) => {
    const { source, reason } = problem
    return `${JSON.stringify(byteStringToText(source.text))}${placeOf(problem)}: ${reason}, at character ${positionOf(problem)}`
  })
  const [first] = problems as [InvalidPattern]
  const message =
    lines.length === 1 ? `invalid pattern ${lines[0]}` : `${lines.length} invalid patterns:\n  ${lines.join('\n  ')}`
  return new HoldfastError('HF_PATTERN_INVALID', message, {
    context: {
      pattern: byteStringToText(first.source.text),
      position: positionOf(first),
      file: first.source.origin?.file,
      line: first.source.origin?.line,
    },
    hint: 'write \\ before a [, ], *, ?, - or \\ that is meant literally',
  })
}

/** Counted in characters, from 1. */
const positionOf = ({ source, offset }: InvalidPattern): number => countRunes(source.text.slice(0, offset)) + 1

function placeOf(problem: InvalidPattern): string {
  const origin = problem.source.origin
  if (origin === undefined) return ''
  const column = origin.column === undefined ? '' : `:${origin.column + positionOf(problem) - 1}`
  return ` (${origin.file}:${origin.line}${column})`
}
