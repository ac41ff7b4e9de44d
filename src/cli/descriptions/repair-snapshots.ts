import type { CommandDescription } from '../command.ts'
import { flag } from '../options/option.ts'
import { type SnapshotFilterOptions, snapshotFilterOptions } from '../options/snapshot-filter.ts'

export interface RepairSnapshotsOptions extends SnapshotFilterOptions {
  readonly dryRun: boolean
  readonly forget: boolean
}

export const repairSnapshotsDescription: CommandDescription<RepairSnapshotsOptions> = {
  name: 'repair snapshots',
  group: 'maintenance',
  summary: 'Cut lost data out of snapshots',
  description: `Makes new snapshots without the folders and parts of files that are lost, so that the rest can be restored without errors. Do this last: when the files still exist, a new "backup" stores the lost data again and heals the old snapshots. Run "repair index" first.`,
  examples: [
    { line: 'holdfast repair snapshots --dry-run', does: 'see what would be cut out' },
    { line: 'holdfast repair snapshots --forget', does: 'replace the damaged snapshots' },
  ],
  options: {
    dryRun: flag('dry-run', 'change nothing, print what would be done', { short: 'n' }),
    forget: flag('forget', 'remove the damaged snapshots'),
    ...snapshotFilterOptions,
  },
  arguments: [{ name: 'snapshot', help: 'id or its beginning, or "latest"', repeatable: true }],
  exitCodes: [10, 11, 12],
}
