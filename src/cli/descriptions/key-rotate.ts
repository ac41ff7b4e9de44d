import type { CommandDescription } from '../command.ts'
import { type OptionTable, value } from '../options/option.ts'
import { fileKind } from '../options/values.ts'

export interface KeyRotateOptions {
  readonly newPasswordFile: string | undefined
}

export const keyRotateDescription: CommandDescription<KeyRotateOptions> = {
  name: 'key rotate',
  group: 'maintenance',
  summary: 'Put a new key in the place of the one in use',
  description: `Seals the password of the repository anew for all keys that the configuration names, in a new key file, tries every one of them, and removes the old key file. A repository that has been opened by a typed password gets a new random one, unless the configuration names its password. Keys of AWS KMS seal anew with ReEncrypt. Without configured keys the password is changed to the one of --new-password-file, or one that is asked for.

When it is cut off, the repository opens as before or by the new key, and running it again finishes what was begun.

The repository keeps its master key: who has a copy of an old key file and what opens that can still read it.`,
  examples: [
    { line: 'holdfast key rotate', does: 'seal the password anew for all configured keys' },
    {
      line: 'holdfast -r /srv/repository --password-file old key rotate --new-password-file new',
      does: 'change the password',
    },
  ],
  options: {
    newPasswordFile: value(
      'new-password-file',
      fileKind,
      'without configured keys: read the new password from this file',
    ),
  } satisfies OptionTable<KeyRotateOptions>,
  arguments: [],
  exitCodes: [10, 11, 12, 13],
}
