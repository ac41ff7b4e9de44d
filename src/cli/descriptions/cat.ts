import type { CommandDescription } from '../command.ts'
import { type NoOptions, noOptions } from '../options/option.ts'
import { usageError } from './usage.ts'

/** What can be printed. */
export const catTypes = ['config', 'index', 'snapshot', 'key', 'masterkey', 'lock', 'pack', 'blob', 'tree'] as const

export type CatType = (typeof catTypes)[number]

export const catDescription: CommandDescription<NoOptions> = {
  name: 'cat',
  group: 'inspection',
  summary: 'Print a part of the repository',
  description:
    'Prints what is stored under an id: files of the repository decrypted, packs as they are. "masterkey" prints the secret that decrypts everything.',
  examples: [
    { line: 'holdfast cat config', does: 'version and id of the repository' },
    { line: 'holdfast cat snapshot latest', does: 'a snapshot' },
    { line: 'holdfast cat tree latest:/etc', does: 'a folder of a snapshot' },
  ],
  options: noOptions,
  arguments: [
    { name: 'type', help: catTypes.join(', '), required: true, completes: catTypes },
    { name: 'id', help: 'of the thing; for a tree SNAPSHOT:FOLDER' },
  ],
  exitCodes: [10, 11, 12],
  check(_options, args) {
    const [type] = args
    if (!(catTypes as readonly (string | undefined)[]).includes(type))
      throw usageError(`${JSON.stringify(type)} is not a type of thing to print`, `give one of ${catTypes.join(', ')}`)
    if (type !== 'config' && type !== 'masterkey' && args.length < 2) throw usageError(`no id of the ${type} was given`)
  },
}
