import type { CommandDescription } from '../command.ts'
import { flag } from '../options/option.ts'

export interface DiffOptions {
  readonly metadata: boolean
}

export const diffDescription: CommandDescription<DiffOptions> = {
  name: 'diff',
  group: 'everyday',
  summary: 'Show what differs between two snapshots',
  description: `Lists what was added (+), removed (-), changed in content (M), changed in type (T) from the first snapshot to the second, and with --metadata also what changed in attributes only (U). A question mark means that content differs though size and times are the same: somebody or something changed the file behind the back of the file system.

SNAPSHOT:FOLDER compares one folder of a snapshot.`,
  examples: [
    { line: 'holdfast diff 5845b002 2ab627a6', does: 'compare two snapshots' },
    { line: 'holdfast diff 5845b002:/home/ann latest:/home/ann', does: 'compare one folder' },
  ],
  options: { metadata: flag('metadata', 'also changes of attributes') },
  arguments: [
    { name: 'snapshot', help: 'the older one: id or its beginning, "latest", with or without :folder', required: true },
    { name: 'snapshot', help: 'the newer one', required: true },
  ],
  exitCodes: [10, 11, 12],
}
