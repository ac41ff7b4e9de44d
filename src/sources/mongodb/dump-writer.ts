import type { CutRule } from '../../engine/archive/cut-stream.ts'
import type { EntryAttributes, EntrySink } from '../../engine/archive/entry-tree.ts'
import type { SavedStream } from '../../engine/archive/stream-saver.ts'
import { Sha256Stream } from '../../engine/kernels/sha256.ts'
import { textToByteString } from '../../engine/repository/tree/node.ts'
import { toHex, utf8 } from '../../lib/bytes.ts'
import { once, storeJson } from '../json-file.ts'
import { extendedJson } from './bson/ext-json.ts'
import { BsonType, documentFrom, EMPTY_DOCUMENT, elementFrom, elements } from './bson/raw.ts'
import { rawDocument } from './bson/typed.ts'
import { type CollectionEntry, dataNamespace, encodeEntry } from './catalog.ts'
import { CATALOG_FILE, DATA_FOLDER, MANIFEST_FILE, type MongoManifest } from './manifest.ts'
import { fileStem } from './names.ts'

const FOLDER_MODE = 0o700
const FILE_MODE = 0o600

/**
 * Streams of documents, for good: with another average everything would be stored anew. A thousandth of small documents changed makes a
 * quarter of blobs of this size new, and nearly all of 1 MiB.
 */
const dumpRule: CutRule = { kind: 'content', averageBytes: 64 * 1024 }
const plainRule: CutRule = { kind: 'content' }

/** What a file came to. */
export interface WrittenFile {
  readonly bytes: number
  readonly sha256: string
}

/** A stretch of a file. */
export interface WrittenPart {
  readonly bytes: number
  /** SHA-256. */
  readonly digest: Uint8Array
  readonly saved: Promise<SavedStream>
}

/** Counts and hashes what goes by. */
class HashedStream {
  bytes = 0
  readonly #input: AsyncIterable<Uint8Array>
  readonly #hash = new Sha256Stream()

  constructor(input: AsyncIterable<Uint8Array>) {
    this.#input = input
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    for await (const piece of this.#input) {
      this.#hash.update(piece)
      this.bytes += piece.length
      yield piece
    }
  }

  digest(): Uint8Array {
    return this.#hash.digest()
  }
}

/** Lays a dump out as mongodump does (mongo-tools, mongodump/metadata_dump.go): `<database>/<collection>.bson` and `.metadata.json`. */
export class DumpWriter {
  readonly #entries: EntrySink
  readonly #root: string
  readonly #attributes: Omit<EntryAttributes, 'mode'>
  readonly #databases = new Set<string>()

  constructor(entries: EntrySink, source: string, attributes: Omit<EntryAttributes, 'mode'>) {
    this.#entries = entries
    this.#root = `/${source}`
    this.#attributes = attributes
    for (const folder of [DATA_FOLDER, '.holdfast']) this.#folder(folder)
  }

  /** What mongorestore wants to know of the server before anything else. */
  async prelude(serverVersion: string, toolVersion: string): Promise<void> {
    const text = JSON.stringify({ ServerVersion: serverVersion, ToolVersion: toolVersion })
    await this.#file(`${DATA_FOLDER}/prelude.json`, once(utf8(text)), plainRule)
  }

  /** Options and indexes of a collection. */
  async metadata(entry: CollectionEntry): Promise<void> {
    if (!this.#databases.has(entry.database)) this.#folder(`${DATA_FOLDER}/${entry.database}`)
    this.#databases.add(entry.database)
    await this.#file(`${DATA_FOLDER}/${metadataPath(entry)}`, once(utf8(metadataJson(entry))), plainRule)
  }

  /** Documents one behind the other, or entries of the oplog. `path` is below the dump. */
  async documents(path: string, input: AsyncIterable<Uint8Array>): Promise<WrittenFile> {
    const hashed = new HashedStream(input)
    await this.#file(`${DATA_FOLDER}/${path}`, hashed.pieces(), dumpRule)
    return { bytes: hashed.bytes, sha256: toHex(hashed.digest()) }
  }

  /** A stretch of a file that is read beside others of it. */
  async part(input: AsyncIterable<Uint8Array>): Promise<WrittenPart> {
    const hashed = new HashedStream(input)
    const { saved } = await this.#entries.part(hashed.pieces(), dumpRule)
    return { bytes: hashed.bytes, digest: hashed.digest(), saved }
  }

  /** A file of stretches, one behind the other. */
  async joined(path: string, parts: readonly WrittenPart[]): Promise<void> {
    const attributes = { ...this.#attributes, mode: FILE_MODE }
    const saved = await Promise.all(parts.map((part) => part.saved))
    this.#entries.joinedFile(textToByteString(`${this.#root}/${DATA_FOLDER}/${path}`), attributes, saved)
  }

  /** The last things written. */
  async finish(manifest: MongoManifest, catalog: readonly CollectionEntry[]): Promise<void> {
    await this.#file(CATALOG_FILE, once(Buffer.concat(catalog.map(encodeEntry))), plainRule)
    await storeJson(this.#entries, `${this.#root}/${MANIFEST_FILE}`, manifest, this.#attributes)
  }

  #folder(path: string): void {
    this.#entries.directory(textToByteString(`${this.#root}/${path}`), { ...this.#attributes, mode: FOLDER_MODE })
  }

  async #file(path: string, input: AsyncIterable<Uint8Array>, rule: CutRule): Promise<void> {
    const attributes = { ...this.#attributes, mode: FILE_MODE }
    await this.#entries.file(textToByteString(`${this.#root}/${path}`), attributes, input, rule)
  }
}

export const OPLOG_FILE = 'oplog.bson'

export const metadataPath = ({ database, collection }: CollectionEntry): string =>
  `${database}/${fileStem(collection)}.metadata.json`

/** Where the documents of a collection lie below the dump; undefined for views. */
export function documentsPath(entry: CollectionEntry): string | undefined {
  const data = dataNamespace(entry)
  return data && `${data.database}/${fileStem(data.collection)}.bson`
}

/** The content of `.metadata.json`: canonical Extended JSON, fields in mongodump's order. */
export function metadataJson({ options, indexes, uuid, collection, type }: CollectionEntry): string {
  const list = documentFrom(indexes.map((bytes, i) => elementFrom(String(i), { type: BsonType.document, bytes })))
  const parts = options.equals(EMPTY_DOCUMENT)
    ? []
    : [elementFrom('options', { type: BsonType.document, bytes: options })]
  parts.push(elementFrom('indexes', { type: BsonType.array, bytes: list }))
  const names = rawDocument({ uuid, collectionName: collection, type })
  return extendedJson(documentFrom([...parts, ...Array.from(elements(names), ({ whole }) => whole)]))
}
