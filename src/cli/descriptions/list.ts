import type { CommandDescription } from '../command.ts'
import { type NoOptions, noOptions } from '../options/option.ts'
import { usageError } from './usage.ts'

/** What can be listed. */
export const listTypes = ['blobs', 'packs', 'index', 'snapshots', 'keys', 'locks'] as const

export type ListType = (typeof listTypes)[number]

export const listDescription: CommandDescription<NoOptions> = {
  name: 'list',
  group: 'inspection',
  summary: 'List ids of one type',
  description: 'Prints the ids of all things of one type in the repository, one in a line.',
  examples: [
    { line: 'holdfast list snapshots', does: 'ids of all snapshots' },
    { line: 'holdfast list blobs', does: 'types and ids of everything stored in packs' },
  ],
  options: noOptions,
  arguments: [{ name: 'type', help: listTypes.join(', '), required: true, completes: listTypes }],
  exitCodes: [10, 11, 12],
  check(_options, args) {
    if (!(listTypes as readonly (string | undefined)[]).includes(args[0]))
      throw usageError(
        `${JSON.stringify(args[0])} is not a type of thing to list`,
        `give one of ${listTypes.join(', ')}`,
      )
  },
}
