import type { CommandDescription } from '../command.ts'
import {
  type FromRepositoryOptions,
  fromRepositoryOptions,
  refusedSecondRepository,
} from '../options/from-repository.ts'
import { type SnapshotFilterOptions, snapshotFilterOptions } from '../options/snapshot-filter.ts'

export interface CopyOptions extends FromRepositoryOptions, SnapshotFilterOptions {}

export const copyDescription: CommandDescription<CopyOptions> = {
  name: 'copy',
  group: 'everyday',
  summary: 'Copy snapshots to another repository',
  description: `Copies all snapshots, or those named or matched by the filters, from the source repository (--from-repo) to the repository (--repo), which has its own password. Snapshots that are there already are not copied again.

Everything is read from the source and encrypted again with the key of the destination. Files in both repositories are stored once only when both cut files at the same places: see "init --copy-chunker-params".`,
  examples: [
    { line: 'holdfast copy --from-repo /srv/backup -r /mnt/second', does: 'copy what is not there yet' },
    {
      line: 'holdfast copy --from-repo /srv/backup -r /mnt/second --host web1 latest',
      does: 'copy the newest snapshot of a host',
    },
  ],
  options: { ...fromRepositoryOptions, ...snapshotFilterOptions },
  refused: refusedSecondRepository,
  arguments: [{ name: 'snapshot', help: 'id or its beginning, or "latest"', repeatable: true }],
  exitCodes: [10, 11, 12],
}
