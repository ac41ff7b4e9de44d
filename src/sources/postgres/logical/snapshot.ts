import { BlobLoader } from '../../../engine/repository/blob-loader.ts'
import { plaintextLengthOf } from '../../../engine/repository/index/master-index.ts'
import type { Repository } from '../../../engine/repository/repository.ts'
import { rootOf, type StoredSnapshot } from '../../../engine/repository/snapshot.ts'
import { byteStringToText, type Node } from '../../../engine/repository/tree/node.ts'
import { TreeLoader } from '../../../engine/repository/tree-loader.ts'
import { fileContent } from '../../../engine/restore/dump/dump-snapshot.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { manifestPath } from '../manifest.ts'
import { dataTreeOf, sourceNameOf } from '../snapshot-content.ts'
import { END_OF_ROWS } from './dump-files.ts'
import { largeObjectFile } from './dump-large-objects.ts'
import { type LogicalManifest, loadLogicalManifest, type StoredFile } from './manifest.ts'
import type { DumpContent, LargeObject, RestorableDatabase, RestorableTable, TableRows } from './restore-database.ts'
import { readToc, type Toc } from './toc.ts'

/** A logical snapshot that is open for reading. */
export class LogicalSnapshot implements DumpContent {
  readonly repository: Repository
  readonly source: string
  readonly manifest: LogicalManifest
  /** The tree of `/<source>/data`. */
  readonly dataTree: Id
  /** Files below `/<source>/data` by their paths, with slashes. */
  readonly files: ReadonlyMap<string, Node>
  readonly #rowsOf: ReadonlyMap<string, number>

  private constructor(
    repository: Repository,
    source: string,
    manifest: LogicalManifest,
    dataTree: Id,
    files: ReadonlyMap<string, Node>,
  ) {
    this.repository = repository
    this.source = source
    this.manifest = manifest
    this.dataTree = dataTree
    this.files = files
    this.#rowsOf = new Map(manifest.databases.flatMap(({ tables }) => tables.map(({ path, rows }) => [path, rows])))
  }

  /** @throws HoldfastError HF_DATA_DAMAGED when it is none; whatever reading the repository throws */
  static async open(
    repository: Repository,
    snapshot: StoredSnapshot,
    configured: string,
    signal?: AbortSignal,
  ): Promise<LogicalSnapshot> {
    const source = sourceNameOf(snapshot, configured)
    const manifest = await loadLogicalManifest(repository, rootOf(snapshot), source, signal)
    if (manifest === undefined)
      throw new HoldfastError('HF_DATA_DAMAGED', `the snapshot has no ${manifestPath(source)} of a logical backup`, {
        hint: 'is it a snapshot of this source, made with mode: logical?',
      })
    const data = await dataTreeOf(repository, snapshot, source, signal)
    const files = new Map<string, Node>()
    const loader = new TreeLoader(repository)
    try {
      const collect = async (tree: Id, folder: string): Promise<void> => {
        signal?.throwIfAborted()
        for (const node of (await loader.load(tree)).nodes) {
          const path = `${folder}${byteStringToText(node.name)}`
          if (node.type === 'file') files.set(path, node)
          else if (node.subtree !== undefined) await collect(node.subtree, `${path}/`)
        }
      }
      await collect(data, '')
    } finally {
      loader.close()
    }
    return new LogicalSnapshot(repository, source, manifest, data, files)
  }

  /** The bytes of a file, or `range` of them. @throws HoldfastError HF_DATA_DAMAGED when it is not there */
  async *content(
    { path }: Pick<StoredFile, 'path'>,
    signal?: AbortSignal,
    { offset = 0, bytes = Number.POSITIVE_INFINITY }: { readonly offset?: number; readonly bytes?: number } = {},
  ): AsyncGenerator<Uint8Array> {
    const node = this.files.get(path)
    if (node === undefined) throw new HoldfastError('HF_DATA_DAMAGED', `${path} is not in the snapshot`)
    let [skip, left] = [offset, bytes]
    if (left <= 0) return
    const ids = node.content ?? []
    let first = 0
    // Blobs before it need not be read.
    for (; first < ids.length; first++) {
      const location = this.repository.index.find('data', ids[first]!)
      const length = location && plaintextLengthOf(location)
      if (length === undefined || length > skip) break
      skip -= length
    }
    for await (const piece of this.#pieces(ids.slice(first), signal)) {
      const wanted = piece.subarray(skip, skip + left)
      skip = Math.max(0, skip - piece.length)
      left -= wanted.length
      if (wanted.length > 0) yield wanted
      if (left <= 0) break
    }
  }

  /** A small file. */
  async whole(file: Pick<StoredFile, 'path'>, signal?: AbortSignal): Promise<Buffer> {
    const pieces: Uint8Array[] = []
    for await (const piece of this.content(file, signal)) pieces.push(piece)
    return Buffer.concat(pieces)
  }

  /** The table of contents of a database in format `directory`. */
  async toc({ name, dump }: Pick<RestorableDatabase, 'name' | 'dump'>, signal?: AbortSignal): Promise<Toc> {
    const toc = readToc(await this.whole(dump, signal))
    if (toc === undefined) throw new HoldfastError('HF_DATA_DAMAGED', `${dump.path} of database ${name} is cut off`)
    return toc
  }

  rows(_database: RestorableDatabase, table: RestorableTable, signal?: AbortSignal, slice?: number): TableRows {
    const { path, slices = [] } = table
    const rows = this.#rowsOf.get(path)
    if (rows === undefined) throw new HoldfastError('HF_DATA_DAMAGED', `the manifest does not know ${path}`)
    const size = Number(this.files.get(path)?.size ?? 0) - END_OF_ROWS.length
    if (slice === undefined) return { pieces: this.content({ path }, signal, { bytes: size }), count: () => rows }
    const offset = slices.slice(0, slice).reduce((sum, bytes) => sum + bytes, 0)
    const bytes = slice === slices.length - 1 ? size - offset : slices[slice]!
    return { pieces: this.content({ path }, signal, { offset, bytes }), count: () => undefined }
  }

  async *largeObjects({ dump }: RestorableDatabase, signal?: AbortSignal): AsyncGenerator<LargeObject> {
    const folder = dump.path.slice(0, dump.path.lastIndexOf('/'))
    const list = (await this.whole({ path: `${folder}/blobs.toc` }, signal)).toString('latin1')
    for (const [, oid] of list.matchAll(/^([0-9]+) /gm))
      yield { oid: oid!, pieces: this.content({ path: `${folder}/${largeObjectFile(oid!)}` }, signal) }
  }

  archive({ dump }: RestorableDatabase, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    return this.content(dump, signal)
  }

  async *#pieces(content: readonly Id[], signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    if (this.repository.storage.properties.directory === undefined)
      return yield* fileContent(this.repository, { content: [...content] }, signal)
    const loader = new BlobLoader(this.repository, 'data')
    try {
      for (const id of content) {
        signal?.throwIfAborted()
        yield await loader.load(id, signal)
      }
    } finally {
      loader.close()
    }
  }
}
