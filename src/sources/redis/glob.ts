const STAR = 0x2a
const ANY = 0x3f
const OPEN = 0x5b
const CLOSE = 0x5d
const NOT = 0x5e
const ESCAPE = 0x5c
const RANGE = 0x2d

/** Whether a key fits a pattern, as KEYS and SCAN of Redis understand it: `*`, `?`, `[abc]`, `[a-z]`, `[^a]`, `\*`, byte by byte. */
export type KeyPattern = (key: Uint8Array) => boolean

/**
 * After stringmatchlen of Redis 7.0 (util.c), including what it makes of incomplete patterns: a class that is not closed ends with the
 * pattern; only that `**` fits the empty key as `*` does. Goes back to the last star only, so that no pattern takes exponential time.
 */
export function keyPattern(text: string): KeyPattern {
  const pattern = Buffer.from(text)
  return (key) => {
    let at = 0
    let next = 0
    let star = -1
    let starKey = 0
    while (at < key.length) {
      if (pattern[next] === STAR) {
        star = next++
        starKey = at
        continue
      }
      const step = next < pattern.length ? matchOne(pattern, next, key[at]!) : NO_MATCH
      if (step !== NO_MATCH) {
        next = step
        at++
      } else if (star >= 0) {
        next = star + 1
        at = ++starKey
      } else return false
    }
    while (pattern[next] === STAR) next++
    return next === pattern.length
  }
}

const NO_MATCH = -1

/** Where the pattern goes on when `byte` fits what stands at `at`. */
function matchOne(pattern: Uint8Array, at: number, byte: number): number {
  switch (pattern[at]) {
    case ANY:
      return at + 1
    case OPEN:
      return matchClass(pattern, at + 1, byte)
    case ESCAPE:
      if (at + 1 < pattern.length) return pattern[at + 1] === byte ? at + 2 : NO_MATCH
      break
  }
  return pattern[at] === byte ? at + 1 : NO_MATCH
}

function matchClass(pattern: Uint8Array, start: number, byte: number): number {
  const isNegated = pattern[start] === NOT
  let at = isNegated ? start + 1 : start
  let isIn = false
  for (; at < pattern.length && pattern[at] !== CLOSE; at++) {
    if (pattern[at] === ESCAPE && at + 1 < pattern.length) {
      at++
      isIn ||= pattern[at] === byte
    } else if (pattern[at + 1] === RANGE && at + 2 < pattern.length) {
      const [a, b] = [pattern[at]!, pattern[at + 2]!]
      isIn ||= byte >= Math.min(a, b) && byte <= Math.max(a, b)
      at += 2
    } else isIn ||= pattern[at] === byte
  }
  return isIn === isNegated ? NO_MATCH : Math.min(at + 1, pattern.length)
}
