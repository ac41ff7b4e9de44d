import type { Timestamp } from '../../lib/go-time.ts'
import type { CommandDescription } from '../command.ts'
import { flag, list, value, valueOr } from '../options/option.ts'
import { type ExcludeOptions, excludeOptions } from '../options/patterns.ts'
import { sizeKind } from '../options/quantities.ts'
import {
  fileKind,
  type Grouping,
  groupingKind,
  integerKind,
  type MarkerFile,
  markerFileKind,
  tagsKind,
  textKind,
  timeKind,
} from '../options/values.ts'
import { atMostOneOf, usageError } from './usage.ts'

export interface BackupOptions extends ExcludeOptions {
  readonly parent: string | undefined
  readonly groupBy: Grouping
  readonly force: boolean
  readonly oneFileSystem: boolean
  readonly excludeIfPresent: readonly MarkerFile[]
  readonly excludeCaches: boolean
  readonly excludeLargerThanBytes: number | undefined
  readonly stdin: boolean
  readonly stdinFilename: string
  readonly stdinFromCommand: boolean
  readonly tags: readonly (readonly string[])[]
  readonly readConcurrency: number | undefined
  readonly host: string | undefined
  readonly filesFrom: readonly string[]
  readonly filesFromVerbatim: readonly string[]
  readonly filesFromRaw: readonly string[]
  readonly time: Timestamp | undefined
  readonly withAtime: boolean
  readonly ignoreInode: boolean
  readonly ignoreCtime: boolean
  readonly dryRun: boolean
  readonly noScan: boolean
  readonly skipIfUnchanged: boolean
}

export const backupDescription: CommandDescription<BackupOptions> = {
  name: 'backup',
  group: 'everyday',
  summary: 'Back up files and folders',
  description: `Stores the given files and folders in a new snapshot. Only what is not in the repository yet is stored; what did not change since the last snapshot of the same host and paths is not even read.

Files that cannot be read are named, the rest is backed up, and the exit code is 3.`,
  examples: [
    { line: 'holdfast backup /home /etc', does: 'back up two folders' },
    { line: 'holdfast backup --exclude-caches --exclude "*.tmp" ~/work', does: 'leave out caches and temporary files' },
    { line: 'holdfast backup --dry-run -vv /home', does: 'show what would be stored, file by file' },
    {
      line: 'holdfast backup --stdin-filename shop.sql --stdin-from-command -- pg_dump shop',
      does: 'store what a command prints; nothing is kept when it fails',
    },
    { line: 'holdfast backup ./run', does: 'back up a folder that is named like a verb' },
  ],
  options: {
    parent: value('parent', textKind('snapshot'), 'compare with this snapshot instead of the newest of the same group'),
    groupBy: valueOr(
      'group-by',
      groupingKind,
      'host,paths',
      'what makes snapshots a group when looking for the parent',
      { short: 'g' },
    ),
    force: flag('force', 'read every file again, changed or not', { short: 'f' }),
    ...excludeOptions,
    oneFileSystem: flag('one-file-system', 'stay on the file systems of the given paths', { short: 'x' }),
    excludeIfPresent: list(
      'exclude-if-present',
      markerFileKind,
      'leave out the content of folders that hold this file, with this beginning if one is given (repeatable)',
    ),
    excludeCaches: flag('exclude-caches', 'leave out the content of folders marked by a CACHEDIR.TAG file'),
    excludeLargerThanBytes: value('exclude-larger-than', sizeKind('size'), 'leave out larger files'),
    stdin: flag('stdin', 'back up what comes in on standard input'),
    stdinFilename: valueOr(
      'stdin-filename',
      textKind('filename'),
      'stdin',
      'name of the file in the snapshot for --stdin',
    ),
    stdinFromCommand: flag('stdin-from-command', 'the arguments are a command; back up what it prints'),
    tags: list('tag', { ...tagsKind, placeholder: 'tags' }, 'tags for the new snapshot (repeatable)'),
    readConcurrency: value('read-concurrency', integerKind('n'), 'how many files to read at the same time', {
      environment: 'READ_CONCURRENCY',
    }),
    host: value('host', textKind('hostname'), 'host name to note in the snapshot instead of this machine’s', {
      short: 'H',
      environment: 'HOST',
      aliases: [{ long: 'hostname', instead: '--host' }],
    }),
    filesFrom: list(
      'files-from',
      fileKind,
      'back up what the patterns in this file match, one in a line (repeatable, - for standard input)',
    ),
    filesFromVerbatim: list(
      'files-from-verbatim',
      fileKind,
      'back up the paths in this file, one in a line (repeatable)',
    ),
    filesFromRaw: list(
      'files-from-raw',
      fileKind,
      'back up the paths in this file, each ended by a zero byte (repeatable)',
    ),
    time: value('time', timeKind, 'time of the snapshot instead of now'),
    withAtime: flag('with-atime', 'store the times of last access'),
    ignoreInode: flag('ignore-inode', 'a new inode number or change time alone does not mean that a file changed'),
    ignoreCtime: flag('ignore-ctime', 'a new change time alone does not mean that a file changed'),
    dryRun: flag('dry-run', 'store nothing, print what would be done', { short: 'n' }),
    noScan: flag('no-scan', 'do not count beforehand; no remaining time is shown'),
    skipIfUnchanged: flag('skip-if-unchanged', 'make no snapshot when it would equal its parent'),
  },
  refused: [
    { long: 'use-fs-snapshot', takesValue: false, reason: 'it is for Windows only' },
    { long: 'exclude-cloud-files', takesValue: false, reason: 'it is for Windows and macOS only' },
  ],
  arguments: [
    {
      name: 'path',
      help: 'file or folder to back up; the command and its arguments with --stdin-from-command',
      repeatable: true,
      completes: 'file',
    },
  ],
  exitCodes: [3, 10, 11, 12],
  check(options, args) {
    const lists = {
      '--files-from': options.filesFrom.length > 0,
      '--files-from-verbatim': options.filesFromVerbatim.length > 0,
      '--files-from-raw': options.filesFromRaw.length > 0,
    }
    const fromStream = options.stdin || options.stdinFromCommand
    for (const [name, given] of Object.entries(lists)) {
      atMostOneOf({ '--stdin': options.stdin, [name]: given })
      atMostOneOf({ '--stdin-from-command': options.stdinFromCommand, [name]: given })
    }
    if (options.stdin && !options.stdinFromCommand && args.length > 0)
      throw usageError(`--stdin was given and also the path ${JSON.stringify(args[0])}`, 'give one of the two')
    if (options.stdinFromCommand && args.length === 0)
      throw usageError('--stdin-from-command was given without a command', 'write the command after --')
    if (!fromStream && args.length === 0 && !Object.values(lists).includes(true))
      throw usageError(
        'nothing to back up',
        'give files or folders, or one of --files-from, --stdin, --stdin-from-command',
      )
  },
}
