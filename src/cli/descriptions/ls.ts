import type { CommandDescription } from '../command.ts'
import { flag, valueOr } from '../options/option.ts'
import { latestFilterOptions, type SnapshotFilterOptions } from '../options/snapshot-filter.ts'
import { choiceKind } from '../options/values.ts'
import { atMostOneOf, usageError } from './usage.ts'

const sortOrders = ['name', 'size', 'time', 'mtime', 'atime', 'ctime', 'extension'] as const

/** `time` is `mtime`. */
export type ListingOrder = (typeof sortOrders)[number]

export interface LsOptions extends SnapshotFilterOptions {
  readonly long: boolean
  readonly recursive: boolean
  readonly humanReadable: boolean
  readonly ncdu: boolean
  readonly sort: ListingOrder
  readonly reverse: boolean
}

export const lsDescription: CommandDescription<LsOptions> = {
  name: 'ls',
  group: 'everyday',
  summary: 'List the files of a snapshot',
  description: `Lists everything in a snapshot, or only what lies directly in the given folders; with --recursive what lies anywhere below them. Folders are absolute paths as they are in the snapshot.`,
  examples: [
    { line: 'holdfast ls latest', does: 'everything in the newest snapshot' },
    {
      line: 'holdfast ls -l --host web1 latest /etc',
      does: 'one folder of the newest snapshot of a host, with sizes and times',
    },
    { line: 'holdfast ls --ncdu latest | ncdu -f -', does: 'look around in a disk usage browser' },
  ],
  options: {
    ...latestFilterOptions,
    long: flag('long', 'with mode, owner, size and time', { short: 'l' }),
    recursive: flag('recursive', 'descend into the given folders'),
    humanReadable: flag('human-readable', 'sizes with units'),
    ncdu: flag('ncdu', 'print what "ncdu -f -" reads'),
    sort: valueOr('sort', choiceKind('mode', sortOrders), 'name', 'order of the list', { short: 's' }),
    reverse: flag('reverse', 'turn the order round'),
  },
  arguments: [
    { name: 'snapshot', help: 'id or its beginning, or "latest"', required: true },
    { name: 'folder', help: 'absolute path of a folder in the snapshot', repeatable: true },
  ],
  exitCodes: [10, 11, 12],
  check(options, args, global) {
    atMostOneOf({ '--json': global.json, '--ncdu': options.ncdu })
    atMostOneOf({ '--ncdu': options.ncdu, '--sort': options.sort !== 'name' })
    atMostOneOf({ '--ncdu': options.ncdu, '--reverse': options.reverse })
    const relative = args.slice(1).find((folder) => !folder.startsWith('/'))
    if (relative !== undefined)
      throw usageError(
        `folder ${JSON.stringify(relative)} is not an absolute path`,
        'write folders as they are in the snapshot, beginning with /',
      )
  },
}
