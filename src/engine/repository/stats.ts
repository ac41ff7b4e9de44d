import { HoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import type { Progress } from '../../lib/progress.ts'
import { CRYPTO_OVERHEAD_BYTES } from '../kernels/cipher.ts'
import { sha256Hex } from '../kernels/sha256.ts'
import { throwIfInterrupted } from '../storage/interruption.ts'
import { blobTypes } from './blob.ts'
import { plaintextLengthOf } from './index/master-index.ts'
import type { Repository } from './repository.ts'
import { rootOf, type StoredSnapshot } from './snapshot.ts'
import type { Tree } from './tree/decode-tree.ts'
import { type ByteString, byteStringToText, type Node } from './tree/node.ts'
import { TreeLoader } from './tree-loader.ts'
import { findUsedBlobs } from './used-blobs.ts'

/**
 * What is counted. `restore-size`: entries of each snapshot, and the bytes restoring it would write. `files-by-contents`: files of different
 * content. `blobs-per-file`: the blobs of these, each once for each path. `raw-data`: blobs as they are stored.
 */
export type StatsMode = 'restore-size' | 'files-by-contents' | 'blobs-per-file' | 'raw-data'

/** Totals; what a mode does not count is 0. */
export interface Stats {
  readonly snapshots: number
  readonly totalBytes: number
  readonly totalFiles: number
  readonly totalBlobs: number
  /** What the stored blobs would take without compression; 0 in version 1 repositories. */
  readonly uncompressedBytes: number
  /** Size before to size after, of the compressed blobs. */
  readonly compressionRatio: number
  /** Percentage of the data that is stored compressed. */
  readonly compressionProgress: number
  /** Percentage that compression saves. */
  readonly compressionSpaceSaving: number
}

export interface StatsOptions {
  readonly mode: StatsMode
  readonly progress: Progress
  readonly signal?: AbortSignal | undefined
}

/**
 * Adds up snapshots the way restic's `stats` does. The index must be loaded, after the snapshots were. Wants a read lock.
 * @throws HoldfastError HF_DATA_DAMAGED, HF_BLOB_NOT_FOUND, HF_PACK_DAMAGED, HF_TREE_INVALID for the first thing that cannot be read
 */
export async function countSnapshots(
  repository: Repository,
  snapshots: readonly StoredSnapshot[],
  { mode, progress, signal }: StatsOptions,
): Promise<Stats> {
  if (mode === 'raw-data') return await countStored(repository, snapshots, progress, signal)
  const step = progress.step('snapshots', snapshots.length)
  const loader = new TreeLoader(repository)
  const counter = mode === 'restore-size' ? new RestoreCounter() : new ContentCounter(repository, mode)
  try {
    for (const snapshot of snapshots) {
      await counter.add(rootOf(snapshot), (id) => {
        throwIfInterrupted(signal)
        return loader.load(id, signal)
      })
      step.add()
    }
  } finally {
    loader.close()
  }
  step.done()
  return { ...nothing, snapshots: snapshots.length, ...counter.totals }
}

/** What `stats --json` prints, with restic's names and order: totals that are 0 are left out. */
export const statsJson = (stats: Stats): Readonly<Record<string, unknown>> => ({
  total_size: stats.totalBytes,
  total_uncompressed_size: stats.uncompressedBytes || undefined,
  compression_ratio: stats.compressionRatio || undefined,
  compression_progress: stats.compressionProgress || undefined,
  compression_space_saving: stats.compressionSpaceSaving || undefined,
  total_file_count: stats.totalFiles || undefined,
  total_blob_count: stats.totalBlobs || undefined,
  snapshots_count: stats.snapshots,
})

const nothing: Stats = {
  snapshots: 0,
  totalBytes: 0,
  totalFiles: 0,
  totalBlobs: 0,
  uncompressedBytes: 0,
  compressionRatio: 0,
  compressionProgress: 0,
  compressionSpaceSaving: 0,
}

type LoadTree = (id: Id) => Promise<Tree>

interface HardLink {
  /** Inode and device. */
  readonly file: string
  readonly bytes: number
}

/** All that lies below a directory, except that files with several links are not added up: in one snapshot each counts once. */
interface TreeTotals {
  readonly entries: number
  readonly bytes: number
  readonly links: readonly HardLink[]
  readonly directoriesWithLinks: readonly TreeTotals[]
}

/** Directories that snapshots share are read and added up once. */
class RestoreCounter {
  readonly #known = new Map<Id, TreeTotals>()
  readonly totals = { totalFiles: 0, totalBytes: 0 }

  async add(root: Id, load: LoadTree): Promise<void> {
    const totals = await this.#totalsOf(root, load)
    const seen = new Set<string>()
    const addLinks = ({ links, directoriesWithLinks }: TreeTotals): void => {
      for (const { file, bytes } of links) {
        if (seen.has(file)) continue
        seen.add(file)
        this.totals.totalBytes += bytes
      }
      for (const directory of directoriesWithLinks) addLinks(directory)
    }
    this.totals.totalFiles += totals.entries
    this.totals.totalBytes += totals.bytes
    addLinks(totals)
  }

  async #totalsOf(id: Id, load: LoadTree): Promise<TreeTotals> {
    const known = this.#known.get(id)
    if (known) return known
    const { nodes } = await load(id)
    let entries = nodes.length
    let bytes = 0
    const links: HardLink[] = []
    const directoriesWithLinks: TreeTotals[] = []
    for (const node of nodes) {
      const size = Number(node.size)
      if (node.type === 'dir') {
        const below = await this.#totalsOf(subtreeOf(node), load)
        entries += below.entries
        bytes += size + below.bytes
        if (below.links.length + below.directoriesWithLinks.length > 0) directoriesWithLinks.push(below)
      } else if (node.links === 1 || node.inode === 0) bytes += size
      else links.push({ file: `${node.inode} ${node.deviceId}`, bytes: size })
    }
    const totals = { entries, bytes, links, directoriesWithLinks }
    this.#known.set(id, totals)
    return totals
  }
}

