import { type FileAttributes, lstat } from '../../engine/posix/attributes.ts'
import { readDirectory } from '../../engine/posix/directory-reader.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import type { ByteString, Node } from '../../engine/repository/tree/node.ts'
import { TreeLoader } from '../../engine/repository/tree-loader.ts'
import { throwIfInterrupted } from '../../engine/storage/interruption.ts'
import type { Id } from '../../lib/id.ts'

/** Takes what is found. Paths are those in the snapshot. */
export interface BesideVisitor {
  /** Whether anything at or below the path is of interest. */
  isOfInterest(path: ByteString): boolean
  /** An entry of the snapshot, and what has its name; a folder is descended into when it is one on both sides. */
  onBoth(path: ByteString, node: Node, found: FileAttributes): Promise<void> | void
  onMissing(path: ByteString, node: Node): void
  onExtra(path: ByteString, found: FileAttributes): void
  /** What cannot be looked at, on the side of the files. */
  onUnreadable(path: ByteString, error: Error): void
  readonly signal?: AbortSignal | undefined
}

/**
 * Walks the tree of a snapshot beside a folder that should be like it. Only the lists of the folders the walk is in are held.
 * @param place the folder in whose place the root of the snapshot stands
 * @throws whatever reading trees throws, HF_INTERRUPTED
 */
export async function walkBeside(
  repository: Repository,
  root: Id,
  place: string,
  visitor: BesideVisitor,
): Promise<void> {
  const loader = new TreeLoader(repository)
  const prefix = place === '/' ? '' : Buffer.from(place).toString('latin1')

  const visitFolder = async (path: ByteString, tree: Id): Promise<void> => {
    throwIfInterrupted(visitor.signal)
    const { nodes } = await loader.load(tree, visitor.signal)
    const found = listFolder(path)
    if (found === undefined) return
    for (const node of nodes) {
      const below = `${path}/${node.name}`
      const there = found.get(node.name)
      found.delete(node.name)
      if (!visitor.isOfInterest(below)) continue
      if (there === undefined) visitor.onMissing(below, node)
      else if (there instanceof Error) visitor.onUnreadable(below, there)
      else {
        await visitor.onBoth(below, node, there)
        if (node.type === 'dir' && node.subtree !== undefined && isFolder(below, there))
          await visitFolder(below, node.subtree)
      }
    }
    for (const [name, there] of found) {
      const below = `${path}/${name}`
      if (!visitor.isOfInterest(below)) continue
      if (there instanceof Error) visitor.onUnreadable(below, there)
      else visitor.onExtra(below, there)
    }
  }

  const listFolder = (path: ByteString): Map<ByteString, FileAttributes | Error> | undefined => {
    const found = new Map<ByteString, FileAttributes | Error>()
    try {
      const listing = readDirectory(Buffer.from(`${prefix}${path}` || '/', 'latin1'))
      for (let i = 0; i < listing.count; i++)
        found.set(listing.nameString(i), listing.error(i) ?? listing.attributes(i))
      return found
    } catch (error) {
      visitor.onUnreadable(path || '/', error as Error)
      return undefined
    }
  }

  /** A link above the paths of a source stands for the folder it leads to, as in the backup. */
  const isFolder = (path: ByteString, { type }: FileAttributes): boolean =>
    type === 'dir' || (type === 'symlink' && lstatFollowed(`${prefix}${path}`) === 'dir')

  try {
    await visitFolder('', root)
  } finally {
    loader.close()
  }
}

/** What a path with a slash behind it is: the kernel follows a link then. */
function lstatFollowed(path: ByteString): string | undefined {
  try {
    return lstat(Buffer.from(`${path}/`, 'latin1')).type
  } catch {
    return undefined
  }
}
