import type { FilePart, PatchedPart } from '../../engine/archive/file-parts.ts'
import { parseChecksum } from '../../engine/kernels/crc32c.ts'
import { BlobLoader, ReusedRoom } from '../../engine/repository/blob-loader.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import { rootOf, type StoredSnapshot } from '../../engine/repository/snapshot.ts'
import {
  type ByteString,
  byteStringToText,
  type Node,
  type PackedNode,
  textToByteString,
} from '../../engine/repository/tree/node.ts'
import { TreeLoader } from '../../engine/repository/tree-loader.ts'
import { fileContent, findDumpSource } from '../../engine/restore/dump/dump-snapshot.ts'
import { toHex } from '../../lib/bytes.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { ID_BYTES, type Id, shortId } from '../../lib/id.ts'
import { isVisibilityMap } from './incremental-file.ts'
import type { PostgresManifest } from './manifest.ts'
import { parseServerManifest, SERVER_MANIFEST, type ServerManifest, sentManifestPath } from './server-manifest.ts'
import { manifestWithout } from './synthetic-manifest.ts'

/** A file as an earlier snapshot has it. */
export interface PreviousFile {
  readonly path: ByteString
  readonly size: number
  readonly blocks: number
  /** 32 bytes for each of its blocks. */
  readonly content: Uint8Array
  /** CRC-32C, as the manifest in its data directory says. */
  readonly checksum: number | undefined
}

/** Decoded folders that are kept: a server sends one after the other. */
const KEPT_FOLDERS = 4

/**
 * The snapshot an incremental backup builds on. Whatever is wrong with it is told with HF_DATA_DAMAGED: it keeps nobody from reading the
 * whole cluster instead. Close it after use.
 */
export class IncrementalBase implements Disposable {
  readonly snapshot: Id
  readonly blockBytes: number
  readonly #repository: Repository
  readonly #signal: AbortSignal | undefined
  readonly #sent: ServerManifest
  readonly #checksums: ReadonlyMap<ByteString, number>
  readonly #root: Id
  readonly #trees: TreeLoader
  readonly #blobs: BlobLoader
  readonly #folders = new Map<ByteString, Promise<ReadonlyMap<ByteString, PackedNode>>>()

  private constructor(
    repository: Repository,
    snapshot: StoredSnapshot,
    blockBytes: number,
    parts: { readonly sent: ServerManifest; readonly root: Id; readonly checksums: ReadonlyMap<ByteString, number> },
    signal: AbortSignal | undefined,
  ) {
    this.snapshot = snapshot.id
    this.blockBytes = blockBytes
    this.#repository = repository
    this.#signal = signal
    this.#sent = parts.sent
    this.#root = parts.root
    this.#checksums = parts.checksums
    this.#trees = new TreeLoader(repository)
    this.#blobs = new BlobLoader(repository, 'data', new ReusedRoom())
  }

  /** @throws HoldfastError HF_DATA_DAMAGED when it has not all that is needed to begin */
  static async open(
    repository: Repository,
    snapshot: StoredSnapshot,
    { source, blockBytes }: PostgresManifest,
    signal?: AbortSignal,
  ): Promise<IncrementalBase> {
    return await orDamaged(snapshot.id, signal, async () => {
      const find = (path: string) => findDumpSource(repository, rootOf(snapshot), textToByteString(path), signal)
      const sent = await find(sentManifestPath(source))
      const data = await find(`/${source}/data`)
      const own = await find(`/${source}/data/${SERVER_MANIFEST}`)
      if (sent.kind !== 'file' || own.kind !== 'file' || data.kind !== 'folder')
        throw new Error('it is not laid out as it should be')
      const read = async (node: Node): Promise<ServerManifest> => {
        const pieces: Uint8Array[] = []
        for await (const piece of fileContent(repository, node, signal)) pieces.push(piece)
        return parseServerManifest(Buffer.concat(pieces))
      }
      const ownManifest = await read(own.node)
      // After a full backup they are the same.
      const sentManifest = sameContent(own.node, sent.node) ? ownManifest : await read(sent.node)
      const checksums = new Map<ByteString, number>()
      for (const [path, { crc32c }] of ownManifest.files) {
        const checksum = crc32c === undefined ? undefined : parseChecksum(crc32c)
        if (checksum !== undefined) checksums.set(path, checksum)
      }
      return new IncrementalBase(
        repository,
        snapshot,
        blockBytes,
        { sent: sentManifest, root: data.tree, checksums },
        signal,
      )
    })
  }

