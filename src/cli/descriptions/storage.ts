import type { CommandDescription } from '../command.ts'
import { flag, value, valueOr } from '../options/option.ts'
import { durationKind, sizeKind } from '../options/quantities.ts'
import { integerKind } from '../options/values.ts'
import { usageError } from './usage.ts'

const place = {
  name: 'repository',
  help: 'a location, or a name in holdfast.yaml; else as by --repo',
  completes: 'repository',
} as const

const atMostOne = (args: readonly string[]): void => {
  if (args.length > 1) throw usageError('only one repository can be given')
}

export interface StorageVerifyOptions {
  readonly objects: number
  readonly largeBytes: number
}

export const storageVerifyDescription: CommandDescription<StorageVerifyOptions> = {
  name: 'storage:verify',
  group: 'inspection',
  summary: 'Try whether a store can be relied on',
  description: `Writes, reads, lists and removes files in a new place within the store, and looks whether it does what repositories rely on: files are whole or absent, names are written once, listings are complete. Then it looks how the place is set up: who may read it, whether the connection is encrypted, what happens to what is deleted, where it lies. The repository itself is not touched, and no password is needed.

The exit code is 4 when a promise is broken or something is set up badly. What could not be looked at, for instance for want of a permission, is shown as "unknown" and does not count.`,
  examples: [
    { line: 'holdfast storage:verify gs:backups:/shop', does: 'try a bucket before it is used' },
    { line: 'holdfast storage:verify offsite', does: 'try the store of a configured repository' },
  ],
  options: {
    objects: valueOr(
      'objects',
      integerKind('number', 1, 1_000_000),
      '1500',
      'how many files to list; each is a request',
    ),
    largeBytes: valueOr('large-file', sizeKind('size'), '20M', 'size of the largest file to write'),
  },
  arguments: [place],
  exitCodes: [2, 4],
  check: (_, args) => atMostOne(args),
}

export interface StorageUsageOptions {
  readonly withoutSnapshots: boolean
}

export const storageUsageDescription: CommandDescription<StorageUsageOptions> = {
  name: 'storage:usage',
  group: 'inspection',
  summary: 'Show what a repository takes in its store',
  description: `Adds up the files of the repository by kind and by class of storage, with those that are hidden: old versions and deleted files that the store still keeps and charges for. Free space is shown where the store tells it.

Growth is what each month's backups added, as their snapshots say. It leaves out what was removed since. Costs are estimated from "prices" of the repository in holdfast.yaml; requests and traffic are not in it.`,
  examples: [{ line: 'holdfast storage:usage offsite', does: 'show bytes, growth and the estimated cost of a month' }],
  options: {
    withoutSnapshots: flag(
      'without-snapshots',
      'do not open the repository: no password is needed, and no growth shown',
    ),
  },
  arguments: [place],
  exitCodes: [2, 10, 12],
  check: (_, args) => atMostOne(args),
}

export interface StorageSpeedOptions {
  readonly bytes: number
  readonly fileBytes: number
}

export const storageSpeedDescription: CommandDescription<StorageSpeedOptions> = {
  name: 'storage:speed',
  group: 'inspection',
  summary: 'Measure how fast a store is written and read',
  description:
    'Writes random files to a new place within the store, reads them back, and removes them. As many calls run at the same time as in a backup; limits of bandwidth hold.',
  examples: [{ line: 'holdfast storage:speed offsite --bytes 512M', does: 'measure with half a GiB each way' }],
  options: {
    bytes: valueOr('bytes', sizeKind('size'), '128M', 'how much to write and to read'),
    fileBytes: valueOr('file-size', sizeKind('size'), '16M', 'size of each file; packs are 16M'),
  },
  arguments: [place],
  exitCodes: [2],
  check({ bytes, fileBytes }, args) {
    atMostOne(args)
    if (bytes === 0 || fileBytes === 0) throw usageError('a size must be above zero')
  },
}

export interface StorageUndeleteOptions {
  readonly dryRun: boolean
  readonly withinMs: number | undefined
}

export const storageUndeleteDescription: CommandDescription<StorageUndeleteOptions> = {
  name: 'storage:undelete',
  group: 'maintenance',
  summary: 'Take back deletions that the store still can',
  description: `Brings back files of the repository that were deleted while the store kept their content: behind a mark of deletion where versions are on, or by soft delete. It is for what was done by mistake or with a stolen credential. Locks stay deleted.

Where soft delete is on, it also brings back what prune removed; that does no harm, and the next prune removes it again. --within keeps to what was deleted lately.`,
  examples: [
    { line: 'holdfast storage:undelete offsite --dry-run', does: 'show what could be brought back' },
    { line: 'holdfast storage:undelete offsite --within 24h', does: 'take back the deletions of a day' },
  ],
  options: {
    dryRun: flag('dry-run', 'only show what would be brought back', { short: 'n' }),
    withinMs: value('within', durationKind, 'only what was deleted within this time'),
  },
  arguments: [place],
  exitCodes: [2],
  check: (_, args) => atMostOne(args),
}