/**
 * Files of different content. A directory seen before holds nothing new, whatever its path; the order of visits, as restic's, decides
 * which path a content belongs to.
 */
class ContentCounter {
  readonly #repository: Repository
  readonly #mode: 'files-by-contents' | 'blobs-per-file'
  readonly #trees = new Set<Id>()
  readonly #contents = new Set<string>()
  readonly #blobsOfPath = new Map<ByteString, Set<Id>>()
  readonly totals = { totalFiles: 0, totalBytes: 0, totalBlobs: 0 }

  constructor(repository: Repository, mode: 'files-by-contents' | 'blobs-per-file') {
    this.#repository = repository
    this.#mode = mode
  }

  async add(root: Id, load: LoadTree): Promise<void> {
    await this.#visit(root, '', load)
  }

  async #visit(id: Id, path: ByteString, load: LoadTree): Promise<void> {
    if (this.#trees.has(id)) return
    this.#trees.add(id)
    for (const node of (await load(id)).nodes) {
      this.#count(node, `${path}/${node.name}`)
      if (node.type === 'dir') await this.#visit(subtreeOf(node), `${path}/${node.name}`, load)
    }
  }

  #count(node: Node, path: ByteString): void {
    const content = node.content ?? []
    const key = content.length <= 1 ? content.join() : sha256Hex(Buffer.from(content.join(), 'latin1'))
    if (this.#contents.has(key)) return
    this.#contents.add(key)
    if (this.#mode === 'files-by-contents') {
      this.totals.totalBytes += Number(node.size)
      this.totals.totalFiles++
      return
    }
    if (content.length === 0) return
    let blobs = this.#blobsOfPath.get(path)
    if (!blobs) {
      blobs = new Set()
      this.#blobsOfPath.set(path, blobs)
      this.totals.totalFiles++
    }
    for (const id of content) {
      if (blobs.has(id)) continue
      blobs.add(id)
      const bytes = this.#repository.index.plaintextLength('data', id)
      if (bytes === undefined) throw notInIndex('data', id)
      this.totals.totalBytes += bytes
      this.totals.totalBlobs++
    }
  }
}

async function countStored(
  repository: Repository,
  snapshots: readonly StoredSnapshot[],
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<Stats> {
  const used = await findUsedBlobs(repository, snapshots.map(rootOf), progress, signal)
  const [missing] = used.missing
  if (missing) throw notInIndex(missing.type, missing.id)
  let totalBlobs = 0
  let totalBytes = 0
  let plainBytes = 0
  let compressedBytes = 0
  let compressedPlainBytes = 0
  for (const type of blobTypes) {
    const table = used.tables[type]
    for (let row = 0; row < table.count; row++) {
      if (used.marks[type][row] !== 1) continue
      const length = table.length(row)
      const uncompressedLength = table.uncompressedLength(row)
      const plain = plaintextLengthOf({ length, uncompressedLength }) + CRYPTO_OVERHEAD_BYTES
      totalBlobs++
      totalBytes += length
      plainBytes += plain
      if (uncompressedLength > 0) {
        compressedBytes += length
        compressedPlainBytes += plain
      }
    }
  }
  const counted = { ...nothing, snapshots: snapshots.length, totalBlobs, totalBytes }
  if (repository.config.version === 1 || plainBytes === 0) return counted
  return {
    ...counted,
    uncompressedBytes: plainBytes,
    compressionRatio: compressedBytes > 0 ? compressedPlainBytes / compressedBytes : 0,
    compressionProgress: (compressedPlainBytes / plainBytes) * 100,
    compressionSpaceSaving: (1 - totalBytes / plainBytes) * 100,
  }
}

function subtreeOf(node: Node): Id {
  if (node.subtree !== undefined) return node.subtree
  throw new HoldfastError('HF_TREE_INVALID', `directory ${JSON.stringify(byteStringToText(node.name))} has no tree`, {
    hint: '"repair snapshots" makes snapshots without it',
  })
}

const notInIndex = (type: string, id: Id): HoldfastError =>
  new HoldfastError('HF_BLOB_NOT_FOUND', `${type} blob ${id} is in no index`, {
    context: { type, id },
    hint: 'run "holdfast check", then "holdfast repair index"',
  })
