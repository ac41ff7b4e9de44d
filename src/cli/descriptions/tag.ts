import type { CommandDescription } from '../command.ts'
import { list } from '../options/option.ts'
import { type SnapshotFilterOptions, snapshotFilterOptions } from '../options/snapshot-filter.ts'
import { tagsKind } from '../options/values.ts'
import { usageError } from './usage.ts'

export interface TagOptions extends SnapshotFilterOptions {
  readonly set: readonly (readonly string[])[]
  readonly add: readonly (readonly string[])[]
  readonly remove: readonly (readonly string[])[]
}

const changeKind = { ...tagsKind, placeholder: 'tags' }

export const tagDescription: CommandDescription<TagOptions> = {
  name: 'tag',
  group: 'maintenance',
  summary: 'Change the tags of snapshots',
  description:
    'Sets, adds or removes tags of the named snapshots, or of all that match the filters. Changed snapshots get a new id.',
  examples: [
    { line: 'holdfast tag --add keep,audit 79766175', does: 'add two tags' },
    { line: 'holdfast tag --host web1 --set nightly', does: 'replace the tags of all snapshots of a host' },
  ],
  options: {
    ...snapshotFilterOptions,
    set: list('set', changeKind, 'replace all tags by these (repeatable)'),
    add: list('add', changeKind, 'add these tags (repeatable)'),
    remove: list('remove', changeKind, 'remove these tags (repeatable)'),
  },
  arguments: [{ name: 'snapshot', help: 'id or its beginning, or "latest"', repeatable: true }],
  exitCodes: [10, 11, 12],
  check(options) {
    const changes = options.add.length + options.remove.length
    if (options.set.length + changes === 0) throw usageError('nothing to do', 'give --set, --add or --remove')
    if (options.set.length > 0 && changes > 0) throw usageError('--set cannot be given together with --add or --remove')
  },
}
