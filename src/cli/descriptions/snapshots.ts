import type { CommandDescription } from '../command.ts'
import { flag, value } from '../options/option.ts'
import { type SnapshotFilterOptions, snapshotFilterOptions } from '../options/snapshot-filter.ts'
import { type Grouping, groupingKind, integerKind } from '../options/values.ts'

export interface SnapshotsOptions extends SnapshotFilterOptions {
  /** Records of verifications as well. */
  readonly all: boolean
  readonly compact: boolean
  /** Undefined or 0: all. */
  readonly latest: number | undefined
  readonly groupBy: Grouping | undefined
}

export const snapshotsDescription: CommandDescription<SnapshotsOptions> = {
  name: 'snapshots',
  group: 'everyday',
  summary: 'List snapshots',
  description: `Lists the snapshots of the repository, the newest last, or only those named or matched by the filters.

Where snapshots were verified, it says how far they are proved. The records of this are small snapshots too, which are listed with --all only.`,
  examples: [
    { line: 'holdfast snapshots', does: 'list all' },
    { line: 'holdfast snapshots --latest 1 --group-by host', does: 'the newest of each host' },
    { line: 'holdfast snapshots --json --tag nightly', does: 'those of one tag, for a program' },
  ],
  options: {
    ...snapshotFilterOptions,
    all: flag('all', 'list records of verifications, too'),
    compact: flag('compact', 'short table', { short: 'c' }),
    latest: value('latest', integerKind('n'), 'only the newest n of each host and paths, or of each group', {
      aliases: [{ long: 'last', instead: '--latest 1', stands: '1' }],
    }),
    groupBy: value('group-by', groupingKind, 'one table for each group', { short: 'g' }),
  },
  arguments: [{ name: 'snapshot', help: 'id or its beginning, or "latest"', repeatable: true }],
  exitCodes: [10, 11, 12],
}
