import type { CommandDescription } from '../command.ts'
import { type NewKeyOptions, newKeyOptions } from '../options/new-password.ts'
import { atMostOneOf } from './usage.ts'

export const keyAddDescription: CommandDescription<NewKeyOptions> = {
  name: 'key add',
  group: 'maintenance',
  summary: 'Add a password',
  description:
    'Makes a further key of the repository with a password of its own, and tries it. The new password is asked for twice on a terminal.',
  examples: [
    { line: 'holdfast key add --user ann', does: 'a password for somebody else' },
    { line: 'holdfast key add --new-password-file /root/second', does: 'take the new password from a file' },
  ],
  options: newKeyOptions,
  arguments: [],
  exitCodes: [10, 11, 12],
  check: checkNewKey,
}

export function checkNewKey(options: NewKeyOptions): void {
  atMostOneOf({
    '--new-password-file': options.newPasswordFile !== undefined,
    '--new-insecure-no-password': options.newInsecureNoPassword,
  })
}
