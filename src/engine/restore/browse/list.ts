import { compareTimes } from '../../../lib/go-time.ts'
import type { Id } from '../../../lib/id.ts'
import { absolutePath, isWithin } from '../../archive/filter/clean-path.ts'
import type { Repository } from '../../repository/repository.ts'
import type { ByteString, Node } from '../../repository/tree/node.ts'
import { type FoundNode, walkSnapshot } from './walk-snapshot.ts'

export interface ListingOptions {
  /** Absolute paths; only what lies directly in them, and they themselves, is listed. None: everything. */
  readonly folders: readonly ByteString[]
  /** What lies anywhere below the folders. */
  readonly recursive: boolean
  readonly signal?: AbortSignal | undefined
}

export interface ListingObserver {
  onEntry(entry: FoundNode): void
  /** A directory on the way to one of the folders. */
  onWay?(entry: FoundNode): void
  /** Everything in a directory that was given to one of the others has been listed. */
  onLeave?(path: ByteString): void
}

/**
 * Lists entries of a snapshot in its own order, as restic's `ls` chooses them: with folders given, the folders themselves and their
 * entries, all below them with `recursive`; else everything.
 */
export async function listSnapshot(
  repository: Repository,
  tree: Id,
  options: ListingOptions,
  observer: ListingObserver,
): Promise<void> {
  const folders = options.folders.map((folder) => absolutePath(folder, '/'))
  const isInside = (path: ByteString): boolean =>
    folders.length === 0 || folders.some((folder) => isWithin(folder, path))
  const leadsTo = (path: ByteString): boolean =>
    folders.length === 0 || folders.some((folder) => isWithin(path, folder))
  const root = '/'
  await walkSnapshot(
    repository,
    tree,
    {
      onNode: (found) => {
        const isDirectory = found.node.type === 'dir'
        const isListed = isInside(found.path)
        const goesOn = (isListed && options.recursive) || leadsTo(found.path)
        if (isListed) observer.onEntry(found)
        else if (goesOn) observer.onWay?.(found)
        if (isDirectory && isListed && !goesOn) observer.onLeave?.(found.path)
        return goesOn
      },
      onLeave: (path) => {
        if (path !== root) observer.onLeave?.(path)
      },
    },
    options.signal,
  )
}

/** What a listing is sorted by; `name` is the order of the snapshot. */
export type ListingOrder = 'name' | 'size' | 'mtime' | 'atime' | 'ctime' | 'extension'

/** Sorts entries, equal ones by path. Only for `name` the given order is taken as it is. */
export function sortListing(entries: readonly FoundNode[], order: ListingOrder, reverse = false): FoundNode[] {
  const compare = comparatorOf(order)
  const sorted = compare ? entries.toSorted((a, b) => compare(a, b) || compareText(a.path, b.path)) : [...entries]
  return reverse ? sorted.reverse() : sorted
}

function comparatorOf(order: ListingOrder): ((a: FoundNode, b: FoundNode) => number) | undefined {
  switch (order) {
    case 'size':
      return (a, b) => compareSizes(sizeOf(a.node), sizeOf(b.node))
    case 'mtime':
    case 'atime':
    case 'ctime':
      return (a, b) => compareTimes(a.node[order], b.node[order])
    case 'extension':
      return (a, b) => compareText(extensionOf(a.path), extensionOf(b.path))
    default:
      return undefined
  }
}

const compareText = (a: ByteString, b: ByteString): number => (a < b ? -1 : a > b ? 1 : 0)

const sizeOf = ({ type, size }: Node): number | bigint => (type === 'file' ? size : 0)

const compareSizes = (a: number | bigint, b: number | bigint): number => (a < b ? -1 : a > b ? 1 : 0)

/** From the last dot of the last component on, as Go's filepath.Ext; '' without one. */
function extensionOf(path: ByteString): ByteString {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const dot = name.lastIndexOf('.')
  return dot < 0 ? '' : name.slice(dot)
}
