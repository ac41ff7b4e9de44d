import type { CommandDescription } from '../command.ts'
import { flag, valueOr } from '../options/option.ts'
import { integerKind } from '../options/values.ts'

export interface CacheOptions {
  readonly cleanup: boolean
  readonly maxAgeDays: number
  readonly noSize: boolean
}

export const cacheDescription: CommandDescription<CacheOptions> = {
  name: 'cache',
  group: 'maintenance',
  summary: 'List or clean the local caches',
  description:
    'Lists the caches of repositories on this machine, or removes those not used for a while. A cache that was removed is made again when needed.',
  examples: [
    { line: 'holdfast cache', does: 'list them' },
    { line: 'holdfast cache --cleanup --max-age 7', does: 'remove those not used for a week' },
  ],
  options: {
    cleanup: flag('cleanup', 'remove old caches'),
    maxAgeDays: valueOr('max-age', integerKind('days'), '30', 'how long a cache is unused before it is old'),
    noSize: flag('no-size', 'do not count the bytes'),
  },
  arguments: [],
}
