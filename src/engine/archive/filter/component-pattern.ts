import type { ByteString } from '../../repository/tree/node.ts'
import { INVALID_RUNE, runeAt, runeLengthAt } from './byte-string.ts'

/** What one path component must look like. */
export interface ComponentPattern {
  /** The only name that matches, when there is just one. */
  readonly literal: ByteString | undefined
  /** Whether a component (without `/`) matches. */
  test(name: ByteString): boolean
}

/** A place in a pattern that cannot be understood. */
export interface PatternProblem {
  /** Index of the byte at fault. */
  readonly offset: number
  readonly reason: string
}

/**
 * Compiles the part of a pattern between two slashes: `*`, `?`, `[a-z]`, `[^a-z]`, `\` before a character taken literally.
 *
 * The language and its oddities are those of Go's filepath.Match, which restic uses: `?` and classes take one UTF-8 character (an invalid
 * byte is one, and is U+FFFD for a class), everything else is compared byte by byte; a class cannot be empty and `]`, `-` in it need a `\`.
 * Unlike Go, which finds a mistake only when matching gets that far, all of the text is checked here.
 */
export function compileComponent(text: ByteString): ComponentPattern | PatternProblem {
  if (!/[\\[\]*?]/.test(text)) return literalPattern(text)
  const chunks: Chunk[] = []
  for (let at = 0; at < text.length; ) {
    const start = skipStars(text, at)
    const end = endOfChunk(text, start)
    const steps = parseSteps(text, start, end)
    if (!Array.isArray(steps)) return steps
    chunks.push({ star: start > at, steps })
    at = end
  }
  return quickPattern(chunks) ?? { literal: undefined, test: (name) => matchChunks(chunks, name) }
}

export const isProblem = (value: ComponentPattern | PatternProblem): value is PatternProblem => 'reason' in value

/** A run of the pattern without `*`; `star` when a `*` stands before it. Only the last one can be empty. */
interface Chunk {
  readonly star: boolean
  readonly steps: readonly Step[]
}

/** Literal bytes, any character, or a character of a class. */
type Step = string | typeof anyCharacter | CharacterClass

const anyCharacter = Symbol('?')

interface CharacterClass {
  readonly negated: boolean
  /** Lowest and highest code point of each range, in turn. */
  readonly bounds: readonly number[]
}

function skipStars(text: string, at: number): number {
  let start = at
  while (text[start] === '*') start++
  return start
}

/** Up to the next `*` that is neither escaped nor, as far as brackets tell, inside a class. */
function endOfChunk(text: string, start: number): number {
  let inClass = false
  for (let i = start; i < text.length; i++) {
    const char = text[i]
    if (char === '\\') i++
    else if (char === '[') inClass = true
    else if (char === ']') inClass = false
    else if (char === '*' && !inClass) return i
  }
  return text.length
}

function parseSteps(text: string, start: number, end: number): Step[] | PatternProblem {
  const steps: Step[] = []
  let literal = ''
  const add = (step: Step): void => {
    if (literal !== '') steps.push(literal)
    literal = ''
    steps.push(step)
  }
  for (let at = start; at < end; ) {
    const char = text[at]!
    if (char === '?') {
      add(anyCharacter)
      at++
    } else if (char === '[') {
      const parsed = parseClass(text, at, end)
      if ('reason' in parsed) return parsed
      add(parsed.class)
      at = parsed.end
    } else if (char === '\\') {
      if (at + 1 === end) return { offset: at, reason: "'\\' at the end escapes nothing" }
      literal += text[at + 1]
      at += 2
    } else {
      literal += char
      at++
    }
  }
  if (literal !== '') steps.push(literal)
  return steps
}

