import type { CommandDescription } from '../command.ts'
import { type NewKeyOptions, newKeyOptions } from '../options/new-password.ts'
import { checkNewKey } from './key-add.ts'

export const keyPasswdDescription: CommandDescription<NewKeyOptions> = {
  name: 'key passwd',
  group: 'maintenance',
  summary: 'Change the password',
  description: `Makes a new key with another password, tries it, and removes the key that was used to open the repository. Who has a copy of the old key file and knows the old password can still read the repository.`,
  examples: [{ line: 'holdfast key passwd', does: 'change the password; it is asked for twice' }],
  options: newKeyOptions,
  arguments: [],
  exitCodes: [10, 11, 12],
  check: checkNewKey,
}
