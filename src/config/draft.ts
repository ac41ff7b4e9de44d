import { HoldfastError } from '../lib/errors.ts'
import type { ConfigurationPath } from './path.ts'

/** Where something was written. */
export interface Place {
  /** `holdfast.yaml:3:5`, or the name of a variable. */
  readonly text: string
  /** Orders places as a reader meets them. */
  readonly order: number
}

/** Whether a key or what stands behind it is meant. */
export type Part = 'key' | 'value'

/** A configuration as somebody wrote it, not yet checked. */
export interface Draft {
  /** Plain data: records without prototype, lists, strings, numbers, booleans, null. */
  readonly value: unknown
  /** Where the value at `path` was written; undefined when it was not. */
  placeOf(path: ConfigurationPath, part: Part): Place | undefined
  /** The place for what concerns the draft as a whole. */
  readonly start: Place
}

/** One thing that has to be put right. */
export interface Problem {
  readonly place: Place
  readonly what: string
}

/** What came of reading a draft. Without one, `problems` says why. */
export interface Reading {
  readonly draft: Draft | undefined
  readonly problems: readonly Problem[]
}

/** The place of the value at `path`, or of the key of what should have held it. */
export function nearestPlace(draft: Draft, path: ConfigurationPath, part: Part): Place {
  const exact = draft.placeOf(path, part)
  if (exact !== undefined) return exact
  for (let length = path.length - 1; length > 0; length--) {
    const place = draft.placeOf(path.slice(0, length), 'key') ?? draft.placeOf(path.slice(0, length), 'value')
    if (place !== undefined) return place
  }
  return draft.start
}

/** All problems in one error, in the order in which a reader meets them. */
export function invalidConfiguration(problems: readonly Problem[], hint: string): HoldfastError {
  const lines = problems
    .toSorted((a, b) => a.place.order - b.place.order)
    .map(({ place, what }) => `${place.text}: ${what}`)
  const message = lines.length === 1 ? lines[0]! : `the configuration has ${lines.length} problems\n${lines.join('\n')}`
  return new HoldfastError('HF_CONFIG_INVALID', message, { hint, context: { problems: lines.length } })
}
