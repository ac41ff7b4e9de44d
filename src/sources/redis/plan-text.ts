import type { SourceProblem } from '../source.ts'
import type { Survey } from './survey.ts'

const numbers = new Intl.NumberFormat('en')

/** `1,012 keys`. */
export const keyCount = (count: number): string => `${numbers.format(count)} ${count === 1 ? 'key' : 'keys'}`

/** What speaks against restoring a selection, wherever to. */
export function* unfitFor({ keys, merged, hasModuleData }: Survey): Generator<SourceProblem> {
  if (keys === 0)
    yield {
      severity: 'warning',
      what: 'no key of the snapshot is selected',
      remedy: 'check the patterns: KEYS of redis-cli understands the same',
    }
  for (const databases of merged)
    yield {
      severity: 'error',
      what: `databases ${databases.join(' and ')} would become one, and may have the same keys`,
      remedy: 'rename each to a database of its own',
    }
  if (hasModuleData)
    yield {
      severity: 'warning',
      what: 'data that modules keep outside of keys is left out of a selection',
      remedy: 'restore the whole snapshot to have it',
    }
}
