import { HoldfastError } from '../../lib/errors.ts'
import type { CollectionEntry } from './catalog.ts'
import {
  isSkippedCollection,
  isSkippedDatabase,
  type Namespace,
  namespaceMatcher,
  namespaceText,
  parseNamespace,
} from './names.ts'

/** What is included and not excluded. Without anything to include, everything is. */
export function namespaceFilter(
  include: readonly string[],
  exclude: readonly string[],
): (namespace: Namespace) => boolean {
  const isExcluded = namespaceMatcher(exclude)
  if (include.length === 0) return (namespace) => !isExcluded(namespace)
  const isIncluded = namespaceMatcher(include)
  return (namespace) => isIncluded(namespace) && !isExcluded(namespace)
}

/** The same for names as the oplog has them, without what is never copied. Definitions of views count as part of their database. */
export function oplogFilter(isSelected: (namespace: Namespace) => boolean): (namespace: string) => boolean {
  return (text) => {
    const namespace = parseNamespace(text)
    if (namespace === undefined || isSkippedDatabase(namespace.database)) return false
    if (namespace.collection === 'system.views') return true
    return !isSkippedCollection(namespace) && isSelected(namespace)
  }
}

/** Patterns that mean no collection that is there. */
export const unmatchedPatterns = (include: readonly string[], catalog: readonly CollectionEntry[]): readonly string[] =>
  include.filter((pattern) => {
    const isMeant = namespaceMatcher([pattern])
    return !catalog.some(isMeant)
  })

/** @throws HoldfastError HF_REQUIRED_MISSING that names what is not there */
export function requireCollections(
  source: string,
  required: readonly string[],
  catalog: readonly CollectionEntry[],
): void {
  const there = new Set(catalog.map(namespaceText))
  const missing = required.filter((name) => !there.has(name))
  if (missing.length === 0) return
  throw new HoldfastError('HF_REQUIRED_MISSING', `source ${source} requires what is not there: ${missing.join(', ')}`, {
    hint: 'write collections as database.collection; bring back what is missing, or change `require` in the configuration',
  })
}
