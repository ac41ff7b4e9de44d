import type { CommandDescription } from '../command.ts'
import { flag, type OptionTable, value } from '../options/option.ts'
import { fileKind, repositoryKind } from '../options/values.ts'
import { atMostOneOf, usageError } from './usage.ts'

export interface KeyRotateOptions {
  readonly newPasswordFile: string | undefined
  readonly master: boolean
  readonly to: string | undefined
  readonly write: boolean
  readonly finish: boolean
  readonly from: string | undefined
}

export const keyRotateDescription: CommandDescription<KeyRotateOptions> = {
  name: 'key rotate',
  group: 'maintenance',
  summary: 'Put a new key in the place of the one in use',
  description: `Seals the password of the repository anew for all keys that the configuration names, in a new key file, tries every one of them, and removes the old key file. A repository that has been opened by a typed password gets a new random one, unless the configuration names its password. Keys of AWS KMS seal anew with ReEncrypt. Without configured keys the password is changed to the one of --new-password-file, or one that is asked for.

When it is cut off, the repository opens as before or by the new key, and running it again finishes what was begun.

The repository keeps its master key: who has a copy of an old key file and what opens that can still read it. With --master everything is copied to a new repository at --to, which has a master key of its own, and all of that is read. Nothing else changes, unless --write has the new url written to the configuration. The old repository stays until --finish removes it, which it does only when each of its snapshots is in the new one. All of these go on where they were cut off.`,
  examples: [
    { line: 'holdfast key rotate', does: 'seal the password anew for all configured keys' },
    {
      line: 'holdfast -r /srv/repository --password-file old key rotate --new-password-file new',
      does: 'change the password',
    },
    {
      line: 'holdfast key rotate --master --to /srv/next --write',
      does: 'move to a new repository with another master key',
    },
    { line: 'holdfast key rotate --finish --from /srv/old', does: 'remove the repository there was before' },
  ],
  options: {
    newPasswordFile: value(
      'new-password-file',
      fileKind,
      'without configured keys: read the new password from this file',
    ),
    master: flag('master', 'copy everything to a new repository that has a master key of its own'),
    to: value('to', repositoryKind, 'with --master: where the new repository is, or is to be'),
    write: flag('write', 'with --master: write the new url to the configuration'),
    finish: flag('finish', 'remove the repository that a rotation with --master has left'),
    from: value('from', repositoryKind, 'with --finish: where that repository is'),
  } satisfies OptionTable<KeyRotateOptions>,
  arguments: [],
  exitCodes: [3, 10, 11, 12, 13],
  check({ master, to, write, finish, from, newPasswordFile }) {
    atMostOneOf({ '--master': master, '--finish': finish, '--new-password-file': newPasswordFile !== undefined })
    if (master !== (to !== undefined))
      throw usageError('--master and --to belong together', 'as in: --master --to PLACE')
    if (finish !== (from !== undefined))
      throw usageError('--finish and --from belong together', 'as in: --finish --from PLACE')
    if (write && !master) throw usageError('--write is for --master')
  },
}
