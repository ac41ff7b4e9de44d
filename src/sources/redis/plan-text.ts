import type { SourceProblem } from '../source.ts'
import type { Selection } from './selection.ts'
import type { Survey } from './survey.ts'

const numbers = new Intl.NumberFormat('en')

/** `1,012 keys`. */
export const keyCount = (count: number): string => `${numbers.format(count)} ${count === 1 ? 'key' : 'keys'}`

/** A misspelt pattern must not pass for a restore. */
export const NOTHING_SELECTED: SourceProblem = {
  severity: 'error',
  what: 'no key of the snapshot is selected',
  remedy: 'check the patterns: KEYS of redis-cli understands the same',
}

/** What speaks against restoring a selection, wherever to. `isShard`: it is that of one of several, which may have none of the keys. */
export function* unfitFor(
  { keys, merged, hasModuleData }: Survey,
  { isPartial }: Pick<Selection, 'isPartial'>,
  isShard = false,
): Generator<SourceProblem> {
  if (isPartial && !isShard && keys === 0) yield NOTHING_SELECTED
  for (const databases of merged)
    yield {
      severity: 'error',
      what: `databases ${databases.join(' and ')} would become one, and may have the same keys`,
      remedy: 'rename each to a database of its own',
    }
  if (isPartial && hasModuleData)
    yield {
      severity: 'warning',
      what: 'data that modules keep outside of keys is left out of a selection',
      remedy: 'restore the whole snapshot to have it',
    }
}
