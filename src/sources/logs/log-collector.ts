import { readlinkSync, realpathSync } from 'node:fs'
import type { BackupObserver } from '../../engine/archive/backup-observer.ts'
import { type ChangeRules, isUnchanged } from '../../engine/archive/change-detection.ts'
import type { EntryAttributes, EntrySink } from '../../engine/archive/entry-tree.ts'
import { idBytes } from '../../engine/archive/hex-ids.ts'
import { type FileAttributes, lstat } from '../../engine/posix/attributes.ts'
import { readDirectory } from '../../engine/posix/directory-reader.ts'
import { groupName, userName } from '../../engine/posix/owner-names.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import { type ByteString, byteStringToText, type Node } from '../../engine/repository/tree/node.ts'
import { throwIfInterrupted } from '../../engine/storage/interruption.ts'
import { systemErrorCode } from '../../lib/errors.ts'
import { localTime } from '../../lib/go-time.ts'
import type { LogFilter } from './log-filter.ts'
import { OpenLog, type ReadEnd } from './open-log.ts'

export interface CollectorOptions {
  readonly repository: Repository
  readonly entries: EntrySink
  readonly filter: LogFilter
  /** When the run began, in nanoseconds since the epoch. */
  readonly started: bigint
  /** What the snapshot before has in a folder, by name. */
  readonly previousOf: (folder: ByteString) => Promise<ReadonlyMap<ByteString, Node>>
  readonly changeRules: ChangeRules
  readonly observer: BackupObserver
  readonly signal: AbortSignal | undefined
}

/** Logs held open at the same time. */
const OPEN_AT_ONCE = 128
/** Whoever rotates faster than that does not let a folder be listed. */
const MAX_PASSES = 20
/** Written by a program that compresses a log: half of it is of no use. */
const COMPRESSED = /\.(gz|xz|bz2|zst|lz4|Z)$/

/**
 * Brings logs that are being written and rotated. All logs of a folder are opened before the first is read, and a file that is open stays the
 * same file: renamed or removed, it is read under the name it had. When all is read the folders are looked at again for files that were not
 * met, by device and inode; these are brought too, until nothing new is found.
 */
export class LogCollector {
  readonly #options: CollectorOptions
  /** Files that were brought, as device and inode. */
  readonly #identities = new Set<string>()
  /** Paths that are taken in the snapshot. */
  readonly #taken = new Set<ByteString>()
  /** Folders in which something was not read whole: what lies there under a known name may hold what is missing. */
  readonly #lossy = new Set<ByteString>()
  readonly #failed = new Set<ByteString>()
  /** Folders whose files got other names between being listed and being opened in this pass. */
  readonly #restless = new Set<ByteString>()
  #found = 0
  #errors = 0

  constructor(options: CollectorOptions) {
    this.#options = options
  }

  /** Files and folders that could not be read. */
  get errors(): number {
    return this.#errors
  }

  /** Brings everything below the paths. */
  async collect(paths: readonly ByteString[]): Promise<void> {
    for (let pass = 1; pass <= MAX_PASSES; pass++) {
      const before = this.#found
      this.#restless.clear()
      for (const path of paths) await this.#visitTarget(path, pass)
      if (this.#found === before && this.#restless.size === 0) return
    }
    for (const folder of this.#restless) this.#options.observer.onUnstable?.(byteStringToText(folder))
  }

  async #visitTarget(path: ByteString, pass: number): Promise<void> {
    const attributes = this.#attributesOf(path)
    if (attributes === undefined) return
    this.#bringFoldersAbove(path)
    if (attributes.type === 'dir') await this.#visitFolder(path, attributes, pass)
    else if (attributes.type === 'file') await this.#bringFiles(folderOf(path), [{ path, attributes }])
    else if (attributes.type === 'symlink') this.#bringLink(path, attributes)
  }

  async #visitFolder(folder: ByteString, attributes: FileAttributes, pass: number): Promise<void> {
    const { filter, observer, signal } = this.#options
    throwIfInterrupted(signal)
    observer.onDirectoryStarted?.(`${byteStringToText(folder)}/`)
    this.#bringFolder(folder, attributes)
    const files: Listed[] = []
    const folders: [ByteString, FileAttributes][] = []
    try {
      const listing = readDirectory(Buffer.from(folder, 'latin1'))
      for (let i = 0; i < listing.count; i++) {
        const path = join(folder, listing.nameString(i))
        const error = listing.error(i)
        if (error !== undefined) {
          this.#report(path, error)
          continue
        }
        const found = listing.attributes(i)
        if (!filter(path, found)) {
          if (pass === 1) observer.onExcluded?.(byteStringToText(path))
        } else if (found.type === 'file') files.push({ path, attributes: found })
        else if (found.type === 'dir') folders.push([path, found])
        else if (found.type === 'symlink') this.#bringLink(path, found)
      }
    } catch (error) {
      this.#report(folder, error)
      return
    }
    await this.#bringFiles(folder, files)
    for (const [path, found] of folders) await this.#visitFolder(path, found, pass)
  }

  async #bringFiles(folder: ByteString, listed: readonly Listed[]): Promise<void> {
    const files = listed.filter(({ path, attributes }) => !this.#isBrought(path, attributes))
    if (files.length === 0) return
    const previous = await this.#options.previousOf(folder)
    for (let at = 0; at < files.length; at += OPEN_AT_ONCE) {
      using logs = new DisposableStack()
      const opened = files.slice(at, at + OPEN_AT_ONCE).flatMap((file) => this.#open(folder, file) ?? [])
      for (const log of opened) logs.use(log)
      // What is compressed may still be in the making, and is whole when the others are read.
      for (const log of opened.toSorted((a, b) => rankOf(a) - rankOf(b)))
        await this.#bring(folder, log, previous.get(nameOf(log.path)))
    }
  }

  #isBrought(path: ByteString, attributes: FileAttributes): boolean {
    const isSecondName = attributes.links > 1 && !this.#taken.has(path)
    return this.#identities.has(identityOf(attributes)) && !isSecondName
  }

