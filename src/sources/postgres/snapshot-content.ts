import type { Repository } from '../../engine/repository/repository.ts'
import { rootOf, type StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { type ByteString, type Node, textToByteString } from '../../engine/repository/tree/node.ts'
import { walkSnapshot } from '../../engine/restore/browse/walk-snapshot.ts'
import { fileContent, findDumpSource } from '../../engine/restore/dump/dump-snapshot.ts'
import { resolveFolder } from '../../engine/restore/index.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { CONTROL_FILE } from './control-file.ts'
import { isPaged } from './data-layout.ts'

/** Of what is read whole: labels, configuration files. */
const MAX_WHOLE_BYTES = 16 * 1024 * 1024

/** The name of the source a snapshot says it is of: the only folder in its root. `fallback` for one that was made some other way. */
export function sourceNameOf({ paths }: StoredSnapshot, fallback: string): string {
  const [, name] = (paths.length === 1 && /^\/([^/]+)$/.exec(paths[0]!)) || []
  return name ?? fallback
}

/** The tree of the data directory in a physical snapshot. @throws HoldfastError HF_PATH_NOT_FOUND, whatever reading trees throws */
export const dataTreeOf = (
  repository: Repository,
  snapshot: StoredSnapshot,
  source: string,
  signal: AbortSignal | undefined,
): Promise<Id> => resolveFolder(repository, rootOf(snapshot), textToByteString(`/${source}/data`), signal)

/**
 * A file of the data directory with the tree `data`, whole or its first `maxBytes`; undefined when there is no such file.
 * @throws HoldfastError whatever reading trees and blobs throws
 */
export async function readDataFile(
  repository: Repository,
  data: Id,
  path: ByteString,
  {
    maxBytes = MAX_WHOLE_BYTES,
    signal,
  }: { readonly maxBytes?: number; readonly signal?: AbortSignal | undefined } = {},
): Promise<Buffer | undefined> {
  try {
    const found = await findDumpSource(repository, data, path, signal)
    if (found.kind !== 'file') return undefined
    return await beginningOf(repository, found.node, maxBytes, signal)
  } catch (error) {
    if (isHoldfastError(error, 'HF_PATH_NOT_FOUND')) return undefined
    throw error
  }
}

/** The first `maxBytes` of a file, or all of it. */
export async function beginningOf(
  repository: Repository,
  node: Node,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of fileContent(repository, node, signal)) {
    pieces.push(piece)
    length += piece.length
    if (length >= maxBytes) break
  }
  return Buffer.concat(pieces).subarray(0, maxBytes)
}

/** What is in a data directory, by path within it. */
export interface DataTree {
  /** Sizes of all files. */
  readonly files: ReadonlyMap<ByteString, number>
  /** Files that can be read from here: all but those with pages, whose lists of blobs would take as much memory as there is data. */
  readonly readable: ReadonlyMap<ByteString, Node>
  readonly folders: ReadonlySet<ByteString>
  /** Neither files nor folders: links, devices. */
  readonly others: readonly ByteString[]
}

/** Lists the data directory with the tree `data`. @throws HoldfastError whatever reading trees throws */
export async function listDataTree(repository: Repository, data: Id, signal?: AbortSignal): Promise<DataTree> {
  const files = new Map<ByteString, number>()
  const readable = new Map<ByteString, Node>()
  const folders = new Set<ByteString>()
  const others: ByteString[] = []
  const onNode = ({ path, node }: { readonly path: ByteString; readonly node: Node }): boolean => {
    const name = path.slice(1)
    if (node.type === 'file') {
      files.set(name, Number(node.size))
      if (!isPaged(name) || name === CONTROL_FILE) readable.set(name, node)
    } else if (node.type === 'dir') folders.add(name)
    else others.push(name)
    return true
  }
  await walkSnapshot(repository, data, { onNode }, signal)
  return { files, readable, folders, others }
}
