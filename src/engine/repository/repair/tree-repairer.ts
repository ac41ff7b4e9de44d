import { isHoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { sha256Hex } from '../../kernels/sha256.ts'
import { throwIfInterrupted } from '../../storage/interruption.ts'
import { plaintextLengthOf } from '../index/master-index.ts'
import type { Repository } from '../repository.ts'
import type { Tree } from '../tree/decode-tree.ts'
import { encodeTree } from '../tree/encode-tree.ts'
import { type ByteString, byteStringToText, type Node, uint64 } from '../tree/node.ts'
import type { TreeLoader } from '../tree-loader.ts'
import { readAgain } from './read-again.ts'

/** Something that was cut out or put right. */
export interface TreeChange {
  /** In the snapshot; of a directory that several places share the first one met. */
  readonly path: string
  readonly what:
    | 'unreadable-root'
    | 'emptied-directory'
    | 'removed-missing-content'
    | 'fixed-size'
    | 'removed-invalid-type'
}

/** What is left of a tree: undefined when that is nothing, because it is a root that cannot be read. */
export interface RepairedTree {
  readonly id: Id | undefined
  readonly changes: readonly TreeChange[]
}

/** Takes a tree that is needed in place of another. `damaged`: what the repository has under this id is known to be unreadable. */
export type SaveTree = (id: Id, bytes: Uint8Array, damaged: boolean) => Promise<void>

/**
 * Makes trees that need nothing but what is there: directories that cannot be read become empty, files lose the blobs no index knows,
 * entries of no known type go. Trees with nothing wrong stay as they are, byte for byte. One object serves all snapshots.
 */
export class TreeRepairer {
  readonly #repository: Repository
  readonly #loader: TreeLoader
  readonly #save: SaveTree
  readonly #signal: AbortSignal | undefined
  readonly #repaired = new Map<Id, RepairedTree>()
  readonly #unreadable = new Set<Id>()

  constructor(repository: Repository, loader: TreeLoader, save: SaveTree, signal?: AbortSignal) {
    this.#repository = repository
    this.#loader = loader
    this.#save = save
    this.#signal = signal
  }

  async repairRoot(id: Id | undefined): Promise<RepairedTree> {
    const repaired = id === undefined ? undefined : await this.#repairTree(id, '')
    return repaired ?? { id: undefined, changes: [{ path: '/', what: 'unreadable-root' }] }
  }

  /** undefined when the tree cannot be read. */
  async #repairTree(id: Id, path: ByteString): Promise<RepairedTree | undefined> {
    const known = this.#repaired.get(id)
    if (known) return known
    const tree = await this.#load(id)
    if (!tree) return undefined
    const changes: TreeChange[] = []
    const nodes: Node[] = []
    for (const node of tree.nodes) {
      const repaired = await this.#repairNode(node, `${path}/${node.name}`, changes)
      if (repaired) nodes.push(repaired)
    }
    const isSame = nodes.length === tree.nodes.length && nodes.every((node, i) => node === tree.nodes[i])
    const result = { id: isSame ? id : await this.#saveTree(nodes), changes }
    this.#repaired.set(id, result)
    return result
  }

  /** The node itself when nothing is wrong with it, undefined when it has to go. */
  async #repairNode(node: Node, path: ByteString, changes: TreeChange[]): Promise<Node | undefined> {
    if (node.type === 'irregular' || node.type === 'unknown') {
      changes.push({ path: byteStringToText(path), what: 'removed-invalid-type' })
      return undefined
    }
    if (node.type === 'file') return this.#repairFile(node, path, changes)
    if (node.type !== 'dir') return node
    const repaired = node.subtree === undefined ? undefined : await this.#repairTree(node.subtree, path)
    if (!repaired) {
      changes.push({ path: byteStringToText(path), what: 'emptied-directory' })
      return { ...node, subtree: await this.#saveTree([]) }
    }
    for (const change of repaired.changes) changes.push(change)
    return repaired.id === node.subtree ? node : { ...node, subtree: repaired.id }
  }

  #repairFile(node: Node, path: ByteString, changes: TreeChange[]): Node {
    const content: Id[] = []
    let size = 0n
    for (const id of node.content ?? []) {
      const location = this.#repository.index.find('data', id)
      if (!location) continue
      content.push(id)
      size += BigInt(plaintextLengthOf(location))
    }
    const isWhole = content.length === (node.content ?? []).length
    if (isWhole && node.content && uint64(size) === node.size) return node
    changes.push({ path: byteStringToText(path), what: isWhole ? 'fixed-size' : 'removed-missing-content' })
    return { ...node, content, size: uint64(size) }
  }

  /** Damage is an answer; a storage that does not answer is not. */
  async #load(id: Id): Promise<Tree | undefined> {
    throwIfInterrupted(this.#signal)
    if (this.#unreadable.has(id)) return undefined
    try {
      return await readAgain(() => this.#loader.load(id, this.#signal))
    } catch (error) {
      const isLost =
        isHoldfastError(error, 'HF_BLOB_NOT_FOUND', 'HF_PACK_DAMAGED', 'HF_TREE_INVALID', 'HF_STORAGE_NOT_FOUND') ||
        (isHoldfastError(error, 'HF_STORAGE_SHORT') && error.retry === 'never')
      if (!isLost) throw error
      this.#unreadable.add(id)
      return undefined
    }
  }

  async #saveTree(nodes: readonly Node[]): Promise<Id> {
    const bytes = encodeTree(nodes)
    const id = sha256Hex(bytes)
    // The tree that is lost may be the very one that is needed in its place: the empty one.
    const isDamaged = this.#repository.index.has('tree', id) && !(await this.#load(id))
    await this.#save(id, bytes, isDamaged)
    return id
  }
}