  #open(folder: ByteString, { path, attributes }: Listed): OpenLog | undefined {
    try {
      const log = OpenLog.open(path)
      if (log === undefined || identityOf(log.attributes) !== identityOf(attributes)) this.#restless.add(folder)
      return log
    } catch (error) {
      // It was rotated away before it could be opened: the next pass meets it elsewhere.
      if (systemErrorCode(error) === 'ENOENT') {
        this.#lossy.add(folder)
        this.#restless.add(folder)
      } else this.#report(path, error)
      return undefined
    }
  }

  async #bring(folder: ByteString, log: OpenLog, previous: Node | undefined): Promise<void> {
    const { entries, repository, observer, changeRules } = this.#options
    const { attributes } = log
    if (this.#isBrought(log.path, attributes)) return
    const path = this.#placeOf(folder, log)
    if (path === undefined) return
    this.#identities.add(identityOf(attributes))
    this.#taken.add(path)
    this.#found++
    if (previous?.content && isUnchanged(attributes, previous, changeRules)) {
      const { content, size } = previous
      if (content.every((id) => repository.index.has('data', id))) {
        entries.storedFile(path, entryAttributes(attributes), idBytes(content), Number(size))
        observer.onBytes?.(Number(size))
        return
      }
    }
    const text = byteStringToText(path)
    observer.onFileStarted?.(text)
    const note = (end: ReadEnd): void => {
      if (end.error !== undefined) this.#report(path, end.error)
      if (end.truncated) this.#lossy.add(folder)
      if (end.changed && COMPRESSED.test(log.path)) observer.onUnstable?.(text)
    }
    await entries.file(path, entryAttributes(attributes), log.content(note), { kind: 'content' })
    observer.onFileFinished?.(text)
  }

  /**
   * Where a log goes in the snapshot. One whose name is taken lies beside when it was there before the run, or when something in its folder was
   * not read whole, of which it may be the copy. Else it is a new log, which the next run brings.
   */
  #placeOf(folder: ByteString, log: OpenLog): ByteString | undefined {
    if (!this.#taken.has(log.path)) return log.path
    if (!this.#lossy.has(folder) && log.born >= this.#options.started) return undefined
    for (let number = 1; ; number++) {
      const beside = `${log.path}.rotated-${number}`
      if (!this.#taken.has(beside)) return beside
    }
  }

  /** The folders that lead to a path, with their own attributes; a link among them stands for the folder it leads to. */
  #bringFoldersAbove(path: ByteString): void {
    const names = path.split('/').slice(1, -1)
    let folder = ''
    for (const name of names) {
      folder = `${folder}/${name}`
      if (this.#taken.has(folder)) continue
      try {
        const bytes = Buffer.from(folder, 'latin1')
        const attributes = lstat(bytes)
        this.#bringFolder(folder, attributes.type === 'dir' ? attributes : lstat(realpathSync.native(bytes, 'buffer')))
      } catch {
        // What leads to the logs is not the user's concern: it gets the attributes of the run.
      }
    }
  }

  #bringFolder(folder: ByteString, attributes: FileAttributes): void {
    if (folder === '/' || this.#taken.has(folder)) return
    this.#taken.add(folder)
    this.#options.entries.directory(folder, entryAttributes(attributes))
  }

  #bringLink(path: ByteString, attributes: FileAttributes): void {
    if (this.#taken.has(path)) return
    try {
      const target = readlinkSync(Buffer.from(path, 'latin1'), { encoding: 'buffer' }).toString('latin1')
      this.#options.entries.symlink(path, target, entryAttributes(attributes))
      this.#taken.add(path)
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') this.#report(path, error)
    }
  }

  #attributesOf(path: ByteString): FileAttributes | undefined {
    try {
      return lstat(Buffer.from(path, 'latin1'))
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') this.#report(path, error)
      return undefined
    }
  }

  /** Once for each path: each pass meets it again. */
  #report(path: ByteString, error: unknown): void {
    if (this.#failed.has(path)) return
    this.#failed.add(path)
    this.#errors++
    this.#options.observer.onError(byteStringToText(path), error instanceof Error ? error : new Error(String(error)))
  }
}

/** A log as its folder was listed. */
interface Listed {
  readonly path: ByteString
  readonly attributes: FileAttributes
}

/** A file itself, whatever it is called. */
const identityOf = ({ device, inode }: FileAttributes): string => `${device}:${inode}`

const entryAttributes = ({ mode, mtime, uid, gid }: FileAttributes): EntryAttributes => ({
  mode,
  mtime: localTime(mtime.seconds, mtime.nanoseconds),
  uid,
  gid,
  user: userName(uid),
  group: groupName(gid),
})

const rankOf = ({ path }: OpenLog): number => (COMPRESSED.test(path) ? 1 : 0)

const join = (folder: ByteString, name: ByteString): ByteString => (folder === '/' ? `/${name}` : `${folder}/${name}`)

const nameOf = (path: ByteString): ByteString => path.slice(path.lastIndexOf('/') + 1)

const folderOf = (path: ByteString): ByteString => path.slice(0, path.lastIndexOf('/')) || '/'
