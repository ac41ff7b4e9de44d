import type { StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { snapshotJson, storedSnapshotJson } from '../../engine/repository/snapshot.ts'
import { textToByteString } from '../../engine/repository/tree/node.ts'
import type { ListingObserver } from '../../engine/restore/browse/list.ts'
import type { FoundNode } from '../../engine/restore/browse/walk-snapshot.ts'
import { jsonLine } from './json.ts'
import { LineWriter } from './line-writer.ts'
import { listedNodeJson, ncduNodeJson } from './node-json.ts'
import { type NodeLineOptions, nodeLine } from './node-line.ts'
import type { Output } from './output.ts'
import { snapshotLine } from './snapshot-line.ts'

/** Prints the listing of a snapshot in one of the forms of `ls`. */
export interface ListingPrinter extends ListingObserver {
  begin(snapshot: StoredSnapshot): void
  end(): void
}

export function textListing(output: Output, folders: readonly string[], options: NodeLineOptions): ListingPrinter {
  const lines = new LineWriter(output)
  return {
    begin: (snapshot) => output.print(`${snapshotLine(snapshot)} filtered by [${folders.join(' ')}]:`),
    onEntry: ({ path, node }) => {
      const { before, name } = nodeLine(path, node, options)
      lines.line(before, name)
    },
    end: () => lines.flush(),
  }
}

export function jsonListing(output: Output): ListingPrinter {
  const lines = new LineWriter(output)
  const print = (value: object): void => lines.write(textToByteString(jsonLine(value)))
  return {
    begin: (snapshot) => print({ ...storedSnapshotJson(snapshot), message_type: 'snapshot', struct_type: 'snapshot' }),
    onEntry: ({ path, node }) => print(listedNodeJson(path, node)),
    end: () => lines.flush(),
  }
}

/** What `ncdu -f -` reads: nested lists, a folder being the first of its list. */
export function ncduListing(output: Output): ListingPrinter {
  const lines = new LineWriter(output)
  let depth = 1
  const indent = (): string => '  '.repeat(depth)
  const add = (text: string): void => lines.write(textToByteString(text))
  const addNode = ({ node }: FoundNode): void => {
    const json = jsonLine(ncduNodeJson(node)).trimEnd()
    if (node.type === 'dir') {
      add(`,\n${indent()}[\n${indent()}  ${json}`)
      depth++
    } else add(`,\n${indent()}${json}`)
  }
  return {
    begin: (snapshot) => add(`[1, 2, ${jsonLine(snapshotJson(snapshot)).trimEnd()}, [{"name":"/"}`),
    onEntry: addNode,
    onWay: addNode,
    onLeave: () => {
      depth--
      add(`\n${indent()}]`)
    },
    end: () => {
      add('\n]\n]\n')
      lines.flush()
    },
  }
}

/** Collects the entries of a listing, and prints them in another order. */
export function sortedListing(
  printer: ListingPrinter,
  sort: (entries: readonly FoundNode[]) => readonly FoundNode[],
): ListingPrinter {
  const entries: FoundNode[] = []
  return {
    begin: (snapshot) => printer.begin(snapshot),
    onEntry: (entry) => entries.push(entry),
    end: () => {
      for (const entry of sort(entries)) printer.onEntry(entry)
      printer.end()
    },
  }
}