  /**
   * The manifest the server made with the snapshot, by which it knows what the snapshot has. Visibility maps are not in it, so that it sends
   * them whole.
   */
  async *serverManifest(): AsyncGenerator<Uint8Array> {
    yield* manifestWithout(this.#sent, isVisibilityMap)
  }

  /** A file of the data directory that consists of whole pages. */
  async find(path: ByteString, pageBytes: number): Promise<PreviousFile> {
    const at = path.lastIndexOf('/')
    const folder = await orDamaged(this.snapshot, this.#signal, () => this.#folder(path.slice(0, at)))
    const node = folder.get(path.slice(at + 1))
    if (node?.type !== 'file' || node.content === null) throw this.#damaged(path, 'is not in it')
    const size = Number(node.size)
    const blocks = Math.ceil(size / this.blockBytes)
    if (size % pageBytes !== 0 || node.content.length !== blocks * ID_BYTES)
      throw this.#damaged(path, 'is not cut as its manifest says')
    return { path, size, blocks, content: node.content, checksum: this.#checksums.get(path) }
  }

  /**
   * That a cluster still has the label it was restored with, if it was. One that was restored meanwhile may be on the same timeline, with WAL
   * positions that look like a continuation, and its pages are not those of the snapshot.
   * @throws HoldfastError HF_SOURCE_CHANGED
   */
  async requireSame(path: ByteString, content: Uint8Array): Promise<void> {
    const node = await orDamaged(this.snapshot, this.#signal, async () =>
      (await this.#trees.load(this.#root, this.#signal)).nodes.find(({ name }) => name === path),
    )
    if (node !== undefined && Number(node.size) === content.length) {
      const pieces: Uint8Array[] = []
      for await (const piece of this.#guarded(fileContent(this.#repository, node, this.#signal))) pieces.push(piece)
      if (Buffer.concat(pieces).equals(content)) return
    }
    throw new HoldfastError(
      'HF_SOURCE_CHANGED',
      `the cluster was restored from a backup since snapshot ${shortId(this.snapshot)}`,
    )
  }

  /** Blocks `from` to `to` of a file, as they are stored. */
  stored(file: PreviousFile, from: number, to: number): FilePart {
    for (let block = from; block < to; block++) this.#requireBlob(file, block)
    const size = Math.min(to * this.blockBytes, file.size) - from * this.blockBytes
    return { kind: 'stored', ids: file.content.subarray(from * ID_BYTES, to * ID_BYTES), size }
  }

  /** Whether blocks can be had as they are stored, without waiting. */
  get isAtHand(): boolean {
    return this.#repository.storage.properties.directory !== undefined
  }

  /** A block as it is stored, valid until the next is asked for; undefined when it has to be fetched from elsewhere. */
  sealed(
    file: PreviousFile,
    block: number,
  ): Pick<PatchedPart, 'id' | 'sealed' | 'uncompressedLength' | 'reload'> | undefined {
    this.#requireBlob(file, block)
    const id = idOf(file, block)
    const atHand = this.#blobs.sealedAtHand(id)
    return atHand && { ...atHand, id, reload: () => this.#reload(file, block) }
  }

  /** Says that a block will be asked for soon. */
  announce(file: PreviousFile, block: number): void {
    this.#blobs.announceSealed(idOf(file, block))
  }

  async #reload(file: PreviousFile, block: number): Promise<Uint8Array> {
    return await orDamaged(this.snapshot, this.#signal, () =>
      this.#repository.loadBlob('data', toHex(idOf(file, block)), this.#signal),
    )
  }

  /** The content of blocks of a file, in order; each valid until the next is asked for. */
  async *load(file: PreviousFile, blocks: Uint32Array): AsyncGenerator<Uint8Array> {
    for (const block of blocks) this.#requireBlob(file, block)
    if (!this.isAtHand) {
      const content = Array.from(blocks, (block) => toHex(idOf(file, block)))
      yield* this.#guarded(fileContent(this.#repository, { content }, this.#signal))
      return
    }
    for (const block of blocks)
      yield await orDamaged(this.snapshot, this.#signal, () => this.#blobs.load(toHex(idOf(file, block)), this.#signal))
  }

  [Symbol.dispose](): void {
    this.#trees.close()
    this.#blobs.close()
  }

  #requireBlob(file: PreviousFile, block: number): void {
    const { path, size, content } = file
    const length = this.#repository.index.plaintextLengthAt('data', content, block * ID_BYTES)
    if (length === Math.min(this.blockBytes, size - block * this.blockBytes)) return
    const id = shortId(toHex(idOf(file, block)))
    throw this.#damaged(
      path,
      length === undefined ? `lacks the blob ${id}` : `has the blob ${id} of another length than its place`,
    )
  }

  async #folder(path: ByteString): Promise<ReadonlyMap<ByteString, PackedNode>> {
    const known = this.#folders.get(path)
    if (known !== undefined) return await known
    const loading = this.#loadFolder(path)
    this.#folders.set(path, loading)
    if (this.#folders.size > KEPT_FOLDERS) this.#folders.delete(this.#folders.keys().next().value!)
    return await loading
  }

  async #loadFolder(path: ByteString): Promise<ReadonlyMap<ByteString, PackedNode>> {
    let tree = this.#root
    for (const name of path.split('/')) {
      const { nodes } = await this.#trees.loadPacked(tree, this.#signal)
      const found = nodes.find((node) => node.name === name)
      if (found?.subtree === undefined) return new Map()
      tree = found.subtree
    }
    const { nodes } = await this.#trees.loadPacked(tree, this.#signal)
    return new Map(nodes.map((node) => [node.name, node]))
  }

  async *#guarded(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const iterator = bytes[Symbol.asyncIterator]()
    for (;;) {
      const next = await orDamaged(this.snapshot, this.#signal, () => iterator.next())
      if (next.done === true) return
      yield next.value
    }
  }

  #damaged(path: ByteString, how: string): HoldfastError {
    return damaged(this.snapshot, new Error(`${byteStringToText(path)} ${how}`))
  }
}

const idOf = ({ content }: PreviousFile, block: number): Uint8Array =>
  content.subarray(block * ID_BYTES, (block + 1) * ID_BYTES)

const sameContent = (one: Node, other: Node): boolean =>
  one.content?.length === other.content?.length && (one.content ?? []).every((id, i) => id === other.content![i])

async function orDamaged<T>(snapshot: Id, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    signal?.throwIfAborted()
    if (isHoldfastError(error, 'HF_INTERRUPTED')) throw error
    throw damaged(snapshot, error)
  }
}

const damaged = (snapshot: Id, cause: unknown): HoldfastError =>
  new HoldfastError(
    'HF_DATA_DAMAGED',
    `snapshot ${shortId(snapshot)} cannot be built on: ${cause instanceof Error ? cause.message : cause}`,
    { context: { snapshot }, cause },
  )
