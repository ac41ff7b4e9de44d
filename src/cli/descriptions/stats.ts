import type { CommandDescription } from '../command.ts'
import { valueOr } from '../options/option.ts'
import { type SnapshotFilterOptions, snapshotFilterOptions } from '../options/snapshot-filter.ts'
import { choiceKind } from '../options/values.ts'

const modes = ['restore-size', 'files-by-contents', 'blobs-per-file', 'raw-data'] as const

export type StatsMode = (typeof modes)[number]

export interface StatsOptions extends SnapshotFilterOptions {
  readonly mode: StatsMode
}

export const statsDescription: CommandDescription<StatsOptions> = {
  name: 'stats',
  group: 'inspection',
  summary: 'Count files and bytes',
  description: `Adds up the snapshots in one of these ways:

restore-size: what a restore of each snapshot would write. files-by-contents: the same, files with equal content counted once. blobs-per-file: the blobs of these files, each once for each file. raw-data: what is stored in the repository, compressed.`,
  examples: [
    { line: 'holdfast stats latest', does: 'how much a restore of the newest snapshot would write' },
    { line: 'holdfast stats --mode raw-data', does: 'how much the repository holds, and the compression ratio' },
  ],
  options: {
    ...snapshotFilterOptions,
    mode: valueOr('mode', choiceKind('string', modes), 'restore-size', 'what to count'),
  },
  arguments: [{ name: 'snapshot', help: 'id or its beginning, or "latest"', repeatable: true }],
  exitCodes: [10, 11, 12],
}
