import type { Timestamp } from '../../lib/go-time.ts'
import { compareTimes } from '../../lib/go-time.ts'
import type { CommandDescription } from '../command.ts'
import { flag, list, value } from '../options/option.ts'
import { type SnapshotFilterOptions, snapshotFilterOptions } from '../options/snapshot-filter.ts'
import { looseTimeKind, textKind } from '../options/values.ts'
import { atMostOneOf, usageError } from './usage.ts'

export interface FindOptions extends SnapshotFilterOptions {
  readonly oldest: Timestamp | undefined
  readonly newest: Timestamp | undefined
  readonly snapshots: readonly string[]
  readonly blob: boolean
  readonly tree: boolean
  readonly pack: boolean
  readonly showPackId: boolean
  readonly ignoreCase: boolean
  readonly reverse: boolean
  readonly long: boolean
  readonly humanReadable: boolean
}

export const findDescription: CommandDescription<FindOptions> = {
  name: 'find',
  group: 'everyday',
  summary: 'Find files in all snapshots',
  description: `Looks for files and folders by name or path in the snapshots, the newest first. With --blob, --tree or --pack the arguments are ids of parts of the repository, and what uses them is printed.`,
  examples: [
    { line: 'holdfast find config.json', does: 'where a file is' },
    {
      line: 'holdfast find -l --newest 2026-01-31 "/home/*/notes*"',
      does: 'versions of files that were last changed before a day',
    },
    { line: 'holdfast find --json --blob 420f620f b46ebe8a', does: 'what uses two blobs, for a program' },
  ],
  options: {
    ...snapshotFilterOptions,
    oldest: value('oldest', looseTimeKind, 'only what was last changed then or later', { short: 'O' }),
    newest: value('newest', looseTimeKind, 'only what was last changed then or earlier', { short: 'N' }),
    snapshots: list('snapshot', textKind('id'), 'search only in this snapshot (repeatable)', { short: 's' }),
    blob: flag('blob', 'the arguments are ids of blobs'),
    tree: flag('tree', 'the arguments are ids of trees'),
    pack: flag('pack', 'the arguments are ids of packs'),
    showPackId: flag('show-pack-id', 'print which pack holds a blob or tree'),
    ignoreCase: flag('ignore-case', 'upper and lower case are equal', { short: 'i' }),
    reverse: flag('reverse', 'the oldest snapshot first', { short: 'R' }),
    long: flag('long', 'with mode, owner, size and time', { short: 'l' }),
    humanReadable: flag('human-readable', 'sizes with units'),
  },
  arguments: [
    { name: 'pattern', help: 'file name or path, which may hold * ? [ ], or an id', required: true, repeatable: true },
  ],
  exitCodes: [10, 11, 12],
  check(options) {
    atMostOneOf({ '--blob': options.blob, '--tree': options.tree, '--pack': options.pack })
    if (
      options.oldest !== undefined &&
      options.newest !== undefined &&
      compareTimes(options.oldest, options.newest) > 0
    )
      throw usageError('the time of --oldest is after that of --newest', 'nothing could be found; exchange the two')
  },
}
