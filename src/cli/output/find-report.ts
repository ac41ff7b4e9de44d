import type { BlobLocation } from '../../engine/repository/blob.ts'
import type { StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { byteStringToText, textToByteString } from '../../engine/repository/tree/node.ts'
import type { FindObserver } from '../../engine/restore/browse/find-files.ts'
import type { FindObjectsObserver, FoundObject } from '../../engine/restore/browse/find-objects.ts'
import type { FoundNode } from '../../engine/restore/browse/walk-snapshot.ts'
import { formatTime } from '../../lib/go-time.ts'
import { type Id, shortId } from '../../lib/id.ts'
import { jsonLine } from './json.ts'
import { LineWriter } from './line-writer.ts'
import { formatLocalTime } from './local-time.ts'
import { foundNodeJson } from './node-json.ts'
import { type NodeLineOptions, nodeLine } from './node-line.ts'
import type { Output } from './output.ts'

export interface FindReportOptions extends NodeLineOptions {
  /** Where a blob lies; given when that is to be shown. */
  readonly locate?: ((found: FoundObject) => BlobLocation | undefined) | undefined
}

/** Prints what `find` finds, as restic does: in JSON one array, of snapshots with their matches or of objects. */
export class FindReport {
  /** Folders that could not be searched. */
  unreadable = 0
  readonly #output: Output
  readonly #options: FindReportOptions
  readonly #lines: LineWriter
  /** Objects whose place is to be shown at the end, by id. */
  readonly #located = new Map<Id, FoundObject>()
  #snapshot: StoredSnapshot | undefined
  #hits = 0

  constructor(output: Output, options: FindReportOptions) {
    this.#output = output
    this.#options = options
    this.#lines = new LineWriter(output)
  }

  files(): FindObserver {
    return {
      onFound: (snapshot, found) =>
        this.#output.json ? this.#addMatch(snapshot, found) : this.#print(snapshot, found),
      onUnreadable: (snapshot, tree, error) => this.#cannotSearch(snapshot, tree, error),
    }
  }

  objects(): FindObjectsObserver {
    return {
      onFound: (snapshot, found) =>
        this.#output.json ? this.#addObject(snapshot, found) : this.#printObject(snapshot, found),
      onUnreadable: (snapshot, tree, error) => this.#cannotSearch(snapshot, tree, error),
    }
  }

  end(): void {
    if (this.#output.json) {
      this.#endSnapshot()
      this.#add(this.#hits === 0 ? '[]\n' : ']\n')
    } else for (const found of this.#located.values()) this.#printPack(found)
    this.#lines.flush()
  }

  #print(snapshot: StoredSnapshot, { path, node }: FoundNode): void {
    if (snapshot !== this.#snapshot) {
      const isFirst = this.#snapshot === undefined
      this.#snapshot = snapshot
      if (this.#output.verbosity > 0)
        this.#add(
          `${isFirst ? '' : '\n'}Found matching entries in snapshot ${shortId(snapshot.id)} from ${formatLocalTime(snapshot.time)}\n`,
        )
    }
    const { before, name } = nodeLine(path, node, this.#options)
    this.#lines.line(before, name)
  }

  #addMatch(snapshot: StoredSnapshot, { path, node }: FoundNode): void {
    if (snapshot !== this.#snapshot) {
      this.#endSnapshot()
      this.#add(this.#snapshot === undefined ? '[{"matches":[' : ',{"matches":[')
      this.#snapshot = snapshot
      this.#hits = 0
    }
    this.#add((this.#hits === 0 ? '' : ',') + jsonLine(foundNodeJson(path, node)).trimEnd())
    this.#hits++
  }

  #endSnapshot(): void {
    if (this.#snapshot !== undefined) this.#add(`],"hits":${this.#hits},"snapshot":"${this.#snapshot.id}"}`)
  }

  #printObject(snapshot: StoredSnapshot, found: FoundObject): void {
    const { type, id, path, parentTree } = found
    this.#add(`Found ${type} ${id}\n`)
    this.#lines.line(type === 'blob' ? ' ... in file ' : ' ... path ', path)
    if (parentTree !== undefined) this.#add(`     (tree ${parentTree})\n`)
    this.#add(` ... in snapshot ${shortId(snapshot.id)} (${formatLocalTime(snapshot.time)})\n`)
    if (this.#options.locate !== undefined) this.#located.set(id, found)
  }

  #printPack(found: FoundObject): void {
    const location = this.#options.locate?.(found)
    if (location === undefined) return
    const { pack, offset, length, uncompressedLength } = location
    const blob = `Blob (${found.type === 'blob' ? 'data' : 'tree'}) ${shortId(found.id)}`
    const place = `offset ${offset}, length ${length}, uncompressed length ${uncompressedLength}`
    this.#add(`Object belongs to pack ${pack}\n ... Pack ${shortId(pack)}: <${blob}, ${place}>\n`)
  }

  #addObject({ id: snapshot, time }: StoredSnapshot, found: FoundObject): void {
    const { type, id, path, parentTree } = found
    const object = {
      object_type: type,
      id,
      path: byteStringToText(path),
      parent_tree: parentTree,
      snapshot,
      time: formatTime(time),
      pack: this.#options.locate?.(found)?.pack,
    }
    this.#add((this.#hits === 0 ? '[' : ',') + jsonLine(object).trimEnd())
    this.#hits++
  }

  #cannotSearch(snapshot: StoredSnapshot, tree: Id, error: Error): void {
    this.unreadable++
    this.#output.warn(`Unable to load tree ${tree}\n ... which belongs to snapshot ${snapshot.id}: ${error.message}`)
  }

  #add(text: string): void {
    this.#lines.write(textToByteString(text))
  }
}
