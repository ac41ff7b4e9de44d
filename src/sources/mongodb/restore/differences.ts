import type { CollectionEntry } from '../catalog.ts'
import { namespaceText } from '../names.ts'
import { comparable, ignoredInIndexes, ignoredInOptions, indexName } from './definitions.ts'

/** One thing that is not as it was asked for. */
export interface Difference {
  /** `shop.orders`, `index by_day of shop.orders`. */
  readonly item: string
  readonly what: string
  /** It is not there at all. */
  readonly isMissing: boolean
}

/**
 * Compares collections as they were to be with those that are there, without their documents. Compatible servers leave out options in
 * silence; so do servers of other versions.
 */
export function* compareCatalogs(
  wanted: readonly CollectionEntry[],
  found: readonly CollectionEntry[],
): Generator<Difference> {
  const there = new Map(found.map((entry) => [namespaceText(entry), entry]))
  for (const entry of wanted) {
    const name = namespaceText(entry)
    const other = there.get(name)
    if (other === undefined) {
      yield { item: name, what: 'it is not there', isMissing: true }
      continue
    }
    if (other.type !== entry.type)
      yield { item: name, what: `it is a ${other.type}, not a ${entry.type}`, isMissing: false }
    const wantedOptions = comparable(entry.options, ignoredInOptions)
    for (const what of differing(wantedOptions, comparable(other.options, ignoredInOptions)))
      yield { item: name, what: `option ${what}`, isMissing: false }
    yield* compareIndexes(entry, other)
  }
}

function* compareIndexes(wanted: CollectionEntry, found: CollectionEntry): Generator<Difference> {
  const there = new Map(found.indexes.map((index) => [indexName(index), index]))
  for (const index of wanted.indexes) {
    const name = indexName(index)
    const item = `index ${name} of ${namespaceText(wanted)}`
    const other = there.get(name)
    there.delete(name)
    if (other === undefined) {
      yield { item, what: 'it is not there', isMissing: true }
      continue
    }
    for (const what of differing(comparable(index, ignoredInIndexes), comparable(other, ignoredInIndexes)))
      yield { item, what, isMissing: false }
  }
  for (const name of there.keys())
    yield { item: `index ${name} of ${namespaceText(wanted)}`, what: 'it was not there', isMissing: false }
}

function* differing(wanted: ReadonlyMap<string, string>, found: ReadonlyMap<string, string>): Generator<string> {
  for (const name of new Set([...wanted.keys(), ...found.keys()])) {
    const [before, after] = [wanted.get(name), found.get(name)]
    if (before !== after) yield `${name} was ${before ?? 'not set'}, and is ${after ?? 'not set'}`
  }
}
