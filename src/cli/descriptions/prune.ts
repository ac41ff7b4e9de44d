import type { CommandDescription } from '../command.ts'
import { flag, value } from '../options/option.ts'
import { type PruneLimitOptions, pruneLimitOptions, retiredPruneOptions } from '../options/prune-limits.ts'
import { textKind } from '../options/values.ts'
import { usageError } from './usage.ts'

export interface PruneOptions extends PruneLimitOptions {
  readonly dryRun: boolean
  /** The id of the repository, as proof that its owner knows what is at stake. */
  readonly unsafeRecoverNoFreeSpace: string | undefined
}

export const pruneDescription: CommandDescription<PruneOptions> = {
  name: 'prune',
  group: 'everyday',
  summary: 'Free the space of data no snapshot needs',
  description: `Removes packs that nothing needs, and rewrites packs that are partly needed until at most --max-unused of the repository is waste. The plan is made first and printed; --dry-run stops there.

An interrupted run leaves a repository that is whole; the next run goes on.`,
  examples: [
    { line: 'holdfast prune --dry-run', does: 'see how much would be freed' },
    { line: 'holdfast prune --max-unused 10% --max-repack-size 20G', does: 'limit the work' },
    { line: 'holdfast prune --max-repack-size 0', does: 'remove only, rewrite nothing: for a storage that is full' },
  ],
  options: {
    ...pruneLimitOptions,
    dryRun: flag('dry-run', 'change nothing, print what would be done', { short: 'n' }),
    unsafeRecoverNoFreeSpace: value(
      'unsafe-recover-no-free-space',
      textKind('string'),
      'UNSAFE: delete the index before there is a new one, for a storage so full that --max-repack-size 0 fails',
    ),
  },
  retired: retiredPruneOptions,
  arguments: [],
  exitCodes: [10, 11, 12],
  check(options, _args, global) {
    checkPruneLimits(options, global.compression)
    if (global.noLock && !options.dryRun) throw usageError('--no-lock is possible only together with --dry-run')
  },
}

/** Refuses to compress everything without compressing. */
export function checkPruneLimits(options: PruneLimitOptions, compression: string): void {
  if (options.repackUncompressed && compression === 'off')
    throw usageError(
      '--repack-uncompressed with --compression off would rewrite data without compressing it',
      'leave one of the two out',
    )
}
