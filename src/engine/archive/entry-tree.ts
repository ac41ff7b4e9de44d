import { HoldfastError } from '../../lib/errors.ts'
import type { Timestamp } from '../../lib/go-time.ts'
import type { Id } from '../../lib/id.ts'
import type { Repository } from '../repository/repository.ts'
import { encodeTree } from '../repository/tree/encode-tree.ts'
import { toGoMode } from '../repository/tree/mode.ts'
import {
  type ByteString,
  byteStringToText,
  createNode,
  isPlainName,
  type Node,
  nodesEqual,
  type PackedNode,
  sameContent,
} from '../repository/tree/node.ts'
import { TreeLoader } from '../repository/tree-loader.ts'
import type { Archiver } from './archiver.ts'
import type { CutRule } from './cut-stream.ts'
import type { FilePart } from './file-parts.ts'
import { hexIds } from './hex-ids.ts'
import type { NewData } from './saver/messages.ts'
import type { SavedStream, StreamSaver } from './stream-saver.ts'
import { joinPath } from './target-tree.ts'

/** Attributes of an entry that does not come from this machine's files. */
export interface EntryAttributes {
  /** Permissions with the set-id and sticky bits, as in st_mode; other bits are ignored. */
  readonly mode: number
  readonly mtime: Timestamp
  readonly uid: number
  readonly gid: number
  readonly user?: string
  readonly group?: string
}

/**
 * Takes the entries of a snapshot in any order. Paths are absolute, in the snapshot, as bytes. Directories that are not named get the
 * attributes of the run. A path that is no plain path, or comes twice, is refused with HF_SOURCE_INVALID: what is written here may come from
 * a foreign server.
 */
export interface EntrySink {
  directory(path: ByteString, attributes: EntryAttributes): void
  symlink(path: ByteString, target: ByteString, attributes: EntryAttributes): void
  /** Resolves when `input` is read. Several files may be written at the same time. */
  file(path: ByteString, attributes: EntryAttributes, input: AsyncIterable<Uint8Array>, rule: CutRule): Promise<void>
  /** Saves bytes that become part of a file. Resolves when `input` is read, `saved` when it is known what they came to. */
  part(input: AsyncIterable<Uint8Array>, rule: CutRule): Promise<{ readonly saved: Promise<SavedStream> }>
  /** A file that consists of parts, one behind the other: they may have been read at the same time. */
  joinedFile(path: ByteString, attributes: EntryAttributes, parts: readonly SavedStream[]): void
  /** A file whose blobs are in the repository already: 32 bytes of `ids` for each, which have to stay as they are. */
  storedFile(path: ByteString, attributes: EntryAttributes, ids: Uint8Array, size: number): void
  /** A file of stored blobs and new ones. Resolves when `parts` is read, `saved` when it is known what they came to. */
  patchedFile(
    path: ByteString,
    attributes: EntryAttributes,
    parts: AsyncIterable<FilePart>,
  ): Promise<{ readonly saved: Promise<SavedStream> }>
  /** Forgets all entries, to begin anew. Blobs that were saved for them need not be saved again. No file may be under way. */
  clear(): void
}

interface Directory {
  attributes: EntryAttributes
  isNamed: boolean
  readonly children: Map<ByteString, Directory | Leaf>
}

/** Anything but a directory. */
interface Leaf {
  readonly node: () => Promise<PackedNode> | PackedNode
  readonly added: NewData
}

const S_IFDIR = 0o040000
const S_IFREG = 0o100000
const S_IFLNK = 0o120000
const PERMISSIONS = 0o7777

const noData = (): NewData => ({ newBlobs: 0, newBytes: 0, storedBytes: 0 })

/** Puts a snapshot's tree together from entries that somebody else brings. */
export class EntryTree implements EntrySink {
  readonly #archiver: Archiver
  readonly #streams: StreamSaver
  readonly #unnamed: EntryAttributes
  #root: Directory