function parseClass(text: string, open: number, end: number): { class: CharacterClass; end: number } | PatternProblem {
  const bounds: number[] = []
  let at = open + 1
  const negated = at < end && text[at] === '^'
  if (negated) at++
  const unclosed = { offset: open, reason: "'[' without a ']' in the same path component" }
  /** Reads one possibly escaped character; the class must go on after it. */
  const character = (): number | PatternProblem => {
    if (at >= end) return unclosed
    if (text[at] === ']') return { offset: at, reason: "']' where a character of the class is needed" }
    if (text[at] === '-') return { offset: at, reason: "'-' where a character of the class is needed" }
    if (text[at] === '\\') at++
    if (at >= end) return unclosed
    const length = runeLengthAt(text, at)
    const rune = runeAt(text, at, length)
    if (rune === INVALID_RUNE && length === 1) return { offset: at, reason: 'a byte in a class that is not UTF-8' }
    at += length
    return at >= end ? unclosed : rune
  }
  do {
    const low = character()
    if (typeof low !== 'number') return low
    let high: number | PatternProblem = low
    if (text[at] === '-') {
      at++
      high = character()
      if (typeof high !== 'number') return high
    }
    bounds.push(low, high)
  } while (text[at] !== ']')
  return { class: { negated, bounds }, end: at + 1 }
}

const literalPattern = (text: string): ComponentPattern => ({ literal: text, test: (name) => name === text })

/** The shapes nearly all patterns have, done with the engine's own string search. */
function quickPattern(chunks: readonly Chunk[]): ComponentPattern | undefined {
  if (!chunks.every((chunk) => chunk.steps.length === 0 || (chunk.steps.length === 1 && isLiteral(chunk.steps[0]))))
    return undefined
  const texts = chunks.map((chunk) => (chunk.steps[0] as string | undefined) ?? '')
  const [first, second, third] = chunks
  const [a, b] = texts as [string, string]
  const wildcard = (test: (name: string) => boolean): ComponentPattern => ({ literal: undefined, test })
  if (first === undefined || third !== undefined) return undefined
  if (second === undefined) {
    if (!first.star) return literalPattern(a)
    return a === '' ? wildcard(() => true) : wildcard((name) => name.endsWith(a))
  }
  if (first.star) return b === '' ? wildcard((name) => name.includes(a)) : undefined
  if (b === '') return wildcard((name) => name.startsWith(a))
  return wildcard((name) => name.length >= a.length + b.length && name.startsWith(a) && name.endsWith(b))
}

const isLiteral = (step: Step | undefined): step is string => typeof step === 'string'

/**
 * Each chunk takes the leftmost place where it fits, the last one must reach the end. Leftmost is enough, because all that may follow a chunk
 * is a `*`; so the time is bounded by chunks x name x chunk length, whatever the pattern.
 */
function matchChunks(chunks: readonly Chunk[], name: string): boolean {
  let position = 0
  for (let i = 0; i < chunks.length; i++) {
    const { star, steps } = chunks[i]!
    if (steps.length === 0) return true
    const last = i === chunks.length - 1
    const end = star ? searchSteps(steps, name, position, last) : matchSteps(steps, name, position)
    if (end < 0 || (last && end < name.length)) return false
    position = end
  }
  return position === name.length
}

/**
 * Where the steps end at the leftmost place from `start` on where they match, and reach the end if `last`; else -1.
 * A star skips bytes, not characters, as in Go.
 */
function searchSteps(steps: readonly Step[], name: string, start: number, last: boolean): number {
  const first = steps[0]!
  for (let from = start; from <= name.length; from++) {
    if (isLiteral(first)) {
      from = name.indexOf(first, from)
      if (from < 0) return -1
    }
    const end = matchSteps(steps, name, from)
    if (end >= 0 && (!last || end === name.length)) return end
  }
  return -1
}

/** Where the steps end when they match at `start`, else -1. */
function matchSteps(steps: readonly Step[], name: string, start: number): number {
  let at = start
  for (const step of steps) {
    if (isLiteral(step)) {
      if (!name.startsWith(step, at)) return -1
      at += step.length
      continue
    }
    if (at >= name.length) return -1
    const length = runeLengthAt(name, at)
    if (step !== anyCharacter && !isInClass(step, runeAt(name, at, length))) return -1
    at += length
  }
  return at
}

function isInClass({ negated, bounds }: CharacterClass, rune: number): boolean {
  for (let i = 0; i < bounds.length; i += 2) if (bounds[i]! <= rune && rune <= bounds[i + 1]!) return !negated
  return negated
}
