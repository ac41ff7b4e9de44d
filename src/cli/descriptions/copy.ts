import type { CommandDescription } from '../command.ts'
import {
  type FromRepositoryOptions,
  fromRepositoryOptions,
  refusedSecondRepository,
} from '../options/from-repository.ts'
import { flag } from '../options/option.ts'
import { type SnapshotFilterOptions, snapshotFilterOptions } from '../options/snapshot-filter.ts'

export interface CopyOptions extends FromRepositoryOptions, SnapshotFilterOptions {
  readonly all: boolean
  readonly dryRun: boolean
}

export const copyDescription: CommandDescription<CopyOptions> = {
  name: 'copy',
  group: 'everyday',
  summary: 'Copy snapshots to another repository',
  description: `Copies all snapshots, or those named or matched by the filters, from the source repository (--from-repo) to the repository (--repo), which has its own password. Snapshots that are there already are not copied again.

Everything is read from the source and encrypted again with the key of the destination. Files in both repositories are stored once only when both cut files at the same places: see "init --copy-chunker-params".

Without --from-repo it makes up for what repositories of holdfast.yaml have missed: each gets the snapshots of the configured sources that another repository of that source has and that are newer than the newest it has itself. Older ones may have been forgotten on purpose; --all brings these as well. Arguments are then names of sources, and --repo names the one repository that is to catch up.`,
  examples: [
    { line: 'holdfast copy --from-repo /srv/backup -r /mnt/second', does: 'copy what is not there yet' },
    {
      line: 'holdfast copy --from-repo /srv/backup -r /mnt/second --host web1 latest',
      does: 'copy the newest snapshot of a host',
    },
    { line: 'holdfast copy', does: 'bring every configured repository what it has missed' },
  ],
  options: {
    ...fromRepositoryOptions,
    ...snapshotFilterOptions,
    all: flag('all', 'without --from-repo: also bring snapshots that are older than the newest one there'),
    dryRun: flag('dry-run', 'say what would be copied, and copy nothing', { short: 'n' }),
  },
  refused: refusedSecondRepository,
  arguments: [
    {
      name: 'snapshot',
      help: 'id or its beginning, or "latest"; without --from-repo the name of a source',
      repeatable: true,
    },
  ],
  exitCodes: [10, 11, 12],
}
