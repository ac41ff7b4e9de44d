import type { RestorePoint } from '../../recovery/restore-point.ts'
import { type ProofLevel, proofLevels } from '../../sources/proof.ts'
import type { CommandDescription } from '../command.ts'
import { flag, value, valueOr } from '../options/option.ts'
import { restorePointKind } from '../options/recovery.ts'
import { choiceKind, fileKind, textKind } from '../options/values.ts'
import { usageError } from './usage.ts'

export interface VerifyRunOptions {
  readonly all: boolean
  readonly level: ProofLevel
  readonly at: RestorePoint
  readonly againstSource: boolean
  readonly assertionFile: string | undefined
  /** Name of a configured repository; undefined: all that the sources go to. */
  readonly repository: string | undefined
}

export const verifyRunDescription: CommandDescription<VerifyRunOptions> = {
  name: 'verify:run',
  group: 'everyday',
  summary: 'Prove that snapshots can be restored',
  description: `Looks at the newest snapshot of each source that is named, or of all, level by level, and keeps a record of what came of it in the repository. A snapshot can be named by its id instead of its source.

checksum: every byte the snapshot needs is read again and compared with its hash. structure: what is stored is whole and of its format. restore: it is restored into a sandbox, and a throw-away server starts on it. data: what was restored equals what was read when the snapshot was made, and the assertions of holdfast.yaml hold.

Each level includes those before it. What could not be looked at is not proved: the exit code is 4 then, as when something is wrong. Sandboxes are made in the folder for temporary files, or in HOLDFAST_SANDBOX_DIR, and removed.

With --against-source nothing is restored and no record is kept: the content of files is compared with the files there are now, and what differs is listed. The exit code is 4 when something does.`,
  examples: [
    { line: 'holdfast verify:run --all', does: 'prove the newest snapshot of every source as far as possible' },
    { line: 'holdfast verify:run shop --level restore', does: 'see whether a snapshot restores and its server starts' },
    { line: 'holdfast verify:run uploads --against-source', does: 'list what differs between backup and source' },
    { line: 'holdfast verify:run shop --at 2026-11-20', does: 'prove the last snapshot from before a day' },
  ],
  options: {
    all: flag('all', 'verify the newest snapshot of each source'),
    level: valueOr('level', choiceKind('level', proofLevels), 'data', 'how far to prove'),
    at: valueOr('at', restorePointKind, 'latest', 'which snapshot of the sources'),
    againstSource: flag('against-source', 'only compare the content of snapshots with what the sources hold now'),
    assertionFile: value(
      'assert',
      fileKind,
      'evaluate the assertions of this file as well: by source, as in holdfast.yaml',
    ),
    repository: value('repository', textKind('name'), 'only in this repository of holdfast.yaml'),
  },
  arguments: [{ name: 'source', help: 'name of a source in holdfast.yaml, or id of a snapshot', repeatable: true }],
  exitCodes: [2, 4, 10, 11, 12],
  check({ all }, names) {
    if (all && names.length > 0) throw usageError('--all and names cannot be given together')
    if (!all && names.length === 0) throw usageError('nothing was named', 'name sources or snapshots, or give --all')
  },
}
