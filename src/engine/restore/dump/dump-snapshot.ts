import { HoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { cleanComponents } from '../../archive/filter/clean-path.ts'
import type { Repository } from '../../repository/repository.ts'
import type { Tree } from '../../repository/tree/decode-tree.ts'
import { type ByteString, byteStringToText, type Node } from '../../repository/tree/node.ts'
import { throwIfInterrupted } from '../../storage/interruption.ts'
import { TreePrefetcher } from '../tree-prefetcher.ts'
import { ContentReader } from './content-reader.ts'
import type { DumpEntry } from './dump-entry.ts'

export { fileContent } from './content-reader.ts'

/** What a path of a snapshot names, as far as it can be dumped. */
export type DumpSource =
  | { readonly kind: 'file'; readonly path: ByteString; readonly node: Node }
  /** The folder itself is no entry of its archive; `/` has no name. */
  | { readonly kind: 'folder'; readonly path: ByteString; readonly tree: Id }

/**
 * Finds what `path` names in the tree `root`. `.` and `..` are resolved as text.
 * @throws HoldfastError HF_PATH_NOT_FOUND when there is nothing there, or neither a file nor a folder; whatever reading trees throws
 */
export async function findDumpSource(
  repository: Repository,
  root: Id,
  path: ByteString,
  signal?: AbortSignal,
): Promise<DumpSource> {
  using trees = new TreePrefetcher(repository, signal)
  let source: DumpSource = { kind: 'folder', path: '/', tree: root }
  for (const { text: name } of cleanComponents(`/${path}`)) {
    const place: ByteString = source.path === '/' ? `/${name}` : `${source.path}/${name}`
    if (source.kind === 'file') throw notFound(source.path, 'is a file, not a folder')
    const listed: Tree = trees.loadAtHand(source.tree) ?? (await trees.load(source.tree))
    const node: Node | undefined = listed.nodes.find((candidate) => candidate.name === name)
    if (node === undefined) throw notFound(place, 'is not in the snapshot')
    if (node.type === 'file') source = { kind: 'file', path: place, node }
    else if (node.type === 'dir' && node.subtree !== undefined)
      source = { kind: 'folder', path: place, tree: node.subtree }
    else throw notFound(place, `is neither a file nor a folder, but a ${node.type}`)
  }
  return source
}

function notFound(path: ByteString, what: string): HoldfastError {
  return new HoldfastError('HF_PATH_NOT_FOUND', `path ${JSON.stringify(byteStringToText(path))} ${what}`, {
    hint: '"ls" shows what is in a snapshot',
  })
}

/**
 * Everything below a folder, for the writers of archives: under its whole path in the snapshot without the leading slash, a folder before
 * what is in it. Sockets have no place in archives.
 * @throws HoldfastError whatever reading trees and blobs throws: an archive with something missing would pass for a whole one
 */
export async function* dumpEntries(
  repository: Repository,
  folder: DumpSource & { readonly kind: 'folder' },
  signal?: AbortSignal,
): AsyncGenerator<DumpEntry> {
  using trees = new TreePrefetcher(repository, signal)
  using contents = new ContentReader(repository, signal)
  const levels: { readonly path: ByteString; readonly nodes: readonly Node[]; next: number }[] = []
  const enter = async (path: ByteString, tree: Id): Promise<void> => {
    throwIfInterrupted(signal)
    const { nodes } = trees.loadAtHand(tree) ?? (await trees.load(tree))
    for (const { subtree } of nodes) if (subtree !== undefined) trees.announce(subtree)
    levels.push({ path, nodes, next: 0 })
  }
  await enter(folder.path.slice(1), folder.tree)
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const node = level.nodes[level.next++]
    if (node === undefined) {
      levels.pop()
      continue
    }
    if (node.type === 'socket') continue
    const path = level.path === '' ? node.name : `${level.path}/${node.name}`
    const isFile = node.type === 'file'
    if (isFile) contents.announce(level.nodes, level.next - 1)
    yield { path, node, content: isFile ? contents.read(node) : undefined }
    if (node.type === 'dir' && node.subtree !== undefined) await enter(path, node.subtree)
  }
}
