import { flag, type OptionTable, type RefusedOption, value } from './option.ts'
import { fileKind, repositoryKind, textKind } from './values.ts'

/** The second repository of `init` and `copy`. */
export interface FromRepositoryOptions {
  readonly fromRepo: string | undefined
  readonly fromRepositoryFile: string | undefined
  readonly fromPasswordFile: string | undefined
  readonly fromPasswordCommand: string | undefined
  readonly fromKeyHint: string | undefined
  readonly fromInsecureNoPassword: boolean
}

export const fromRepositoryOptions: OptionTable<FromRepositoryOptions> = {
  fromRepo: value(
    'from-repo',
    repositoryKind,
    'the source repository: a location, or a name that holdfast.yaml gives one',
    { environment: 'FROM_REPOSITORY' },
  ),
  fromRepositoryFile: value(
    'from-repository-file',
    fileKind,
    'read the location of the source repository from this file',
    {
      environment: 'FROM_REPOSITORY_FILE',
    },
  ),
  fromPasswordFile: value('from-password-file', fileKind, 'read the password of the source repository from this file', {
    environment: 'FROM_PASSWORD_FILE',
  }),
  fromPasswordCommand: value(
    'from-password-command',
    textKind('command'),
    'run this command and take what it prints as the password of the source repository',
    { environment: 'FROM_PASSWORD_COMMAND' },
  ),
  fromKeyHint: value('from-key-hint', textKind('string'), 'id of the key file of the source repository to try first', {
    environment: 'FROM_KEY_HINT',
  }),
  fromInsecureNoPassword: flag('from-insecure-no-password', 'the source repository has an empty password (insecure)'),
}

const reason =
  'deprecated in restic since 0.14, and it names the destination in "copy" but the source in "init"; use --repo and the --from options'

/** The predecessors of the options above. */
export const refusedSecondRepository: readonly RefusedOption[] = [
  'repo2',
  'repository-file2',
  'password-file2',
  'key-hint2',
  'password-command2',
].map((long) => ({ long, takesValue: true, reason }))
