import type { CommandDescription } from '../command.ts'
import { type OptionTable, value } from '../options/option.ts'
import { fileKind } from '../options/values.ts'

export interface KeyImportOptions {
  readonly output: string | undefined
  readonly passphraseFile: string | undefined
}

export const keyImportDescription: CommandDescription<KeyImportOptions> = {
  name: 'key import',
  group: 'maintenance',
  summary: 'Open a repository by a recovery kit',
  description: `Reads pages of a recovery kit, checks that they belong together and that nobody changed them, opens the repository with what they hold, and writes the password to a file where --output names one. It needs no configuration. The repository is the one of -r, or else at the first location of the kit that can be opened.

Pages that are damaged, of another kit, or changed are named. When enough others are there, they are left out.`,
  examples: [
    { line: 'holdfast key import --output password kit.txt', does: 'a kit with a passphrase, which is asked for' },
    { line: 'holdfast key import --output password page-1.txt page-4.txt page-5.txt', does: 'a kit in shares' },
  ],
  options: {
    output: value('output', fileKind, 'write the password to this file, which must not be there'),
    passphraseFile: value('passphrase-file', fileKind, 'read the passphrase of the kit from this file'),
  } satisfies OptionTable<KeyImportOptions>,
  arguments: [
    { name: 'page', help: 'file with one or more pages', required: true, repeatable: true, completes: 'file' },
  ],
  exitCodes: [10, 12],
}
