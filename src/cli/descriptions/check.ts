import type { CommandDescription } from '../command.ts'
import { flag, value } from '../options/option.ts'
import { type ReadSubset, readSubsetKind } from '../options/quantities.ts'
import { type SnapshotFilterOptions, snapshotFilterOptions } from '../options/snapshot-filter.ts'
import { atMostOneOf } from './usage.ts'

export interface CheckOptions extends SnapshotFilterOptions {
  readonly readData: boolean
  readonly readDataSubset: ReadSubset | undefined
  readonly withCache: boolean
}

export const checkDescription: CommandDescription<CheckOptions> = {
  name: 'check',
  group: 'maintenance',
  summary: 'Look for damage in the repository',
  description: `Checks that indexes, packs, snapshots and folders fit together. With --read-data every byte is read, decrypted and compared with its checksum as well; --read-data-subset does so for a part, for example another seventh each day.

The exit code is 1 when damage was found.`,
  examples: [
    { line: 'holdfast check', does: 'check the structure' },
    { line: 'holdfast check --read-data', does: 'read everything' },
    { line: 'holdfast check --read-data-subset 2/7', does: 'read the second of seven parts' },
    { line: 'holdfast check --read-data-subset 5%', does: 'read a random twentieth' },
  ],
  options: {
    readData: flag('read-data', 'read all packs and verify every blob'),
    readDataSubset: value(
      'read-data-subset',
      readSubsetKind,
      'read part n of t (n/t), a random share (x%) or a random amount (10G)',
    ),
    withCache: flag('with-cache', 'use the cache instead of reading again what it holds'),
    ...snapshotFilterOptions,
  },
  retired: [{ long: 'check-unused', note: '"prune --dry-run" tells what is unused' }],
  arguments: [
    { name: 'snapshot', help: 'check only what these need: id or its beginning, or "latest"', repeatable: true },
  ],
  exitCodes: [10, 11, 12],
  check(options) {
    atMostOneOf({ '--read-data': options.readData, '--read-data-subset': options.readDataSubset !== undefined })
  },
}
