import { setImmediate } from 'node:timers/promises'
import { monotonicMilliseconds } from '../../lib/clock.ts'
import { HoldfastError, systemErrorCode } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import type { RestoreSelector } from '../archive/filter/restore-selector.ts'
import { openDirectoryAt } from '../posix/at.ts'
import type { DirectoryAt } from '../posix/directory-at.ts'
import type { DirectoryEntry } from '../posix/directory-listing.ts'
import { groupId, userId } from '../posix/owner-names.ts'
import type { Repository } from '../repository/repository.ts'
import type { Tree } from '../repository/tree/decode-tree.ts'
import { permissionBits } from '../repository/tree/mode.ts'
import { type ByteString, byteStringToText, isPlainName, type Node } from '../repository/tree/node.ts'
import { throwIfInterrupted } from '../storage/interruption.ts'
import { ContentList } from './content-list.ts'
import type { DataBlobs } from './data-blobs.ts'
import { listDeletion } from './deletions.ts'
import { type EntryAction, type EntryFields, type EntryKind, EntryTableBuilder, ROOT } from './entry-table.ts'
import { decideFile, decideSpecial, type OverwriteRules } from './overwrite-rules.ts'
import type { Deletion, OverwriteMode, Owner, RestoreProblem } from './restore-plan.ts'
import { targetPathOf } from './restore-plan.ts'
import type { WriteRules } from './threads/entry-writer.ts'
import { TreePrefetcher } from './tree-prefetcher.ts'

export interface PlannerOptions {
  readonly target: string
  readonly selector: RestoreSelector | undefined
  readonly overwrite: OverwriteMode
  readonly deleteOthers: boolean
  readonly ownershipByName: boolean
  readonly owner: Owner | undefined
  readonly rules: WriteRules
  readonly signal: AbortSignal | undefined
}

/** A directory of the snapshot the walk is in. */
interface Level {
  readonly entry: number
  /** Within the snapshot. */
  readonly path: ByteString
  readonly isSelected: boolean
  readonly nodes: readonly Node[]
  next: number
  /** Whether it or anything below it is restored. */
  isNeeded: boolean
  /** The directory of the target in its place, when there is one, and what is in it. */
  readonly directory: DirectoryAt | undefined
  readonly existing: ReadonlyMap<ByteString, DirectoryEntry>
}

/** The walk gives way to other work after this long, so that it can be cancelled. */
const TURN_MS = 50

const nothing: ReadonlyMap<ByteString, DirectoryEntry> = new Map()

/** Walks the trees of a snapshot beside the target and decides what is to be done about each entry. Changes nothing. */
export class Planner {
  readonly #repository: Repository
  readonly #options: PlannerOptions
  readonly #overwriteRules: OverwriteRules
  readonly #table = new EntryTableBuilder()
  readonly #content: ContentList
  /** First entry of each group of hard links, by device and inode. */
  readonly #firstLinks = new Map<string, number>()
  readonly #problems: RestoreProblem[] = []
  #deletions: Deletion[] = []
  /** A name that cannot be right casts doubt on all others: nothing is removed then. */
  #mayDelete: boolean
  /** Files that are there and have to be compared. */
  readonly #toCompare: number[] = []

  constructor(repository: Repository, rows: DataBlobs, options: PlannerOptions) {
    this.#repository = repository
    this.#options = options
    this.#content = new ContentList(rows)
    const { isSuperuser, uid } = options.rules
    this.#overwriteRules = { overwrite: options.overwrite, isSuperuser, uid }
    this.#mayDelete = options.deleteOthers
  }

  get toCompare(): readonly number[] {
    return this.#toCompare
  }

  get problems(): readonly RestoreProblem[] {
    return this.#problems
  }

  get deletions(): readonly Deletion[] {
    return this.#mayDelete ? this.#deletions : []
  }

  get table(): EntryTableBuilder {
    return this.#table
  }

  /** Rows of the blobs of all files. */
  get content(): ContentList {
    return this.#content
  }

