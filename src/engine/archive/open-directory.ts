import type { Id } from '../../lib/id.ts'
import { encodeTree, type NodeRange, spliceTree } from '../repository/tree/encode-tree.ts'
import { type ByteString, type Node, nodesEqual } from '../repository/tree/node.ts'
import type { PreviousNode } from './directory-match.ts'
import type { PreviousTree } from './previous-tree.ts'

/** A directory whose list is being put together: its own node is made when the last of its entries is there. */
export interface OpenDirectory {
  readonly snapshotPath: ByteString
  readonly parent: OpenDirectory | undefined
  readonly slot: number
  /** The directory's own attributes, without its tree; absent for the root of the snapshot. */
  readonly self: Node | undefined
  readonly previous: Node | undefined
  readonly previousTree: PreviousTree
  /** What it is made of when most of it is taken over from the parent snapshot; absent when `nodes` is all of it. */
  parts: readonly DirectoryPart[] | undefined
  readonly nodes: (Node | undefined)[]
  /** Something the previous tree has is gone. */
  hasLost: boolean
  /** Entries still being saved, and one for the listing itself. */
  missing: number
}

/** Nodes taken over from the previous tree, or the one that `nodes` has in `slot`, and what the previous tree has in its place. */
export type DirectoryPart = NodeRange | { readonly slot: number; readonly previous: PreviousNode | undefined }

/** The id of the parent snapshot's tree, when the directory has it again. */
export function sameTree({ previousTree, parts, hasLost, nodes }: OpenDirectory): Id | undefined {
  if (previousTree.id === undefined || hasLost) return undefined
  if (parts) return parts.every((part) => 'from' in part || isAsBefore(part, nodes)) ? previousTree.id : undefined
  const before = previousTree.nodes
  const now = nodes.filter((node) => node !== undefined)
  const isSame = before.length === now.length && before.every((node, i) => nodesEqual(node, now[i]!))
  return isSame ? previousTree.id : undefined
}

function isAsBefore(
  { slot, previous }: Exclude<DirectoryPart, NodeRange>,
  nodes: readonly (Node | undefined)[],
): boolean {
  const now = nodes[slot]
  return now !== undefined && previous !== undefined && nodesEqual(previous.node, now)
}

/** The tree blob of a directory all of whose entries are dealt with. */
export function encodeDirectory({ previousTree, parts, nodes }: OpenDirectory): Uint8Array {
  if (!parts) return encodeTree(nodes.filter((node) => node !== undefined))
  const present = parts.map((part) =>
    'from' in part ? part : isAsBefore(part, nodes) ? part.previous! : nodes[part.slot],
  )
  return spliceTree(
    previousTree.bytes!,
    present.filter((part) => part !== undefined),
  )
}
