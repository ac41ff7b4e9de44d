import { sha256, sha256Hex } from '../../src/engine/kernels/sha256.ts'
import { compressBound } from '../../src/engine/kernels/zstd.ts'
import type { BlobType } from '../../src/engine/repository/blob.ts'
import { encodeIndex } from '../../src/engine/repository/index/index-file.ts'
import { BlobRowsBuilder, type PackListing } from '../../src/engine/repository/pack/blob-rows.ts'
import { encodeHeader } from '../../src/engine/repository/pack/header.ts'
import { type InitOptions, initRepository, type Repository } from '../../src/engine/repository/repository.ts'
import type { StoredSnapshot } from '../../src/engine/repository/snapshot.ts'
import { saveSnapshot } from '../../src/engine/repository/snapshots.ts'
import { encodeTree, sortNodes } from '../../src/engine/repository/tree/encode-tree.ts'
import { createNode, type Node } from '../../src/engine/repository/tree/node.ts'
import { BlobWriter } from '../../src/engine/repository/write/blob-writer.ts'
import { openMemoryStorage } from '../../src/engine/storage/memory/memory-storage.ts'
import type { Storage } from '../../src/engine/storage/storage.ts'
import { localTimestamp, parseTime } from '../../src/lib/go-time.ts'
import type { Id } from '../../src/lib/id.ts'
import { randomBytes } from '../../src/lib/random.ts'
import { makeSnapshot } from './make-snapshot.ts'
import { CHEAP_KDF, PASSWORD } from './test-repository.ts'

/** A new repository that lives as long as the object, with its index loaded. */
export async function newMemoryRepository(options: InitOptions = {}, storage?: Storage): Promise<Repository> {
  const repository = await initRepository(
    storage ?? openMemoryStorage(),
    { password: PASSWORD },
    { key: { kdf: CHEAP_KDF }, ...options },
  )
  await repository.loadIndex()
  return repository
}

const time = parseTime('2026-03-01T12:00:00Z')!

/** A node of a tree with times that do not matter. */
export const craftNode = (name: string, fields: Partial<Node> & Pick<Node, 'type'>): Node =>
  createNode({ name, mtime: time, atime: time, ctime: time, ...fields })

/** What is in a folder: the pieces of a file, or a folder. */
export interface CraftedFolder {
  readonly [name: string]: readonly Uint8Array[] | CraftedFolder
}

/** Saves a folder without the archiver, file by file and piece by piece as given; returns the id of its tree. */
export async function saveFolder(writer: BlobWriter, folder: CraftedFolder): Promise<Id> {
  const nodes: Node[] = []
  for (const [name, value] of Object.entries(folder)) {
    if (!Array.isArray(value)) {
      const subtree = await saveFolder(writer, value as CraftedFolder)
      nodes.push(craftNode(name, { type: 'dir', subtree }))
      continue
    }
    const content: Id[] = []
    for (const piece of value as readonly Uint8Array[]) content.push((await writer.save('data', piece)).id)
    const size = (value as readonly Uint8Array[]).reduce((sum, piece) => sum + piece.length, 0)
    nodes.push(craftNode(name, { type: 'file', content, size }))
  }
  return (await writer.save('tree', encodeTree(sortNodes(nodes)))).id
}

/** Saves a snapshot of a folder. */
export async function craftSnapshot(repository: Repository, folder: CraftedFolder): Promise<StoredSnapshot> {
  const writer = new BlobWriter(repository)
  const tree = await saveFolder(writer, folder)
  await writer.flush()
  return await snapshotOf(repository, tree)
}

/** Saves a snapshot of a tree, whether it is there or not. */
export const snapshotOf = async (repository: Repository, tree: Id | undefined): Promise<StoredSnapshot> =>
  await saveSnapshot(repository, {
    ...makeSnapshot('2026-03-01T12:00:00Z'),
    time: localTimestamp(repository.clock.now()),
    tree,
  })

/** A snapshot whose only tree is these bytes, whatever they are. */
export async function snapshotOfBytes(repository: Repository, tree: Uint8Array): Promise<StoredSnapshot> {
  const writer = new BlobWriter(repository)
  const { id } = await writer.save('tree', tree)
  await writer.flush()
  return await snapshotOf(repository, id)
}

/** A blob of a pack made by hand. */
export interface CraftedBlob {
  readonly type: BlobType
  readonly plaintext: Uint8Array
  /** Lies about what it is. */
  readonly id?: Id
  readonly uncompressedLength?: number
  /** Sealed in place of the compressed plaintext. */
  readonly body?: Uint8Array
}

/** Builds a pack: valid unless the blobs lie. `header` gives other rows to the header than to the listing; `gap` puts bytes before it. */
export function craftPack(
  repository: Repository,
  blobs: readonly CraftedBlob[],
  { header, gap = 0 }: { readonly header?: (rows: Uint8Array) => Uint8Array; readonly gap?: number } = {},
): { readonly listing: PackListing; readonly bytes: Uint8Array } {
  const parts: Uint8Array[] = []
  const rows = new BlobRowsBuilder()
  const zstd = repository.compressorFor('tree')
  let offset = 0
  const seal = (body: Uint8Array): Uint8Array => {
    const sealed = new Uint8Array(body.length + 32)
    repository.cipher.seal(randomBytes(16), body, sealed)
    return sealed
  }
  for (const blob of blobs) {
    let body = blob.body
    if (!body && zstd) {
      const output = new Uint8Array(compressBound(blob.plaintext.length))
      body = output.subarray(0, zstd.compress(blob.plaintext, output))
    }
    const sealed = seal(body ?? blob.plaintext)
    const id = blob.id === undefined ? sha256(blob.plaintext) : Buffer.from(blob.id, 'hex')
    rows.append(blob.type, id, 0, offset, sealed.length, zstd ? (blob.uncompressedLength ?? blob.plaintext.length) : 0)
    parts.push(sealed)
    offset += sealed.length
  }
  const listed = rows.take()
  if (gap > 0) parts.push(randomBytes(gap))
  const sealedHeader = seal(encodeHeader(header ? header(listed) : listed))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(sealedHeader.length)
  const bytes = Buffer.concat([...parts, sealedHeader, length])
  return { listing: { pack: sha256Hex(bytes), rows: listed }, bytes }
}

/** Stores a crafted pack and an index file for it. */
export async function storePack(
  repository: Repository,
  { listing, bytes }: ReturnType<typeof craftPack>,
  listed: readonly PackListing[] = [listing],
): Promise<Id> {
  await repository.storage.put({ kind: 'data', name: listing.pack }, bytes)
  await storeIndex(repository, listed)
  return listing.pack
}

/** Stores an index file. */
export const storeIndex = async (repository: Repository, listings: readonly PackListing[]): Promise<Id> =>
  await repository.saveUnpacked('index', encodeIndex(listings))
