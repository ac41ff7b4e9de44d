import { asBoolean, asNumber, asString, doc, type Entry, field } from './bson.ts'
import type { CompareStrings } from './compare.ts'
import { MongoFailure } from './failure.ts'

/** How strings compare under a collation. */
export interface Collation {
  readonly compare: CompareStrings
  /** The same for strings that are equal. */
  readonly key: (text: string) => string
}

/**
 * A collation with all the fields a server adds to it; undefined for the simple one.
 * @throws MongoFailure when it has no locale
 */
export function completeCollation(given: Buffer | undefined): Buffer | undefined {
  if (given === undefined) return undefined
  const locale = asString(field(given, 'locale'))
  if (locale === undefined)
    throw new MongoFailure(40_414, "BSON field 'collation.locale' is missing but a required field")
  if (locale === 'simple') return undefined
  const defaults: Readonly<Record<string, unknown>> = {
    locale,
    caseLevel: false,
    caseFirst: 'off',
    strength: 3,
    numericOrdering: false,
    alternate: 'non-ignorable',
    maxVariable: 'punct',
    normalization: false,
    backwards: false,
    version: '57.1',
  }
  return doc(Object.entries(defaults).map(([name, value]): Entry => [name, field(given, name) ?? value]))
}

/** Of a complete collation. Strengths over 2 tell all strings apart. */
export function collationOf(collation: Buffer | undefined): Collation | undefined {
  if (collation === undefined) return undefined
  const strength = asNumber(field(collation, 'strength')) ?? 3
  const collator = new Intl.Collator(asString(field(collation, 'locale'))!.replace('_', '-'), {
    sensitivity: strength === 1 ? 'base' : strength === 2 ? 'accent' : 'variant',
    numeric: asBoolean(field(collation, 'numericOrdering')),
  })
  return {
    compare: collator.compare,
    key: (text) => {
      if (strength > 2) return text
      const plain = text.toLowerCase()
      return strength === 1 ? plain.normalize('NFD').replace(/\p{M}/gu, '') : plain
    },
  }
}
