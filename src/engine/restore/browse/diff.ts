import { HoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { type BlobType, blobTypes } from '../../repository/blob.ts'
import type { Repository } from '../../repository/repository.ts'
import { type ByteString, type Node, nodesEqual, sameContent } from '../../repository/tree/node.ts'
import { throwIfInterrupted } from '../../storage/interruption.ts'
import { TreePrefetcher } from '../tree-prefetcher.ts'

/**
 * How an entry differs: `+` added, `-` removed, `T` its type changed, `M` its content changed, `U` only its attributes changed; `?` behind
 * `M` means that nothing but the content did, as when a disk goes bad.
 */
export type Modifier = '+' | '-' | 'T' | 'M' | 'M?' | 'U' | 'TU'

export interface DiffObserver {
  /** Directories end in `/`. In the order of the trees. */
  onChange(path: ByteString, modifier: Modifier): void
  /** Part of a snapshot that cannot be compared, or a blob whose size is not known. */
  onError(path: ByteString, error: Error): void
}

export interface DiffOptions {
  /** Tell also of changes of attributes alone. */
  readonly metadata?: boolean
  readonly signal?: AbortSignal | undefined
}

/** One side of a difference. Blobs and bytes are those that the other snapshot does not use at all. */
export interface DiffCounts {
  readonly files: number
  readonly dirs: number
  readonly others: number
  readonly dataBlobs: number
  readonly treeBlobs: number
  /** Plaintext. */
  readonly bytes: number
}

export interface DiffStatistics {
  /** Files whose content changed. */
  readonly changedFiles: number
  readonly added: DiffCounts
  readonly removed: DiffCounts
}

/**
 * Compares two trees as restic's `diff` does. Subtrees with the same id are not read, except for the statistics when something in the rest
 * differs: what seems new may lie in a part that is the same.
 *
 * @throws HoldfastError when one of the two trees themselves cannot be read; below them errors go to the observer
 */
export async function diffTrees(
  repository: Repository,
  before: Id,
  after: Id,
  observer: DiffObserver,
  options: DiffOptions = {},
): Promise<DiffStatistics> {
  using trees = new TreePrefetcher(repository, options.signal)
  return await new Comparison(repository, trees, observer, options).run(before, after)
}

type Counts = { -readonly [K in keyof DiffCounts]: DiffCounts[K] }

type BlobSets = Readonly<Record<BlobType, Set<Id>>>

/** What differs on one side. */
interface Side {
  readonly modifier: '+' | '-'
  readonly counts: Counts
  readonly blobs: BlobSets
}

const newSide = (modifier: '+' | '-'): Side => ({
  modifier,
  counts: { files: 0, dirs: 0, others: 0, dataBlobs: 0, treeBlobs: 0, bytes: 0 },
  blobs: { data: new Set(), tree: new Set() },
})

class Comparison {
  readonly #repository: Repository
  readonly #trees: TreePrefetcher
  readonly #observer: DiffObserver
  readonly #options: DiffOptions
  readonly #removed = newSide('-')
  readonly #added = newSide('+')
  /** Subtrees that both have in the same place. */
  readonly #common = new Set<Id>()
  #changedFiles = 0

  constructor(repository: Repository, trees: TreePrefetcher, observer: DiffObserver, options: DiffOptions) {
    this.#repository = repository
    this.#trees = trees
    this.#observer = observer
    this.#options = options
  }

  async run(before: Id, after: Id): Promise<DiffStatistics> {
    this.#removed.blobs.tree.add(before)
    this.#added.blobs.tree.add(after)
    await this.#compare('/', before, after)
    await this.#dropShared()
    for (const side of [this.#removed, this.#added]) this.#countBlobs(side)
    return { changedFiles: this.#changedFiles, added: this.#added.counts, removed: this.#removed.counts }
  }

  async #compare(prefix: ByteString, before: Id, after: Id): Promise<void> {
    const nodesBefore = await this.#load(before)
    const nodesAfter = await this.#load(after)
    let b = 0
    let a = 0
    while (b < nodesBefore.length || a < nodesAfter.length) {
      const older = nodesBefore[b]
      const newer = nodesAfter[a]
      if (newer === undefined || (older !== undefined && older.name < newer.name)) {
        b++
        await this.#onlyOn(this.#removed, prefix, older!)
      } else if (older === undefined || newer.name < older.name) {
        a++
        await this.#onlyOn(this.#added, prefix, newer)
      } else {
        b++
        a++
        await this.#onBoth(prefix, older, newer)
      }
    }
  }

  async #onBoth(prefix: ByteString, before: Node, after: Node): Promise<void> {
    addBlobs(this.#removed.blobs, before)
    addBlobs(this.#added.blobs, after)
    const path = pathOf(prefix, after)
    const modifier = this.#modifierOf(before, after)
    if (modifier !== undefined) this.#observer.onChange(path, modifier)
    if (before.type !== 'dir' || after.type !== 'dir') return
    await this.#attempt(path, async () => {
      const older = subtreeOf(before)
      const newer = subtreeOf(after)
      if (older === newer) this.#common.add(older)
      else await this.#compare(path, older, newer)
    })
  }

  #modifierOf(before: Node, after: Node): Modifier | undefined {
    const isOtherType = before.type !== after.type
    if (before.type === 'file' && after.type === 'file' && !sameContent(before.content, after.content)) {
      this.#changedFiles++
      return nodesEqual({ ...before, content: null }, { ...after, content: null }) ? 'M?' : 'M'
    }
    if (this.#options.metadata && !nodesEqual(before, after)) return isOtherType ? 'TU' : 'U'
    return isOtherType ? 'T' : undefined
  }

  async #onlyOn(side: Side, prefix: ByteString, node: Node): Promise<void> {
    addBlobs(side.blobs, node)
    const path = pathOf(prefix, node)
    this.#observer.onChange(path, side.modifier)
    if (node.type === 'file') side.counts.files++
    else if (node.type === 'dir') side.counts.dirs++
    else side.counts.others++
    if (node.type !== 'dir') return
    await this.#attempt(path, async () => {
      for (const child of await this.#load(subtreeOf(node))) await this.#onlyOn(side, path, child)
    })
  }

  /** Takes what both sides use out of what differs. */
  async #dropShared(): Promise<void> {
    const { blobs: removed } = this.#removed
    const { blobs: added } = this.#added
    for (const type of blobTypes)
      for (const id of removed[type]) {
        if (!added[type].delete(id)) continue
        removed[type].delete(id)
      }
    const waiting = [...this.#common]
    const drop = (type: BlobType, id: Id): void => {
      removed[type].delete(id)
      added[type].delete(id)
    }
    const isEmpty = (): boolean => blobTypes.every((type) => removed[type].size + added[type].size === 0)
    for (let id = waiting.pop(); id !== undefined && !isEmpty(); id = waiting.pop()) {
      await this.#attempt('/', async () => {
        for (const node of await this.#load(id)) {
          for (const blob of node.content ?? []) drop('data', blob)
          if (node.type !== 'dir' || node.subtree === undefined) continue
          drop('tree', node.subtree)
          if (this.#common.has(node.subtree)) continue
          this.#common.add(node.subtree)
          waiting.push(node.subtree)
        }
      })
    }
  }

  #countBlobs({ counts, blobs }: Side): void {
    counts.dataBlobs = blobs.data.size
    counts.treeBlobs = blobs.tree.size
    for (const type of blobTypes)
      for (const id of blobs[type]) {
        const bytes = this.#repository.index.plaintextLength(type, id)
        if (bytes !== undefined) counts.bytes += bytes
        else this.#observer.onError('/', new HoldfastError('HF_BLOB_NOT_FOUND', `${type} blob ${id} is in no index`))
      }
  }

  async #load(tree: Id): Promise<readonly Node[]> {
    throwIfInterrupted(this.#options.signal)
    const { nodes } = this.#trees.loadAtHand(tree) ?? (await this.#trees.load(tree))
    for (const { subtree } of nodes) if (subtree !== undefined) this.#trees.announce(subtree)
    return nodes
  }

  async #attempt(path: ByteString, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      throwIfInterrupted(this.#options.signal)
      this.#observer.onError(path, error as Error)
    }
  }
}

const pathOf = (prefix: ByteString, { name, type }: Node): ByteString => `${prefix}${name}${type === 'dir' ? '/' : ''}`

function subtreeOf({ subtree }: Node): Id {
  if (subtree === undefined) throw new HoldfastError('HF_TREE_INVALID', 'a directory has no list of what is in it')
  return subtree
}

function addBlobs(blobs: BlobSets, node: Node): void {
  if (node.type === 'file') for (const id of node.content ?? []) blobs.data.add(id)
  else if (node.type === 'dir' && node.subtree !== undefined) blobs.tree.add(node.subtree)
}
