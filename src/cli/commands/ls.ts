import { toByteString } from '../../engine/archive/filter/index.ts'
import { rootOf } from '../../engine/repository/snapshot.ts'
import { textToByteString } from '../../engine/repository/tree/node.ts'
import { listSnapshot, sortListing } from '../../engine/restore/browse/list.ts'
import { resolveFolder } from '../../engine/restore/snapshot-folder.ts'
import { argumentBytes } from '../argument-bytes.ts'
import type { Command } from '../command.ts'
import { type LsOptions, lsDescription } from '../descriptions/ls.ts'
import { jsonListing, type ListingPrinter, ncduListing, sortedListing, textListing } from '../output/listing.ts'
import type { Output } from '../output/output.ts'
import { withRepository } from '../repository-session.ts'
import { chooseSnapshot } from '../snapshot-choice.ts'

export const lsCommand: Command<LsOptions> = {
  ...lsDescription,
  run(context, options, [reference, ...folders]) {
    return withRepository(context, { lock: 'read' }, async ({ repository, signal }) => {
      const { snapshot, subfolder } = await chooseSnapshot(repository, reference!, options, signal)
      await repository.loadIndex(signal)
      const tree = await resolveFolder(repository, rootOf(snapshot), textToByteString(subfolder), signal)
      const printer = printerOf(context.output, options, folders)
      printer.begin({ ...snapshot, tree })
      const listing = {
        folders: folders.map((folder) => toByteString(argumentBytes(folder))),
        recursive: options.recursive,
        signal,
      }
      await listSnapshot(repository, tree, listing, printer)
      printer.end()
      return 0
    })
  },
}

function printerOf(output: Output, options: LsOptions, folders: readonly string[]): ListingPrinter {
  if (options.ncdu) return ncduListing(output)
  const printer = output.json ? jsonListing(output) : textListing(output, folders, options)
  const order = options.sort === 'time' ? 'mtime' : options.sort
  if (order === 'name' && !options.reverse) return printer
  return sortedListing(printer, (entries) => sortListing(entries, order, options.reverse))
}
