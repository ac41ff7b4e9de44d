import { type CalendarDuration, parseCalendarDuration } from '../../lib/durations.ts'
import type { CommandDescription } from '../command.ts'
import { flag, type ValueKind, value } from '../options/option.ts'
import { repositoryKind, textKind } from '../options/values.ts'
import { usageError } from './usage.ts'

export interface BackupArchiveOptions {
  readonly olderThan: CalendarDuration | undefined
  readonly to: string | undefined
  readonly toPassword: string | undefined
  readonly from: string | undefined
  readonly dryRun: boolean
}

/** Calendar durations, and weeks. */
const ageKind: ValueKind<CalendarDuration> = {
  placeholder: 'age',
  expects: 'an age like 90d, 12w, 6m or 1y',
  parse(text) {
    const weeks = /^([0-9]{1,6})w$/.exec(text)?.[1]
    const age = parseCalendarDuration(weeks === undefined ? text : `${Number(weeks) * 7}d`)
    if (Object.values(age).some((part) => part < 0)) throw new Error('is negative')
    return age
  },
}

export const backupArchiveDescription: CommandDescription<BackupArchiveOptions> = {
  name: 'backup:archive',
  group: 'maintenance',
  summary: 'Move old snapshots of configured sources to another repository',
  description: `Moves the snapshots of the named sources, or of all, that are older than --older-than from their repositories to the one of --to: a name of holdfast.yaml, or a location with its password in --to-password. They are copied as "copy" does; then every byte they need is read again there and compared with its checksum, and the outcome is kept as a record of verification; only what passed is removed from where it was. The newest snapshot of each source stays in its repository, however old it is.

Wherever this is cut off, nothing is lost, and running it again goes on. The room of what was moved is given back by "prune".`,
  examples: [
    { line: 'holdfast backup:archive --older-than 90d --to cold --dry-run', does: 'see what would be moved' },
    {
      line: 'holdfast backup:archive shop --older-than 1y --to /mnt/archive --to-password file:/etc/holdfast/archive',
      does: 'move the old snapshots of one source',
    },
  ],
  options: {
    olderThan: value('older-than', ageKind, 'move what is older: days, weeks, months or years, as 90d, 12w, 6m, 1y'),
    to: value('to', repositoryKind, 'the archive: a name of holdfast.yaml, or a location'),
    toPassword: value(
      'to-password',
      textKind('reference'),
      'where the password of a location is: env:NAME or file:PATH',
    ),
    from: value('from', textKind('name'), 'move only from this repository of holdfast.yaml'),
    dryRun: flag('dry-run', 'say what would be moved, and do nothing', { short: 'n' }),
  },
  arguments: [{ name: 'source', help: 'name of a source in holdfast.yaml; none: all', repeatable: true }],
  exitCodes: [2, 3, 4, 10, 11, 12],
  check({ olderThan, to }) {
    if (olderThan === undefined) throw usageError('no age was given', 'say which snapshots are old: --older-than 90d')
    if (to === undefined) throw usageError('no archive was given', 'name it with --to')
  },
}
