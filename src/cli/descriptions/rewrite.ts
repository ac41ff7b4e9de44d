import type { Timestamp } from '../../lib/go-time.ts'
import type { CommandDescription } from '../command.ts'
import { flag, value } from '../options/option.ts'
import { type ExcludeOptions, excludeOptions, type IncludeOptions, includeOptions } from '../options/patterns.ts'
import { type SnapshotFilterOptions, snapshotFilterOptions } from '../options/snapshot-filter.ts'
import { textKind, timeKind } from '../options/values.ts'
import { hasPatterns, usageError } from './usage.ts'

export interface RewriteOptions extends SnapshotFilterOptions, ExcludeOptions, IncludeOptions {
  readonly forget: boolean
  readonly dryRun: boolean
  readonly newHost: string | undefined
  readonly newTime: Timestamp | undefined
  readonly snapshotSummary: boolean
}

export const rewriteDescription: CommandDescription<RewriteOptions> = {
  name: 'rewrite',
  group: 'maintenance',
  summary: 'Make changed copies of snapshots',
  description: `Makes new snapshots from the named ones, or from all that match the filters, without the files that are excluded, or only with those included, and with another host or time. They get the tag "rewrite"; with --forget they take the place of the originals instead.

The data of files that are left out stays in the repository until "prune".`,
  examples: [
    { line: 'holdfast rewrite --exclude "*.iso" --dry-run', does: 'see what leaving out some files would change' },
    {
      line: 'holdfast rewrite --exclude secrets.txt --forget 79766175',
      does: 'take a file out of a snapshot for good',
    },
    { line: 'holdfast rewrite --new-host web2 --host web1', does: 'change the host of snapshots' },
  ],
  options: {
    forget: flag('forget', 'remove the original snapshots'),
    dryRun: flag('dry-run', 'change nothing, print what would be done', { short: 'n' }),
    newHost: value('new-host', textKind('string'), 'new host name'),
    newTime: value('new-time', { ...timeKind, placeholder: 'string' }, 'new time of the snapshot'),
    snapshotSummary: flag('snapshot-summary', 'add the counts of files and bytes to snapshots that have none', {
      short: 's',
    }),
    ...snapshotFilterOptions,
    ...excludeOptions,
    ...includeOptions,
  },
  arguments: [{ name: 'snapshot', help: 'id or its beginning, or "latest"', repeatable: true }],
  exitCodes: [10, 11, 12],
  check(options) {
    const patterns = hasPatterns(options)
    if (patterns.excludes && patterns.includes)
      throw usageError(
        'patterns to leave out and patterns to take cannot be given together',
        'use --exclude or --include',
      )
    const changes = options.newHost !== undefined || options.newTime !== undefined || options.snapshotSummary
    if (!patterns.excludes && !patterns.includes && !changes)
      throw usageError('nothing to do', 'give --exclude, --include, --new-host, --new-time or --snapshot-summary')
  },
}
