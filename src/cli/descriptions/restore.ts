import { resolve } from 'node:path'
import type { CommandDescription } from '../command.ts'
import { flag, list, value, valueOr } from '../options/option.ts'
import { type ExcludeOptions, excludeOptions, type IncludeOptions, includeOptions } from '../options/patterns.ts'
import { latestFilterOptions, type SnapshotFilterOptions } from '../options/snapshot-filter.ts'
import { choiceKind, directoryKind, textKind } from '../options/values.ts'
import { atMostOneOf, hasPatterns, usageError } from './usage.ts'

const overwriteModes = ['always', 'if-changed', 'if-newer', 'never'] as const

export type OverwriteMode = (typeof overwriteModes)[number]

export interface RestoreOptions extends SnapshotFilterOptions, ExcludeOptions, IncludeOptions {
  readonly target: string | undefined
  readonly excludeXattrs: readonly string[]
  readonly includeXattrs: readonly string[]
  readonly dryRun: boolean
  readonly sparse: boolean
  readonly verify: boolean
  readonly overwrite: OverwriteMode
  readonly delete: boolean
  readonly ownershipByName: boolean
}

export const restoreDescription: CommandDescription<RestoreOptions> = {
  name: 'restore',
  group: 'everyday',
  summary: 'Bring back the files of a snapshot',
  description: `Writes a snapshot, one folder of it (SNAPSHOT:FOLDER), or what the patterns choose, below the target folder, with modes, owners, times, links and extended attributes. Files that are there already are rewritten only where they differ.

Owners are restored by number when run as root. ACLs are always restored by number.`,
  examples: [
    { line: 'holdfast restore latest --target /tmp/restored', does: 'everything, to a new folder' },
    { line: 'holdfast restore latest:/home/ann --target /home/ann --include "*.odt"', does: 'some files, in place' },
    { line: 'holdfast restore 79766175 --target / --include /etc --dry-run -vv', does: 'see what would be changed' },
    {
      line: 'holdfast restore latest --target /srv --delete --verify',
      does: 'make a folder equal to the snapshot, then read it again',
    },
  ],
  options: {
    target: value('target', { ...directoryKind, placeholder: 'string' }, 'folder to restore to', { short: 't' }),
    ...excludeOptions,
    ...includeOptions,
    excludeXattrs: list('exclude-xattr', textKind('pattern'), 'leave out extended attributes that match (repeatable)'),
    includeXattrs: list(
      'include-xattr',
      textKind('pattern'),
      'restore only extended attributes that match (repeatable)',
    ),
    ...latestFilterOptions,
    dryRun: flag('dry-run', 'write nothing, print what would be done'),
    sparse: flag('sparse', 'leave holes instead of writing zeros'),
    verify: flag('verify', 'read all restored files again and compare them'),
    overwrite: valueOr(
      'overwrite',
      choiceKind('behavior', overwriteModes),
      'always',
      'which existing files to replace',
    ),
    delete: flag('delete', 'remove from the target what is not in the snapshot; try it with --dry-run -vv first'),
    ownershipByName: flag('ownership-by-name', 'restore owners by name instead of number (ACLs stay by number)'),
  },
  arguments: [{ name: 'snapshot', help: 'id or its beginning, or "latest", with or without :folder', required: true }],
  exitCodes: [10, 11, 12],
  check(options) {
    if (options.target === undefined || options.target === '')
      throw usageError('no folder to restore to', 'name one with --target')
    const patterns = hasPatterns(options)
    if (patterns.excludes && patterns.includes)
      throw usageError(
        'patterns to leave out and patterns to take cannot be given together',
        'use --exclude or --include',
      )
    atMostOneOf({
      '--exclude-xattr': options.excludeXattrs.length > 0,
      '--include-xattr': options.includeXattrs.length > 0,
    })
    atMostOneOf({ '--dry-run': options.dryRun, '--verify': options.verify })
    if (options.delete && resolve(options.target) === '/' && !patterns.excludes && !patterns.includes)
      throw usageError(
        '--delete with --target / would empty this machine',
        'say what is meant with --include or --exclude',
      )
  },
}