  /** @throws HoldfastError when the root tree cannot be read; other problems are collected */
  async walk(root: Id): Promise<void> {
    using trees = new TreePrefetcher(this.#repository, this.#options.signal)
    const levels: Level[] = []
    let turnEnds = monotonicMilliseconds() + TURN_MS
    try {
      levels.push(this.#rootLevel(await trees.load(root)))
      for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
        const node = level.nodes[level.next++]
        if (node === undefined) {
          levels.pop()
          this.#leave(level, levels.at(-1))
          continue
        }
        const subtree = this.#visit(level, node)
        if (subtree === undefined) continue
        if (monotonicMilliseconds() > turnEnds) {
          await setImmediate()
          throwIfInterrupted(this.#options.signal)
          turnEnds = monotonicMilliseconds() + TURN_MS
        }
        const tree = trees.loadAtHand(subtree.id) ?? (await this.#loadTree(trees, subtree))
        if (tree === undefined) this.#table.truncate(subtree.isSelected ? this.#table.count : subtree.entry)
        else levels.push(this.#enter(level, node, subtree, tree, trees))
      }
    } finally {
      for (const { directory } of levels) directory?.close()
    }
  }

  #rootLevel(tree: Tree): Level {
    this.#table.append({ ...noFields, parent: ROOT, name: '', kind: 'dir', action: 'skip' })
    const directory = openTarget(this.#options.target)
    const existing = directory ? this.#list(directory, '/') : undefined
    return {
      entry: ROOT,
      path: '/',
      isSelected: true,
      nodes: tree.nodes,
      next: 0,
      isNeeded: false,
      directory,
      existing: existing ?? nothing,
    }
  }

  /** Decides about a node. Returns where to go on when it is a directory to descend into, after its own entry was added. */
  #visit(level: Level, node: Node): Subtree | undefined {
    if (!isPlainName(node.name)) {
      this.#mayDelete = false
      this.#report(
        level.path,
        new HoldfastError(
          'HF_TREE_INVALID',
          `entry ${JSON.stringify(byteStringToText(node.name))} has an invalid name`,
          {
            hint: 'somebody may have tampered with this snapshot; nothing is deleted in this run',
          },
        ),
      )
      return undefined
    }
    // A socket is nothing without the process that made it.
    if (node.type === 'socket') return undefined
    const path = level.path === '/' ? `/${node.name}` : `${level.path}/${node.name}`
    const isDirectory = node.type === 'dir'
    const { selected, descend } = this.#options.selector?.(path, isDirectory) ?? everything
    if (selected) level.isNeeded = true
    if (isDirectory) return this.#visitDirectory(level, node, path, selected, descend)
    if (selected) this.#addFile(level, node, path)
    return undefined
  }

  #visitDirectory(
    level: Level,
    node: Node,
    path: ByteString,
    isSelected: boolean,
    descend: boolean,
  ): Subtree | undefined {
    if (!isSelected && !descend) return undefined
    const isThere = level.existing.get(node.name)?.attributes?.type === 'dir'
    const entry = this.#append(level, node, 'dir', isThere ? 'adjust' : 'create', 0)
    if (!descend) return undefined
    if (node.subtree === undefined) {
      this.#report(path, new HoldfastError('HF_TREE_INVALID', 'the directory has no list of what is in it'))
      if (!isSelected) this.#table.truncate(entry)
      return undefined
    }
    return { id: node.subtree, entry, path, isSelected }
  }

  async #loadTree(trees: TreePrefetcher, subtree: Subtree): Promise<Tree | undefined> {
    try {
      return await trees.load(subtree.id)
    } catch (error) {
      throwIfInterrupted(this.#options.signal)
      this.#report(subtree.path, error as Error)
      return undefined
    }
  }

  #enter(above: Level, node: Node, { entry, path, isSelected }: Subtree, tree: Tree, trees: TreePrefetcher): Level {
    for (const child of tree.nodes) if (child.subtree !== undefined) trees.announce(child.subtree)
    let directory: DirectoryAt | undefined
    let existing: ReadonlyMap<ByteString, DirectoryEntry> | undefined
    if (above.existing.get(node.name)?.attributes?.type === 'dir') {
      try {
        directory = above.directory?.openDirectory(Buffer.from(node.name, 'latin1'))
        existing = directory && this.#list(directory, path)
      } catch (error) {
        this.#report(path, error as Error)
      }
    }
    return {
      entry,
      path,
      isSelected,
      nodes: tree.nodes,
      next: 0,
      isNeeded: isSelected,
      directory,
      existing: existing ?? nothing,
    }
  }

  #leave(level: Level, above: Level | undefined): void {
    if (level.isNeeded) {
      if (above !== undefined) above.isNeeded = true
      if (this.#mayDelete && level.existing.size > 0) this.#planDeletions(level)
    } else if (level.entry !== ROOT) this.#table.truncate(level.entry)
    level.directory?.close()
  }

