import { createHash } from 'node:crypto'
import { closeSync, readlinkSync, readSync } from 'node:fs'
import { isWithin } from '../../engine/archive/filter/clean-path.ts'
import { absolutePath } from '../../engine/archive/filter/index.ts'
import { openSource } from '../../engine/archive/saver/open-source.ts'
import { type FileAttributes, fstat } from '../../engine/posix/attributes.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import { rootOf } from '../../engine/repository/snapshot.ts'
import { type ByteString, byteStringToText, type Node, textToByteString } from '../../engine/repository/tree/node.ts'
import { throwIfInterrupted } from '../../engine/storage/interruption.ts'
import type { ListedItems, ProofJob, SourceComparison } from '../proof.ts'
import type { FileSourceIdentity } from './backup.ts'
import { MANIFEST_FOLDER } from './manifest.ts'
import type { SecretNames } from './secret-names.ts'
import { findFilesManifest } from './stored-manifest.ts'
import { secretsOf } from './structure.ts'
import { walkBeside } from './walk-beside.ts'

/** What a source takes of the files there are. */
export interface LiveSelection {
  readonly paths: readonly string[]
  /** Whether a backup would take the file or folder at a path; asked for what the snapshot does not have. */
  isTaken(path: ByteString, attributes: FileAttributes): boolean
}

const MAX_NAMES = 1000
const BUFFER_BYTES = 1024 * 1024

/**
 * Compares the files of a snapshot with the files there are now, by content: each is read again at the places where it was cut, and the hashes
 * must be the ids of its blobs (S4-47). Nothing is stored, nothing of the repository's content is read. Times and permissions do not count.
 */
export async function compareWithLive(
  { repository, snapshot, signal }: Omit<ProofJob, 'report'>,
  identity: FileSourceIdentity,
  openSelection: () => LiveSelection,
): Promise<SourceComparison> {
  const selection = openSelection()
  const manifest = await findFilesManifest(repository, snapshot, identity.name, signal)
  const secrets = secretsOf(identity, manifest)
  const roots = (manifest?.paths ?? selection.paths).map((path) => absolutePath(textToByteString(path)))
  const isInside = (path: ByteString): boolean => roots.some((root) => isWithin(root, path))
  const missing = new ItemList(secrets)
  const extra = new ItemList(secrets)
  const changed = new ItemList(secrets)
  const unreadable = new ItemList(secrets)
  const content = new ContentComparer(repository, signal)
  let equal = 0
  await walkBeside(repository, rootOf(snapshot), '/', {
    isOfInterest: (path) =>
      !isWithin(`/${MANIFEST_FOLDER}`, path) && (isInside(path) || roots.some((root) => isWithin(path, root))),
    onBoth(path, node, found) {
      if (!isInside(path)) return
      try {
        const isEqual = content.isEqual(path, node, found)
        if (!isEqual) changed.add(path)
        else if (node.type !== 'dir') equal++
      } catch (error) {
        throwIfInterrupted(signal)
        const code = (error as NodeJS.ErrnoException).code
        if (code === 'ENOENT') missing.add(path)
        else if (code === undefined) throw error
        else unreadable.add(path)
      }
    },
    onMissing(path, { type }) {
      missing.add(type === 'dir' ? `${path}/` : path)
    },
    onExtra(path, found) {
      if (isInside(path) && found.type !== 'socket' && selection.isTaken(path, found))
        extra.add(found.type === 'dir' ? `${path}/` : path)
    },
    onUnreadable: (path) => unreadable.add(path),
    signal,
  })
  return { equal, bytes: content.bytes, missing, extra, changed, unreadable }
}

class ItemList implements ListedItems {
  readonly names: string[] = []
  count = 0
  readonly #secrets: SecretNames

  constructor(secrets: SecretNames) {
    this.#secrets = secrets
  }

  add(path: ByteString): void {
    this.count++
    if (this.names.length < MAX_NAMES) this.names.push(this.#secrets.show(byteStringToText(path)))
  }
}

/** Compares entries of this machine with those of a snapshot. */
class ContentComparer {
  bytes = 0
  readonly #repository: Repository
  readonly #signal: AbortSignal | undefined
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES)

  constructor(repository: Repository, signal: AbortSignal | undefined) {
    this.#repository = repository
    this.#signal = signal
  }

  /** @throws system errors of reading, HF_INTERRUPTED */
  isEqual(path: ByteString, node: Node, found: FileAttributes): boolean {
    if (found.type !== node.type) return false
    if (node.type === 'symlink')
      return readlinkSync(Buffer.from(path, 'latin1'), { encoding: 'buffer' }).toString('latin1') === node.linkTarget
    if (node.type === 'dev' || node.type === 'chardev') return found.rdev === node.device
    return node.type !== 'file' || (BigInt(found.size) === BigInt(node.size) && this.#isSameContent(path, node))
  }

  #isSameContent(path: ByteString, { content, size }: Node): boolean {
    const fd = openSource(Buffer.from(path, 'latin1'), true)
    try {
      if (fstat(fd).type !== 'file') return false
      let offset = 0
      for (const id of content ?? []) {
        const length = this.#repository.index.plaintextLength('data', id)
        if (length === undefined || this.#hash(fd, offset, length) !== id) return false
        offset += length
      }
      return BigInt(offset) === BigInt(size)
    } finally {
      closeSync(fd)
    }
  }

  /** Hash of a stretch of a file; undefined when the file ends before. */
  #hash(fd: number, start: number, length: number): string | undefined {
    const hash = createHash('sha256')
    for (let done = 0; done < length; ) {
      throwIfInterrupted(this.#signal)
      const count = readSync(fd, this.#buffer, 0, Math.min(BUFFER_BYTES, length - done), start + done)
      if (count === 0) return undefined
      hash.update(this.#buffer.subarray(0, count))
      done += count
      this.bytes += count
    }
    return hash.digest('hex')
  }
}