  /** `unnamed`: attributes of directories that only lead to others. */
  constructor(archiver: Archiver, streams: StreamSaver, unnamed: EntryAttributes) {
    this.#archiver = archiver
    this.#streams = streams
    this.#unnamed = unnamed
    this.#root = this.#newDirectory()
  }

  directory(path: ByteString, attributes: EntryAttributes): void {
    const { parent, name } = this.#place(path)
    const child = parent.children.get(name)
    if (child === undefined) {
      parent.children.set(name, { ...this.#newDirectory(), attributes, isNamed: true })
      return
    }
    if (!('children' in child) || child.isNamed) throw twice(path)
    child.attributes = attributes
    child.isNamed = true
  }

  symlink(path: ByteString, target: ByteString, attributes: EntryAttributes): void {
    const name = nameOf(path)
    const node = createNode<Uint8Array>({ ...common(name, attributes, S_IFLNK), type: 'symlink', linkTarget: target })
    this.#addLeaf(path, { node: () => node, added: noData() })
  }

  async file(
    path: ByteString,
    attributes: EntryAttributes,
    input: AsyncIterable<Uint8Array>,
    rule: CutRule,
  ): Promise<void> {
    await this.#savedFile(path, attributes, () => this.#streams.save(input, rule))
  }

  async patchedFile(
    path: ByteString,
    attributes: EntryAttributes,
    parts: AsyncIterable<FilePart>,
  ): Promise<{ readonly saved: Promise<SavedStream> }> {
    return await this.#savedFile(path, attributes, () => this.#streams.saveParts(parts))
  }

  async part(input: AsyncIterable<Uint8Array>, rule: CutRule): Promise<{ readonly saved: Promise<SavedStream> }> {
    return await this.#streams.save(input, rule)
  }

  joinedFile(path: ByteString, attributes: EntryAttributes, parts: readonly SavedStream[]): void {
    const added = noData()
    let size = 0
    for (const part of parts) {
      size += part.size
      added.newBlobs += part.added.newBlobs
      added.newBytes += part.added.newBytes
      added.storedBytes += part.added.storedBytes
    }
    const ids = Buffer.concat(parts.map((part) => part.ids))
    this.#addLeaf(path, { node: () => fileNode(path, attributes, ids, size), added })
  }

  storedFile(path: ByteString, attributes: EntryAttributes, ids: Uint8Array, size: number): void {
    this.#addLeaf(path, { node: () => fileNode(path, attributes, ids, size), added: noData() })
  }

  clear(): void {
    this.#root = this.#newDirectory()
  }

  /** Saves all trees and returns the root, when all content is saved. Counts entries against those of the snapshot before. */
  async save(repository: Repository, previousRoot: Id | undefined): Promise<Id> {
    return await this.#archiver.saveTree(encodeTree(await this.#rootNodes(repository, previousRoot)))
  }

  /** The same without the root itself: what it consists of, by name. */
  async saveNodes(repository: Repository, previousRoot: Id | undefined): Promise<readonly Node[]> {
    const nodes = await this.#rootNodes(repository, previousRoot)
    return nodes.map((node) => createNode({ ...node, content: node.content && hexIds(node.content) }))
  }

  async #rootNodes(repository: Repository, previousRoot: Id | undefined): Promise<readonly PackedNode[]> {
    const loader = new TreeLoader(repository)
    try {
      return await this.#nodesOf('/', this.#root, previousRoot, loader)
    } finally {
      loader.close()
    }
  }

  async #savedFile(
    path: ByteString,
    attributes: EntryAttributes,
    save: () => Promise<{ readonly saved: Promise<SavedStream> }>,
  ): Promise<{ readonly saved: Promise<SavedStream> }> {
    const added = noData()
    const { promise, resolve, reject } = Promise.withResolvers<SavedStream>()
    promise.catch(() => undefined)
    const node = async (): Promise<PackedNode> => {
      const { ids, size } = await promise
      return fileNode(path, attributes, ids, size)
    }
    // Before it is read: a name that is refused must not cost a gigabyte.
    this.#addLeaf(path, { node, added })
    try {
      const { saved } = await save()
      saved.then((stream) => {
        Object.assign(added, stream.added)
        resolve(stream)
      }, reject)
      return { saved }
    } catch (error) {
      reject(error)
      throw error
    }
  }

