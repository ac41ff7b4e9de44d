import { type VerifyLevel, verifyLevels } from '../../config/shape.ts'
import { type BackupType, backupTypes } from '../../sources/source.ts'
import type { CommandDescription } from '../command.ts'
import { flag, value, valueOr } from '../options/option.ts'
import { sizeKind } from '../options/quantities.ts'
import { choiceKind, integerKind } from '../options/values.ts'
import { usageError } from './usage.ts'

export interface BackupRunOptions {
  readonly all: boolean
  readonly type: BackupType
  readonly parallel: number
  readonly spoolBytes: number
  /** Instead of what is configured. */
  readonly verify: VerifyLevel | undefined
}

export const backupRunDescription: CommandDescription<BackupRunOptions> = {
  name: 'backup:run',
  group: 'everyday',
  summary: 'Back up configured sources',
  description: `Backs up the sources of holdfast.yaml that are named, or all of them, each into the repositories it names. A source that fails does not stop the others, nor does a repository; the exit code is 1 when one failed, and 3 when all were backed up but some items could not be read.

A full run reads everything anew. An incremental one compares with the newest snapshot of the source, a differential one with the newest full one. Whatever it was, every snapshot is complete by itself and any of them may be removed.

A source is read once however many repositories it goes to. The first one that lies on this machine, else the first one named, is written from the source, the others from there while it is being written; when it fails on the way, the next one takes its place. A repository that missed runs gets their snapshots with the next one. Only repositories that cut files at other places (see "init") need a reading of their own. Where all are remote, packs wait on this machine's disk for the slower ones, in HOLDFAST_SPOOL_DIR or the folder for temporary files.

Afterwards each new snapshot is proved as far as "verify" of its source says, as verify:run does; what it shares with the snapshot before is not read again when that one is proved. The exit code is 4 when one is not as it should be.`,
  examples: [
    { line: 'holdfast backup:run --all', does: 'back up everything that is configured' },
    { line: 'holdfast backup:run shop uploads --type full', does: 'back up two sources, reading everything' },
  ],
  options: {
    all: flag('all', 'back up all sources'),
    type: valueOr('type', choiceKind('type', backupTypes), 'incremental', 'how to find what changed'),
    parallel: valueOr('parallel', integerKind('n', 1, 64), '2', 'sources to back up at the same time'),
    spoolBytes: valueOr(
      'spool',
      sizeKind('size'),
      '1G',
      'room for packs that wait for slower repositories when all are remote',
    ),
    verify: value(
      'verify',
      choiceKind('level', verifyLevels),
      'prove the new snapshots up to this level, whatever is configured',
    ),
  },
  arguments: [{ name: 'source', help: 'name of a source in holdfast.yaml', repeatable: true }],
  exitCodes: [2, 3, 4, 10, 11, 12],
  check({ all }, sources) {
    if (all && sources.length > 0) throw usageError('--all and names of sources cannot be given together')
    if (!all && sources.length === 0) throw usageError('no source was named', 'name sources, or give --all')
  },
}
