import type { RestorePoint } from '../../recovery/restore-point.ts'
import type { Renaming, RestoreTarget } from '../../sources/restore.ts'
import type { CommandDescription } from '../command.ts'
import { flag, list, value, valueOr } from '../options/option.ts'
import { renamingKind, restorePointKind, restoreTargetKind } from '../options/recovery.ts'
import { textKind } from '../options/values.ts'
import { usageError } from './usage.ts'

export interface RestoreRunOptions {
  readonly all: boolean
  readonly at: RestorePoint
  readonly to: RestoreTarget | 'sandbox'
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  readonly rename: readonly Renaming[]
  readonly overwrite: boolean
  readonly dryRun: boolean
  readonly repository: string | undefined
}

export const restoreRunDescription: CommandDescription<RestoreRunOptions> = {
  name: 'restore:run',
  group: 'everyday',
  summary: 'Restore configured sources',
  description: `Restores the newest snapshot of each source that is named, or the one that --at names. First it says what it is going to do, and looks whether anything speaks against it; with --dry-run that is all.

Without --to, a new folder is made below HOLDFAST_SANDBOX_DIR, /var/lib/holdfast/sandboxes for root, else ~/.local/state/holdfast/sandboxes. A folder that is named is made, or has to be empty. The URL of a server restores into it. With --overwrite, what is in the target may be changed and removed. Several sources go to a folder each below the target.

A source with several repositories is restored from the best copy: one whose verification did not fail, on this machine before elsewhere, the fastest of those elsewhere; a little of each is read to see. When it fails on the way, the next one is taken, and what is in the folder by then is not written again.

What --include, --exclude and --rename mean is in the guide of each sort of source: tables, databases, namespaces, keys, paths.`,
  examples: [
    { line: 'holdfast restore:run shop --dry-run', does: 'say what restoring the newest snapshot would do' },
    { line: 'holdfast restore:run shop --at "2026-11-20 03:00" --to /srv/restored', does: 'restore into a folder' },
    { line: 'holdfast restore:run --all', does: 'restore everything that is configured into new folders' },
  ],
  options: {
    all: flag('all', 'restore all sources'),
    at: valueOr('at', restorePointKind, 'latest', 'which snapshot of the sources'),
    to: valueOr('to', restoreTargetKind, 'sandbox', 'where to restore to'),
    include: list('include', textKind('name'), 'restore only this (can be given several times)', { short: 'i' }),
    exclude: list('exclude', textKind('name'), 'do not restore this (can be given several times)', { short: 'e' }),
    rename: list('rename', renamingKind, 'restore under another name (can be given several times)'),
    overwrite: flag('overwrite', 'change and remove what is in the target'),
    dryRun: flag('dry-run', 'only say what would be done', { short: 'n' }),
    repository: value('repository', textKind('name'), 'from this repository of holdfast.yaml and no other'),
  },
  arguments: [{ name: 'source', help: 'name of a source in holdfast.yaml', repeatable: true }],
  exitCodes: [2, 3, 10, 11, 12],
  check({ all, to, at }, names) {
    if (all && names.length > 0) throw usageError('--all and names of sources cannot be given together')
    if (!all && names.length === 0) throw usageError('no source was named', 'name sources, or give --all')
    const several = all || names.length > 1
    if (several && to !== 'sandbox' && to.kind === 'server')
      throw usageError('several sources cannot go to one server', 'restore them one by one')
    if (several && at.kind === 'id') throw usageError('one snapshot is of one source', 'name that source, or a time')
  },
}
