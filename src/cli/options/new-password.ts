import { flag, type OptionTable, value } from './option.ts'
import { fileKind, textKind } from './values.ts'

/** The key that `key add` and `key passwd` make. */
export interface NewKeyOptions {
  readonly newPasswordFile: string | undefined
  readonly newInsecureNoPassword: boolean
  /** Names kept in the key file, for people. */
  readonly user: string | undefined
  readonly host: string | undefined
}

export const newKeyOptions: OptionTable<NewKeyOptions> = {
  newPasswordFile: value('new-password-file', fileKind, 'read the new password from this file'),
  newInsecureNoPassword: flag('new-insecure-no-password', 'the new key has an empty password (insecure)'),
  user: value('user', textKind('string'), 'user name to note in the key file'),
  host: value('host', textKind('string'), 'host name to note in the key file'),
}