  async #nodesOf(
    path: ByteString,
    directory: Directory,
    previousTree: Id | undefined,
    loader: TreeLoader,
  ): Promise<readonly PackedNode[]> {
    const previous = new Map<ByteString, PackedNode>()
    // Only to count what is new: what is damaged there must not keep today's backup from being made.
    const earlier =
      previousTree === undefined ? undefined : await loader.loadPacked(previousTree).catch(() => undefined)
    for (const node of earlier?.nodes ?? []) previous.set(node.name, node)
    const nodes: PackedNode[] = []
    for (const [name, child] of [...directory.children].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const before = previous.get(name)
      if (!('children' in child)) {
        const node = await child.node()
        nodes.push(node)
        if (node.type === 'file') {
          const change = before?.type !== 'file' ? 'new' : sameFile(before, node) ? 'unmodified' : 'changed'
          this.#archiver.countFile(path, node, change, child.added)
        }
        continue
      }
      const childPath = joinPath(path, name)
      const added = noData()
      const tree = encodeTree(await this.#nodesOf(childPath, child, before?.subtree, loader))
      const subtree = await this.#archiver.saveTree(tree, added)
      const node = createNode<Uint8Array>({ ...common(name, child.attributes, S_IFDIR), type: 'dir', subtree })
      nodes.push(node)
      const change = before?.type !== 'dir' ? 'new' : nodesEqual(before, node) ? 'unmodified' : 'changed'
      this.#archiver.countDirectory(childPath, node, change, added)
    }
    return nodes
  }

  #addLeaf(path: ByteString, leaf: Leaf): void {
    const { parent, name } = this.#place(path)
    if (parent.children.has(name)) throw twice(path)
    parent.children.set(name, leaf)
  }

  /** The directory an entry belongs in, made if need be. */
  #place(path: ByteString): { readonly parent: Directory; readonly name: ByteString } {
    const names = path.split('/')
    if (names.shift() !== '' || names.length === 0 || !names.every(isPlainName))
      throw new HoldfastError('HF_SOURCE_INVALID', `${quoted(path)} is no path of a file in a snapshot`)
    const name = names.pop()!
    let parent = this.#root
    for (const step of names) {
      let child = parent.children.get(step)
      if (child === undefined) {
        child = this.#newDirectory()
        parent.children.set(step, child)
      }
      if (!('children' in child))
        throw new HoldfastError('HF_SOURCE_INVALID', `${quoted(path)} lies below what is not a directory`)
      parent = child
    }
    return { parent, name }
  }

  #newDirectory(): Directory {
    return { attributes: this.#unnamed, isNamed: false, children: new Map() }
  }
}

function fileNode(path: ByteString, attributes: EntryAttributes, content: Uint8Array, size: number): PackedNode {
  return createNode({ ...common(nameOf(path), attributes, S_IFREG), type: 'file', size, content })
}

function common(name: ByteString, { mode, mtime, uid, gid, user, group }: EntryAttributes, format: number) {
  const goMode = toGoMode(format | (mode & PERMISSIONS))
  return { name, mode: goMode, mtime, atime: mtime, ctime: mtime, uid, gid, user: user ?? '', group: group ?? '' }
}

/** Whether nothing a user would call a change has happened to a file. */
const sameFile = (before: PackedNode, node: PackedNode): boolean =>
  before.size === node.size && before.mode === node.mode && sameContent(before.content, node.content)

const nameOf = (path: ByteString): ByteString => path.slice(path.lastIndexOf('/') + 1)

const quoted = (path: ByteString): string => JSON.stringify(byteStringToText(path))

const twice = (path: ByteString): HoldfastError => new HoldfastError('HF_SOURCE_INVALID', `${quoted(path)} comes twice`)