  #planDeletions(level: Level): void {
    const kept = new Set(level.nodes.map((node) => node.name))
    for (const [name, found] of level.existing) {
      if (kept.has(name)) continue
      const path = level.path === '/' ? `/${name}` : `${level.path}/${name}`
      if (this.#options.selector?.(path, false).selected === false) continue
      try {
        const isDirectory = found.attributes?.type === 'dir'
        const paths = listDeletion(level.directory!, found.name, isDirectory, targetPathOf(this.#options.target, path))
        this.#deletions.push({ directory: level.entry, name: found.name.slice(), isDirectory, paths })
      } catch (error) {
        this.#report(path, error as Error)
      }
    }
  }

  #addFile(level: Level, node: Node, path: ByteString): void {
    const kind = kindOf(node)
    if (kind === undefined) {
      this.#report(path, new HoldfastError('HF_UNSUPPORTED', `an entry of type ${node.type} cannot be restored`))
      return
    }
    const existing = level.existing.get(node.name)
    if (kind !== 'file') {
      const action = this.#isSameLink(level, node, existing)
        ? 'adjust'
        : decideSpecial(this.#overwriteRules, node, existing)
      this.#append(level, node, kind, action, Number(node.device))
      return
    }
    const linkKey = Number(node.links) > 1 ? `${node.deviceId}:${node.inode}` : undefined
    const first = linkKey === undefined ? undefined : this.#firstLinks.get(linkKey)
    if (first !== undefined) {
      this.#append(level, node, 'link', decideSpecial(this.#overwriteRules, node, existing), first)
      return
    }
    const sizeBytes = this.#addContent(node, path)
    if (sizeBytes === undefined) return
    const { action, compare } = decideFile(this.#overwriteRules, node, existing, sizeBytes)
    const entry = this.#append(level, node, 'file', action, sizeBytes)
    if (compare) this.#toCompare.push(entry)
    if (linkKey !== undefined) this.#firstLinks.set(linkKey, entry)
  }

  /** Whether the symbolic link is there already, so that it need not be made anew. */
  #isSameLink(level: Level, node: Node, existing: DirectoryEntry | undefined): boolean {
    if (node.type !== 'symlink' || existing?.attributes?.type !== 'symlink') return false
    if (decideSpecial(this.#overwriteRules, node, existing) === 'skip') return false
    try {
      return Buffer.from(level.directory!.readLink(existing.name)).toString('latin1') === node.linkTarget
    } catch {
      return false
    }
  }

  /** Adds the blobs of a file; returns the sum of their bytes, or undefined when it cannot be restored. */
  #addContent(node: Node, path: ByteString): number | undefined {
    let sizeBytes: number
    try {
      sizeBytes = this.#content.add(node.content ?? [])
    } catch (error) {
      this.#report(path, error as Error)
      return undefined
    }
    if (sizeBytes !== Number(node.size))
      this.#report(
        path,
        new HoldfastError(
          'HF_TREE_INVALID',
          `its content has ${sizeBytes} bytes, but the snapshot says that it should have ${node.size}; the content is restored as it is`,
        ),
      )
    return sizeBytes
  }

  #append(level: Level, node: Node, kind: EntryKind, action: EntryAction, number: number): number {
    const { ownershipByName: byName, owner } = this.#options
    return this.#table.append({
      parent: level.entry,
      name: node.name,
      kind,
      action,
      mode: permissionBits(node.mode),
      uid: owner?.uid ?? (byName ? userId(node.user) : undefined) ?? node.uid,
      gid: owner?.gid ?? (byName ? groupId(node.group) : undefined) ?? node.gid,
      modified: node.mtime,
      accessed: node.atime,
      number,
      contentEnd: this.#content.count,
      linkTarget: kind === 'symlink' ? node.linkTarget : '',
      extendedAttributes: node.extendedAttributes,
    })
  }

  /** What is in a directory of the target; undefined when it cannot be read, so that nothing in it is taken for missing or superfluous. */
  #list(directory: DirectoryAt, path: ByteString): ReadonlyMap<ByteString, DirectoryEntry> | undefined {
    try {
      return new Map(Array.from(directory.entries(), (entry) => [Buffer.from(entry.name).toString('latin1'), entry]))
    } catch (error) {
      this.#report(path, error as Error)
      return undefined
    }
  }

  #report(path: ByteString, error: Error): void {
    this.#problems.push({ path: byteStringToText(path), error })
  }
}

interface Subtree {
  readonly id: Id
  readonly entry: number
  readonly path: ByteString
  readonly isSelected: boolean
}

const everything = { selected: true, descend: true }

const never = { seconds: 0, nanoseconds: 0 }

const noFields: Omit<EntryFields, 'parent' | 'name' | 'kind' | 'action'> = {
  mode: 0,
  uid: 0,
  gid: 0,
  modified: never,
  accessed: never,
  number: 0,
  contentEnd: 0,
  linkTarget: '',
  extendedAttributes: [],
}

function kindOf({ type }: Node): EntryKind | undefined {
  switch (type) {
    case 'file':
    case 'symlink':
    case 'dev':
    case 'chardev':
    case 'fifo':
      return type
    default:
      return undefined
  }
}

/** The target when it is there. */
function openTarget(target: string): DirectoryAt | undefined {
  try {
    return openDirectoryAt(Buffer.from(target))
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'ENOENT') return undefined
    throw new HoldfastError('HF_TARGET_INVALID', `${target} cannot be restored to: ${(error as Error).message}`, {
      cause: error,
      hint: 'name a folder that you may write to, or one that does not exist yet',
    })
  }
}
