import type { CommandDescription } from '../command.ts'
import { list, type OptionTable, value } from '../options/option.ts'
import { directoryKind, fileKind, integerKind, textKind } from '../options/values.ts'
import { usageError } from './usage.ts'

export interface KeyExportOptions {
  readonly output: string | undefined
  readonly passphraseFile: string | undefined
  readonly shares: number | undefined
  readonly needed: number | undefined
  readonly locations: readonly string[]
}

export const keyExportDescription: CommandDescription<KeyExportOptions> = {
  name: 'key export',
  group: 'maintenance',
  summary: 'Make a recovery kit to be printed',
  description: `Makes a recovery kit: pages with the locations of the repository, a password of its own, and what to do with them on a blank machine, with Holdfast or with restic alone. The password is sealed by a passphrase, which is asked for or read from a file, or split so that any --needed of --shares pages open it together and fewer tell nothing.

A kit has a key file of its own in the repository, so rotations leave it as it is, and "key remove" takes its effect away. After "key rotate --master" make a new one.`,
  examples: [
    { line: 'holdfast key export --output /media/stick', does: 'one page, sealed by a passphrase' },
    {
      line: 'holdfast key export --output /media/stick --shares 5 --needed 3',
      does: 'five pages for five people, any three of whom can restore',
    },
  ],
  options: {
    output: value('output', directoryKind, 'write the pages to this folder'),
    passphraseFile: value('passphrase-file', fileKind, 'read the passphrase from this file'),
    shares: value('shares', integerKind('n', 2, 16), 'split the password onto so many pages'),
    needed: value('needed', integerKind('n', 2, 16), 'how many of them open it'),
    locations: list('location', textKind('location'), 'print this location, too (can be given several times)'),
  } satisfies OptionTable<KeyExportOptions>,
  arguments: [],
  exitCodes: [10, 11, 12, 13],
  check({ output, shares, needed, passphraseFile }) {
    if (output === undefined) throw usageError('--output is missing', 'name a folder for the pages')
    if ((shares === undefined) !== (needed === undefined))
      throw usageError('--shares and --needed belong together', 'as in: --shares 5 --needed 3')
    if (shares !== undefined && passphraseFile !== undefined)
      throw usageError('--shares and --passphrase-file cannot be given together', 'leave one of the two out')
  },
}
