import type { CommandDescription } from '../command.ts'
import {
  type FromRepositoryOptions,
  fromRepositoryOptions,
  refusedSecondRepository,
} from '../options/from-repository.ts'
import { flag, valueOr } from '../options/option.ts'
import { choiceKind } from '../options/values.ts'
import { usageError } from './usage.ts'

export type RepositoryVersionChoice = '1' | '2' | 'latest' | 'stable'

export interface InitOptions extends FromRepositoryOptions {
  readonly copyChunkerParams: boolean
  readonly repositoryVersion: RepositoryVersionChoice
}

export const initDescription: CommandDescription<InitOptions> = {
  name: 'init',
  group: 'everyday',
  summary: 'Make a new repository',
  description: `Makes an empty repository and its first key. The password is asked for twice on a terminal. Without the password nobody can read the repository, and nobody can recover it: keep it in a safe place that is not the machine you back up.

Files that are to be copied between two repositories are stored only once in the copy when both cut files at the same places: make the second one with --copy-chunker-params. Repositories of holdfast.yaml all cut as the first one of them that there is; without --repo, those that are missing are made.`,
  examples: [
    { line: 'holdfast init -r /srv/backup', does: 'make a repository in a folder' },
    {
      line: 'holdfast init -r /mnt/second --from-repo /srv/backup --copy-chunker-params',
      does: 'make one that copies of /srv/backup fit into well',
    },
  ],
  options: {
    ...fromRepositoryOptions,
    copyChunkerParams: flag('copy-chunker-params', 'cut files at the same places as the source repository'),
    repositoryVersion: valueOr(
      'repository-version',
      choiceKind('string', ['1', '2', 'latest', 'stable'] as const),
      'stable',
      'version of the format: 2, or 1 for programs that cannot read compressed data',
    ),
  },
  refused: refusedSecondRepository,
  arguments: [],
  check(options, _args) {
    if (!options.copyChunkerParams && (options.fromRepo !== undefined || options.fromRepositoryFile !== undefined))
      throw usageError(
        'a source repository was given, but nothing to take from it',
        'add --copy-chunker-params, or leave the source out',
      )
  },
}
