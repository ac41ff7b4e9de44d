import { realpathSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { monotonicMilliseconds } from '../../lib/clock.ts'
import { HoldfastError, systemErrorCode } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { reviveError } from '../../lib/worker-pool.ts'
import { type FileAttributes, lstat } from '../posix/attributes.ts'
import type { DirectoryListing } from '../posix/directory-listing.ts'
import { readDirectory } from '../posix/directory-reader.ts'
import type { Repository } from '../repository/repository.ts'
import {
  type ByteString,
  byteStringToText,
  createNode,
  type Node,
  type NodeOf,
  nodesEqual,
} from '../repository/tree/node.ts'
import { TreeLoader } from '../repository/tree-loader.ts'
import type { BlobWriter } from '../repository/write/blob-writer.ts'
import type { BackupObserver, BackupSummary, ItemChange } from './backup-observer.ts'
import { type ChangeRules, isSameEntry, isUnchanged, wasTouchedDuring } from './change-detection.ts'
import { matchDirectory } from './directory-match.ts'
import { absolutePath } from './filter/clean-path.ts'
import type { Selector } from './filter/selector.ts'
import { hexIds } from './hex-ids.ts'
import { NodeReader, pathBytes } from './node-reader.ts'
import { type DirectoryPart, encodeDirectory, type OpenDirectory, sameTree } from './open-directory.ts'
import { PreviousTree } from './previous-tree.ts'
import type { ReadAhead } from './read-ahead.ts'
import type { NewData } from './saver/messages.ts'
import { type SavedFile, SaverPool } from './saver/saver-pool.ts'
import { joinPath, type TargetNode } from './target-tree.ts'

export interface ArchiverOptions {
  readonly selector: Selector
  readonly changeRules: ChangeRules
  readonly withAccessTime: boolean
  /** Threads that read and save files. */
  readonly threads: number
  readonly dryRun: boolean
  readonly observer: BackupObserver
  /** Directories listed in advance. */
  readonly readAhead?: ReadAhead | undefined
}

/** How long the walk may keep signals, timers and the threads' answers waiting. */
const MAX_BUSY_MS = 50

const noData = (): NewData => ({ newBlobs: 0, newBytes: 0, storedBytes: 0 })

/**
 * Walks the targets and turns them into trees. The walk runs on this thread, synchronously within a directory; content of new and changed
 * files is saved by worker threads, which are started when the first such file is met. A directory's tree is saved when all its entries
 * are known, so children always lie before their parents.
 */
export class Archiver {
  readonly #repository: Repository
  readonly #writer: BlobWriter
  readonly #options: ArchiverOptions
  readonly #observer: BackupObserver
  readonly #trees: TreeLoader
  readonly #nodes: NodeReader
  readonly #signal: AbortSignal | undefined
  readonly #files: Record<ItemChange, number> = { new: 0, changed: 0, unmodified: 0 }
  readonly #dirs: Record<ItemChange, number> = { new: 0, changed: 0, unmodified: 0 }
  readonly #treeCounts = noData()
  readonly #mayMatch: boolean
  #totalBytes = 0
  #targetsFound = 0
  #errors = 0
  #busySince = monotonicMilliseconds()
  #pool: SaverPool | undefined
  #fail: (error: unknown) => void = () => undefined
  #finished: (root: Id) => void = () => undefined

  constructor(repository: Repository, writer: BlobWriter, options: ArchiverOptions, signal?: AbortSignal) {
    this.#repository = repository
    this.#writer = writer
    this.#options = options
    this.#observer = options.observer
    this.#signal = signal
    this.#trees = new TreeLoader(repository)
    const { observer, changeRules, withAccessTime } = options
    this.#mayMatch =
      !observer.onItem &&
      !observer.onExcluded &&
      !changeRules.ignoreCtime &&
      !changeRules.ignoreInode &&
      !withAccessTime
    this.#nodes = new NodeReader({
      withAccessTime: options.withAccessTime,
      onProblem: (path, error) => this.#report(path, error),
    })
  }

  get summary(): BackupSummary {
    const { new: created, changed, unmodified } = this.#files
    return {
      files: this.#files,
      dirs: this.#dirs,
      data: this.#pool?.counts ?? noData(),
      trees: this.#treeCounts,
      totalFiles: created + changed + unmodified,
      totalBytes: this.#totalBytes,
      errors: this.#errors,
    }
  }

  /**
   * Archives `targets` and returns the id of the root tree; all blobs are saved but not yet flushed. `beside` are further entries of the
   * root; a target of the same name is refused.
   * @throws HoldfastError HF_SOURCE_UNREADABLE when nothing at all could be archived; whatever the repository throws
   */
  async archive(targets: TargetNode, parentTree: Id | undefined, beside: readonly Node[] = []): Promise<Id> {
    try {
      return await new Promise<Id>((resolve, reject) => {
        this.#fail = reject
        this.#finished = resolve
        const cancel = (): void => reject(this.#signal?.reason)
        this.#signal?.addEventListener('abort', cancel, { once: true })
        this.#walkRoot(targets, parentTree, beside).catch(reject)
      })
    } finally {
      this.#trees.close()
    }
  }

  /** Archives one blob stream as a file; see `stream-source.ts`. */
  get pool(): SaverPool {
    this.#pool ??= new SaverPool(
      this.#repository,
      this.#writer,
      {
        threads: this.#options.threads,
        preserveAccessTimes: true,
        dryRun: this.#options.dryRun,
        onBytes: (bytes) => this.#observer.onBytes?.(bytes),
      },
      (error) => this.#fail(error),
    )
    return this.#pool
  }

  /** Counts a file and tells the observer; for content that did not come from a walk. */
  countFile(directory: ByteString, node: NodeOf<unknown>, change: ItemChange, added: Readonly<NewData>): void {
    this.#files[change]++
    this.#totalBytes += Number(node.size)
    this.#observer.onCounted?.('file')
    if (this.#observer.onItem)
      this.#observer.onItem({
        path: byteStringToText(joinPath(directory, node.name)),
        type: 'file',
        change,
        node,
        added,
      })
  }

  /** The same for a directory, `path` and all. */
  countDirectory(path: ByteString, node: NodeOf<unknown>, change: ItemChange, added: Readonly<NewData>): void {
    this.#dirs[change]++
    this.#observer.onCounted?.('dir')
    this.#observer.onItem?.({ path: `${byteStringToText(path)}/`, type: 'dir', change, node, added })
  }

  /** Saves a tree blob and counts it. */
  async saveTree(bytes: Uint8Array, added: NewData = noData()): Promise<Id> {
    const saved = await this.#writer.save('tree', bytes)
    if (saved.isNew)
      for (const sum of [added, this.#treeCounts]) {
        sum.newBlobs++
        sum.newBytes += bytes.length
        sum.storedBytes += saved.storedBytes
      }
    return saved.id
  }

  /** Hands what the threads have not yet stored to the writer. Call it before the writer is flushed. */
  async finish(): Promise<void> {
    await this.#pool?.finish()
  }

  /** After a cancellation, for `reason`: stores what was read so far, so that the next run need not do it again. Never fails. */
  async salvage(reason: unknown): Promise<void> {
    if (this.#options.dryRun) return
    this.#pool?.halt(reason)
    try {
      await this.#pool?.finish()
      await this.#writer.flush()
    } catch {
      // The cancellation is what there is to tell; nothing refers to what could not be stored.
    }
  }

  async close(): Promise<void> {
    await this.#pool?.close()
  }

  async #walkRoot(targets: TargetNode, parentTree: Id | undefined, beside: readonly Node[]): Promise<void> {
    const root: OpenDirectory = {
      snapshotPath: '/',
      parent: undefined,
      slot: 0,
      self: undefined,
      previous: undefined,
      previousTree: await this.#previousTree('/', parentTree),
      parts: undefined,
      nodes: [],
      hasLost: false,
      missing: 1,
    }
    await this.#walkTargets(targets, root, beside)
    if (this.#targetsFound === 0)
      throw new HoldfastError('HF_SOURCE_UNREADABLE', 'nothing could be backed up: the snapshot would be empty', {
        hint: 'check that the paths exist, can be read, and are not all excluded',
      })
    this.#pool?.sendBatch()
    await this.#entryDone(root)
  }

  /** The entries of a directory above targets: only what leads to them. */
  async #walkTargets(targets: TargetNode, directory: OpenDirectory, beside: readonly Node[] = []): Promise<void> {
    const names = [...targets.children.keys(), ...beside.map(({ name }) => name)].sort()
    const previous = directory.previousTree
    for (const name of names) {
      const other = beside.find((node) => node.name === name)
      if (other !== undefined) {
        directory.nodes.push(other)
        continue
      }
      const target = targets.children.get(name)!
      const path = absolutePath((target.path ?? target.attributesPath)!)
      if (target.path !== undefined) {
        const attributes = this.#attributesOf(path, target.explicit)
        if (attributes) {
          this.#targetsFound++
          await this.#visit(directory, name, path, attributes, previous.find(name), target.explicit)
        }
        continue
      }
      const above = this.#directoryAbove(path)
      if (!above) continue
      const opened = await this.#openDirectory(directory, name, above.path, above.attributes, previous.find(name), true)
      await this.#walkTargets(target, opened)
      await this.#entryDone(opened)
    }
  }

  /** A directory that targets lie below; a symbolic link to one stands for that directory, as the targets are reached through it. */
  #directoryAbove(path: ByteString): { readonly path: ByteString; readonly attributes: FileAttributes } | undefined {
    try {
      const attributes = lstat(pathBytes(path))
      if (attributes.type === 'dir') return { path, attributes }
      const place = realpathSync.native(Buffer.from(path, 'latin1'), 'buffer')
      return { path: place.toString('latin1'), attributes: lstat(place) }
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') this.#report(path, error)
      return undefined
    }
  }

  /** lstat of a path named by a target; reports what is wrong. */
  #attributesOf(path: ByteString, explicit: boolean): FileAttributes | undefined {
    if (!explicit && !this.#options.selector.selectByName(path)) {
      this.#observer.onExcluded?.(byteStringToText(path))
      return undefined
    }
    try {
      return lstat(pathBytes(path))
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') this.#report(path, error)
      return undefined
    }
  }

  /** Walks a real directory. */
  async #walkDirectory(directory: OpenDirectory, path: ByteString): Promise<void> {
    this.#signal?.throwIfAborted()
    let listing: DirectoryListing
    try {
      listing = this.#options.readAhead?.take(path) ?? readDirectory(pathBytes(path))
    } catch (error) {
      this.#report(path, error)
      return
    }
    if (await this.#walkMatched(directory, path, listing)) return
    const previous = directory.previousTree
    for (let i = 0; i < listing.count; i++) {
      const name = listing.nameString(i)
      const child = joinPath(path, name)
      if (!this.#options.selector.selectByName(child)) {
        this.#observer.onExcluded?.(byteStringToText(child))
        continue
      }
      const error = listing.error(i)
      if (error !== undefined) {
        this.#report(child, error)
        continue
      }
      const visit = this.#visit(directory, name, child, listing.attributes(i), previous.find(name), false)
      if (visit !== undefined) await visit
    }
  }

  /**
   * Walks only what is not as in the parent snapshot. False when the directory cannot be compared that way: where somebody wants to hear of
   * every file, or where ctime and inode number do not tell of every change.
   */
  async #walkMatched(directory: OpenDirectory, path: ByteString, listing: DirectoryListing): Promise<boolean> {
    const { selector, changeRules } = this.#options
    const { bytes } = directory.previousTree
    if (!this.#mayMatch || bytes === undefined) return false
    const selectsAll = selector.selectsAll?.(path) ?? false
    const childPath = (entry: number): ByteString => joinPath(path, listing.nameString(entry))
    const matched = matchDirectory(bytes, listing, {
      selects: (entry) => selectsAll || this.#selects(childPath(entry), listing, entry),
      wasTouchedDuring: (ctime) => wasTouchedDuring(changeRules.parentRun, ctime),
      isSame: (attributes, node) => this.#isSame(attributes, node),
      hasBlob: (id) => this.#writer.hasBytes('data', id),
    })
    if (matched === undefined) return false
    this.#files.unmodified += matched.files
    this.#totalBytes += matched.bytes
    if (this.#observer.onCounted) for (let i = 0; i < matched.files; i++) this.#observer.onCounted('file')
    this.#observer.onBytes?.(matched.bytes)
    const parts: DirectoryPart[] = []
    for (const step of matched.steps) {
      if ('from' in step) {
        parts.push(step)
        continue
      }
      const { entry, previous } = step
      const slot = directory.nodes.length
      const name = listing.nameString(entry)
      const visit = this.#visit(directory, name, childPath(entry), listing.attributes(entry), previous?.node, true)
      if (visit !== undefined) await visit
      if (directory.nodes.length > slot) parts.push({ slot, previous })
      else if (previous) directory.hasLost = true
    }
    directory.parts = parts
    if (matched.hasLost) directory.hasLost = true
    return true
  }

  #selects(path: ByteString, listing: DirectoryListing, entry: number): boolean {
    const { selector } = this.#options
    return (
      selector.selectByName(path) &&
      (listing.error(entry) !== undefined || selector.select(path, listing.attributes(entry)))
    )
  }

  /** Archives one entry. Returns a promise only when there is something to wait for. */
  #visit(
    directory: OpenDirectory,
    name: ByteString,
    path: ByteString,
    attributes: FileAttributes,
    previous: Node | undefined,
    explicit: boolean,
  ): Promise<void> | undefined {
    if (!explicit && !this.#options.selector.select(path, attributes)) {
      this.#observer.onExcluded?.(byteStringToText(path))
      return undefined
    }
    switch (attributes.type) {
      case 'dir':
        return this.#visitDirectory(directory, name, path, attributes, previous)
      case 'file':
        return this.#visitFile(directory, name, path, attributes, previous)
      case 'socket':
        return undefined
      default: {
        const node = this.#isSame(attributes, previous) ? previous : this.#nodes.read(name, path, attributes)
        if (node) directory.nodes.push(node)
        return undefined
      }
    }
  }

  async #visitDirectory(
    parent: OpenDirectory,
    name: ByteString,
    path: ByteString,
    attributes: FileAttributes,
    previous: Node | undefined,
  ): Promise<void> {
    const opened = await this.#openDirectory(parent, name, path, attributes, previous, false)
    await this.#walkDirectory(opened, path)
    if (this.#pool) await this.#pool.room()
    if (monotonicMilliseconds() - this.#busySince > MAX_BUSY_MS) {
      await setImmediate()
      this.#busySince = monotonicMilliseconds()
    }
    await this.#entryDone(opened)
  }

  async #openDirectory(
    parent: OpenDirectory,
    name: ByteString,
    path: ByteString,
    attributes: FileAttributes,
    previous: Node | undefined,
    aboveTargets: boolean,
  ): Promise<OpenDirectory> {
    const snapshotPath = joinPath(parent.snapshotPath, name)
    this.#observer.onDirectoryStarted?.(`${byteStringToText(snapshotPath)}/`)
    const slot = parent.nodes.length
    parent.nodes.push(undefined)
    parent.missing++
    return {
      snapshotPath,
      parent,
      slot,
      // Reading attributes of directories above the targets may be forbidden, which is not the user's concern.
      self: this.#isSame(attributes, previous)
        ? previous
        : this.#nodes.read(name, path, attributes, { quiet: aboveTargets }),
      previous,
      previousTree: await this.#previousTree(snapshotPath, previous?.type === 'dir' ? previous.subtree : undefined),
      parts: undefined,
      nodes: [],
      hasLost: false,
      missing: 1,
    }
  }

  #visitFile(
    directory: OpenDirectory,
    name: ByteString,
    path: ByteString,
    attributes: FileAttributes,
    previous: Node | undefined,
  ): Promise<void> | undefined {
    if (previous && isUnchanged(attributes, previous, this.#options.changeRules)) {
      if (this.#allBlobsPresent(previous)) {
        const kept = this.#isSame(attributes, previous) ? previous : this.#keepContent(name, path, attributes, previous)
        if (!kept) return undefined
        directory.nodes.push(kept)
        this.countFile(directory.snapshotPath, kept, 'unmodified', noData())
        this.#observer.onBytes?.(Number(kept.size))
        return undefined
      }
      this.#report(
        path,
        new HoldfastError('HF_INDEX_INCOMPLETE', 'parts of it are not in the repository any more; it is read again'),
      )
    }
    const slot = directory.nodes.length
    directory.nodes.push(undefined)
    directory.missing++
    this.#observer.onFileStarted?.(byteStringToText(joinPath(directory.snapshotPath, name)))
    this.pool.saveFile({ path: pathBytes(path), attributes }, (saved) => {
      this.#fileSaved(directory, slot, name, path, attributes, previous, saved)
      this.#entryDone(directory).catch(this.#fail)
    })
    return undefined
  }

  #fileSaved(
    directory: OpenDirectory,
    slot: number,
    name: ByteString,
    path: ByteString,
    attributes: FileAttributes,
    previous: Node | undefined,
    saved: SavedFile,
  ): void {
    this.#observer.onFileFinished?.(byteStringToText(joinPath(directory.snapshotPath, name)))
    if (saved.error !== undefined) {
      this.#report(path, reviveError(saved.error))
      return
    }
    if (saved.unstable) this.#observer.onUnstable?.(byteStringToText(path))
    const node = this.#nodes.read(name, path, saved.attributes ?? attributes)
    if (!node) return
    const complete = createNode({ ...node, content: hexIds(saved.ids), size: saved.size })
    directory.nodes[slot] = complete
    const change = previous?.type !== 'file' ? 'new' : nodesEqual(previous, complete) ? 'unmodified' : 'changed'
    this.countFile(directory.snapshotPath, complete, change, saved.added)
  }

  /** One of what a directory waits for is there. Saves its tree when that was the last. */
  async #entryDone(directory: OpenDirectory): Promise<void> {
    if (--directory.missing > 0) return
    const { parent, self, previous } = directory
    const added = noData()
    const subtree = sameTree(directory) ?? (await this.saveTree(encodeDirectory(directory), added))
    if (!parent) {
      this.#finished(subtree)
      return
    }
    const node = createNode({ ...self!, subtree })
    parent.nodes[directory.slot] = node
    const change = previous?.type !== 'dir' ? 'new' : nodesEqual(previous, node) ? 'unmodified' : 'changed'
    this.countDirectory(directory.snapshotPath, node, change, added)
    await this.#entryDone(parent)
  }

  async #previousTree(path: ByteString, tree: Id | undefined): Promise<PreviousTree> {
    if (tree === undefined) return PreviousTree.absent
    try {
      const bytes = this.#trees.loadBytesAtHand(tree) ?? (await this.#trees.loadBytes(tree, this.#signal))
      return PreviousTree.ofBytes(bytes, tree, (error) => this.#report(path, error))
    } catch (error) {
      this.#report(path, error)
      return PreviousTree.absent
    }
  }

  #isSame(attributes: FileAttributes, previous: Node | undefined): previous is Node {
    return (
      previous !== undefined &&
      isSameEntry(attributes, previous, this.#options.changeRules, this.#options.withAccessTime) &&
      this.#nodes.hasOwners(previous)
    )
  }

  /** The node of a file whose content is known but whose other attributes have changed. */
  #keepContent(name: ByteString, path: ByteString, attributes: FileAttributes, previous: Node): Node | undefined {
    const node = this.#nodes.read(name, path, attributes)
    return node && createNode({ ...node, content: previous.content, size: previous.size })
  }

  #allBlobsPresent(previous: Node): boolean {
    for (const id of previous.content ?? []) if (!this.#writer.has('data', id)) return false
    return true
  }

  #report(path: ByteString, error: unknown): void {
    this.#errors++
    this.#observer.onError(byteStringToText(path), error instanceof Error ? error : new Error(String(error)))
  }
}
