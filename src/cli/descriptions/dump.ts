import type { CommandDescription } from '../command.ts'
import { value, valueOr } from '../options/option.ts'
import { latestFilterOptions, type SnapshotFilterOptions } from '../options/snapshot-filter.ts'
import { choiceKind, fileKind } from '../options/values.ts'

const formats = ['tar', 'zip'] as const

export type ArchiveFormat = (typeof formats)[number]

export interface DumpOptions extends SnapshotFilterOptions {
  readonly archive: ArchiveFormat
  readonly target: string | undefined
}

export const dumpDescription: CommandDescription<DumpOptions> = {
  name: 'dump',
  group: 'everyday',
  summary: 'Print a file of a snapshot, or a folder as an archive',
  description: `Writes one file as it is, or a folder as a tar or zip archive, to standard output or a file. "/" is the whole snapshot. SNAPSHOT:FOLDER puts the content of the folder at the top of the archive.`,
  examples: [
    { line: 'holdfast dump latest /etc/fstab', does: 'print a file' },
    { line: 'holdfast dump -a zip -t photos.zip latest:/home/ann photos', does: 'a folder as a zip file' },
    { line: 'holdfast dump latest /srv | tar -x -C /tmp/look', does: 'unpack a folder elsewhere' },
  ],
  options: {
    ...latestFilterOptions,
    archive: valueOr('archive', choiceKind('format', formats), 'tar', 'kind of archive for a folder', { short: 'a' }),
    target: value('target', { ...fileKind, placeholder: 'path' }, 'write to this file', { short: 't' }),
  },
  arguments: [
    { name: 'snapshot', help: 'id or its beginning, or "latest"', required: true },
    { name: 'path', help: 'file or folder in the snapshot', required: true },
  ],
  exitCodes: [10, 11, 12],
}
