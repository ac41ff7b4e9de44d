import { HoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { blobTypes } from '../../repository/blob.ts'
import type { Repository } from '../../repository/repository.ts'
import type { StoredSnapshot } from '../../repository/snapshot.ts'
import type { ByteString } from '../../repository/tree/node.ts'
import { walkSnapshot } from './walk-snapshot.ts'

/** Ids, or beginnings of them. */
export interface ObjectIds {
  /** Of data blobs. */
  readonly blobs: readonly string[]
  readonly trees: readonly string[]
}

/** Something that uses a blob. */
export interface FoundObject {
  readonly type: 'blob' | 'tree'
  readonly id: Id
  /** The file that consists of it, or the directory that it is the list of. */
  readonly path: ByteString
  /** The tree that lists the file; undefined for trees. */
  readonly parentTree: Id | undefined
}

export interface FindObjectsObserver {
  onFound(snapshot: StoredSnapshot, found: FoundObject): void
  /** A directory that cannot be searched. */
  onUnreadable(snapshot: StoredSnapshot, tree: Id, error: Error): void
}

/**
 * Finds what in `snapshots` uses some blobs. A directory that uses none of them is searched once, however many snapshots hold it. When only
 * trees are looked for, a snapshot is left as soon as each of them was met in it.
 */
export async function findObjects(
  repository: Repository,
  snapshots: readonly StoredSnapshot[],
  ids: ObjectIds,
  observer: FindObjectsObserver,
  signal?: AbortSignal,
): Promise<void> {
  const isWantedBlob = idTest(ids.blobs)
  const isWantedTree = idTest(ids.trees)
  const barren = new Set<Id>()
  for (const snapshot of snapshots) {
    if (snapshot.tree === undefined) continue
    let found = 0
    const foundBefore = [0]
    const treesMet = new Set<string>()
    const isDone = (): boolean => ids.blobs.length === 0 && treesMet.size === ids.trees.length
    const meetTree = (id: Id, path: ByteString): void => {
      const wanted = isWantedTree(id)
      if (wanted === undefined || isDone()) return
      treesMet.add(wanted)
      found++
      observer.onFound(snapshot, { type: 'tree', id, path, parentTree: undefined })
    }
    meetTree(snapshot.tree, '/')
    if (isDone()) continue
    await walkSnapshot(
      repository,
      snapshot.tree,
      {
        onNode: ({ path, node, parentTree }) => {
          if (isDone()) return false
          if (node.type === 'dir') {
            if (node.subtree === undefined) return true
            meetTree(node.subtree, path)
            if (isDone() || barren.has(node.subtree)) return false
            foundBefore.push(found)
            return true
          }
          for (const id of node.content ?? []) {
            if (isWantedBlob(id) === undefined) continue
            found++
            observer.onFound(snapshot, { type: 'blob', id, path, parentTree })
          }
          return false
        },
        isBarren: (_, tree) => barren.has(tree),
        onLeave: (_, tree) => {
          if (foundBefore.pop() === found && !isDone()) barren.add(tree)
        },
        onUnreadable: (_, tree, error) => {
          foundBefore.pop()
          found++
          observer.onUnreadable(snapshot, tree, error)
        },
      },
      signal,
    )
  }
}

/**
 * The blobs that packs hold, by the index.
 *
 * @param packs ids, or beginnings of them
 * @throws HoldfastError HF_PATH_NOT_FOUND naming those the index does not know
 */
export function blobsOfPacks(repository: Repository, packs: readonly string[]): ObjectIds {
  const { index } = repository
  const isWanted = idTest(packs)
  const met = new Set<string>()
  const numbers = new Set<number>()
  for (const { id, number } of index.packs()) {
    const wanted = isWanted(id)
    if (wanted === undefined) continue
    met.add(wanted)
    numbers.add(number)
  }
  const unknown = packs.filter((pack) => !met.has(pack))
  if (unknown.length > 0)
    throw new HoldfastError('HF_PATH_NOT_FOUND', `unable to find pack(s): [${unknown.sort().join(' ')}]`, {
      hint: 'a pack that no index lists is used by nothing; "list packs" shows all there are',
    })
  const ids: Record<'data' | 'tree', Set<Id>> = { data: new Set(), tree: new Set() }
  for (const type of blobTypes)
    for (const table of index.tables(type))
      for (let row = 0; row < table.count; row++) if (numbers.has(table.pack(row))) ids[type].add(table.idHex(row))
  return { blobs: [...ids.data], trees: [...ids.tree] }
}

/** Tells which of `wanted`, whole ids or beginnings, an id is; undefined: none. */
function idTest(wanted: readonly string[]): (id: Id) => string | undefined {
  const whole = new Set(wanted)
  const beginnings = wanted.filter((text) => text.length < 64)
  return (id) => {
    if (whole.has(id)) return id
    return beginnings.find((beginning) => id.startsWith(beginning))
  }
}
