import { type CalendarDuration, isNoDuration } from '../../lib/durations.ts'
import type { CommandDescription } from '../command.ts'
import { flag, list, type OptionTable, value, valueOr } from '../options/option.ts'
import { type PruneLimitOptions, pruneLimitOptions, retiredPruneOptions } from '../options/prune-limits.ts'
import { keepWithinKind } from '../options/quantities.ts'
import { type SnapshotFilterOptions, snapshotFilterOptions, withoutShort } from '../options/snapshot-filter.ts'
import { type Grouping, groupingKind, type KeepCount, keepCountKind, tagsKind } from '../options/values.ts'
import { checkPruneLimits } from './prune.ts'
import { usageError } from './usage.ts'

export interface KeepOptions {
  readonly keepLast: KeepCount | undefined
  readonly keepHourly: KeepCount | undefined
  readonly keepDaily: KeepCount | undefined
  readonly keepWeekly: KeepCount | undefined
  readonly keepMonthly: KeepCount | undefined
  readonly keepYearly: KeepCount | undefined
  readonly keepWithin: CalendarDuration | undefined
  readonly keepWithinHourly: CalendarDuration | undefined
  readonly keepWithinDaily: CalendarDuration | undefined
  readonly keepWithinWeekly: CalendarDuration | undefined
  readonly keepWithinMonthly: CalendarDuration | undefined
  readonly keepWithinYearly: CalendarDuration | undefined
  readonly keepTags: readonly (readonly string[])[]
}

export interface ForgetOptions extends KeepOptions, SnapshotFilterOptions, PruneLimitOptions {
  readonly unsafeAllowRemoveAll: boolean
  readonly compact: boolean
  readonly groupBy: Grouping
  readonly dryRun: boolean
  readonly prune: boolean
}

const keepOptions: OptionTable<KeepOptions> = {
  keepLast: value('keep-last', keepCountKind, 'keep the newest n snapshots', { short: 'l' }),
  keepHourly: value('keep-hourly', keepCountKind, 'keep the newest of each of the last n hours that have one', {
    short: 'H',
  }),
  keepDaily: value('keep-daily', keepCountKind, 'keep the newest of each of the last n days that have one', {
    short: 'd',
  }),
  keepWeekly: value('keep-weekly', keepCountKind, 'keep the newest of each of the last n weeks that have one', {
    short: 'w',
  }),
  keepMonthly: value('keep-monthly', keepCountKind, 'keep the newest of each of the last n months that have one', {
    short: 'm',
  }),
  keepYearly: value('keep-yearly', keepCountKind, 'keep the newest of each of the last n years that have one', {
    short: 'y',
  }),
  keepWithin: value('keep-within', keepWithinKind, 'keep all that are at most this much older than the newest'),
  keepWithinHourly: value(
    'keep-within-hourly',
    keepWithinKind,
    'keep one for each hour within this time before the newest',
  ),
  keepWithinDaily: value(
    'keep-within-daily',
    keepWithinKind,
    'keep one for each day within this time before the newest',
  ),
  keepWithinWeekly: value(
    'keep-within-weekly',
    keepWithinKind,
    'keep one for each week within this time before the newest',
  ),
  keepWithinMonthly: value(
    'keep-within-monthly',
    keepWithinKind,
    'keep one for each month within this time before the newest',
  ),
  keepWithinYearly: value(
    'keep-within-yearly',
    keepWithinKind,
    'keep one for each year within this time before the newest',
  ),
  keepTags: list(
    'keep-tag',
    { ...tagsKind, placeholder: 'taglist' },
    'keep those with all these tags (repeatable: any of the sets)',
  ),
}

export const forgetDescription: CommandDescription<ForgetOptions> = {
  name: 'forget',
  group: 'everyday',
  summary: 'Remove snapshots by a policy',
  description: `Removes the named snapshots, or all that the --keep options do not keep. The options apply to each group of snapshots on its own (--group-by); a snapshot stays when any of them keeps it.

Only the snapshots are removed; "prune", or --prune here, frees the space. Without any --keep option nothing is removed.`,
  examples: [
    {
      line: 'holdfast forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run',
      does: 'see what a policy would keep',
    },
    { line: 'holdfast forget --keep-within 30d --prune', does: 'keep a month, free the space' },
    { line: 'holdfast forget 79766175', does: 'remove one snapshot' },
  ],
  options: {
    ...keepOptions,
    unsafeAllowRemoveAll: flag(
      'unsafe-allow-remove-all',
      'allow that all snapshots of a group are removed; needs a filter',
    ),
    ...snapshotFilterOptions,
    // -H is --keep-hourly here.
    hosts: { ...withoutShort(snapshotFilterOptions.hosts), aliases: [{ long: 'hostname', instead: '--host' }] },
    compact: flag('compact', 'short table', { short: 'c' }),
    groupBy: valueOr('group-by', groupingKind, 'host,paths', 'what makes snapshots a group ("" for no groups)', {
      short: 'g',
    }),
    dryRun: flag('dry-run', 'remove nothing, print what would be done', { short: 'n' }),
    prune: flag('prune', 'then free the space, if snapshots were removed'),
    ...pruneLimitOptions,
  },
  retired: retiredPruneOptions,
  arguments: [{ name: 'snapshot', help: 'id or its beginning; removed whatever the policy says', repeatable: true }],
  exitCodes: [3, 10, 11, 12],
  check(options, args, global) {
    checkPruneLimits(options, global.compression)
    if (global.noLock && !options.dryRun) throw usageError('--no-lock is possible only together with --dry-run')
    const keeps = keepsAnything(options)
    if (args.length > 0 || keeps) return
    if (!options.unsafeAllowRemoveAll)
      throw usageError(
        'no policy was given, so nothing would be removed',
        'say what to keep with the --keep options, or name snapshots',
      )
    if (options.hosts.length === 0 && options.tags.length === 0 && options.paths.length === 0)
      throw usageError('--unsafe-allow-remove-all needs a filter', 'add --host, --tag or --path')
  },
}

/** Whether the policy keeps anything by itself. */
export function keepsAnything(options: KeepOptions): boolean {
  const counts = [
    options.keepLast,
    options.keepHourly,
    options.keepDaily,
    options.keepWeekly,
    options.keepMonthly,
    options.keepYearly,
  ]
  const within = [
    options.keepWithin,
    options.keepWithinHourly,
    options.keepWithinDaily,
    options.keepWithinWeekly,
    options.keepWithinMonthly,
    options.keepWithinYearly,
  ]
  return (
    counts.some((count) => count === 'unlimited' || (count ?? 0) > 0) ||
    within.some((span) => span !== undefined && !isNoDuration(span)) ||
    options.keepTags.length > 0
  )
}
