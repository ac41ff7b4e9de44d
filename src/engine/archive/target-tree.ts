import { HoldfastError } from '../../lib/errors.ts'
import type { ByteString } from '../repository/tree/node.ts'
import { cleanPath } from './filter/clean-path.ts'

/**
 * Where the paths to be backed up lie in the snapshot. A leaf is archived whole; the directories above it are there only to lead to it
 * and carry their own attributes.
 */
export interface TargetNode {
  readonly children: Map<ByteString, TargetNode>
  /** For a leaf: the path to archive. */
  path: ByteString | undefined
  /** For a directory above leaves: where its attributes are read. */
  attributesPath: ByteString | undefined
  /** The directory that the first component was taken from: tells equal names of different places apart. */
  readonly root: ByteString
  /** Named by the user, so that no exclude pattern applies to it. */
  explicit: boolean
}

/** Lists the names in a directory. */
export type ReadNames = (path: ByteString) => ByteString[]

/**
 * Arranges targets as restic does: absolute paths keep all components; relative ones keep theirs without leading `..`; a path without
 * components (`.`, `..`, `/`) stands for what is in it; equal first components of different places get `-1`, `-2` ...; a target inside
 * another is merged into it.
 * @throws HoldfastError HF_USAGE for an empty path, system errors of `readNames`
 */
export function arrangeTargets(targets: readonly ByteString[], readNames: ReadNames): TargetNode {
  const top = newNode('')
  const seen = new Set<ByteString>()
  for (const { path, explicit } of resolveEmptyTargets(targets, readNames)) {
    if (seen.has(path)) continue
    seen.add(path)
    addTarget(top, path, explicit)
  }
  mergeNested(top, readNames)
  return top
}

/** Joins a directory and a name. */
export const joinPath = (directory: ByteString, name: ByteString): ByteString =>
  directory.endsWith('/') ? directory + name : directory === '' || directory === '.' ? name : `${directory}/${name}`

function* resolveEmptyTargets(
  targets: readonly ByteString[],
  readNames: ReadNames,
): IterableIterator<{ path: ByteString; explicit: boolean }> {
  for (const target of targets) {
    if (target === '') throw new HoldfastError('HF_USAGE', 'an empty path cannot be backed up')
    const path = cleanPath(target)
    if (componentsOf(path).length > 0) yield { path, explicit: true }
    else for (const name of readNames(path).sort()) yield { path: joinPath(path, name), explicit: false }
  }
}

/** The components a path has in the snapshot. */
const componentsOf = (path: ByteString): ByteString[] =>
  path.split('/').filter((part) => part !== '' && part !== '.' && part !== '..')

/** The place that the first component lies in. */
function rootOf(path: ByteString): ByteString {
  if (path.startsWith('/')) return '/'
  const ups = path.split('/').filter((part) => part === '..')
  return ups.length > 0 ? ups.join('/') : '.'
}

function addTarget(top: TargetNode, path: ByteString, explicit: boolean): void {
  const components = componentsOf(path)
  const root = rootOf(path)
  const [first, ...rest] = components as [ByteString, ...ByteString[]]
  let name = first
  for (let i = 1; top.children.has(name) && top.children.get(name)!.root !== root; i++) name = `${first}-${i}`
  let node = top.children.get(name)
  if (!node) {
    node = newNode(root)
    top.children.set(name, node)
  }
  let place = joinPath(root, first)
  for (const component of rest) {
    node.attributesPath = place
    let child = node.children.get(component)
    if (!child) {
      child = newNode(root)
      node.children.set(component, child)
    }
    node = child
    place = joinPath(place, component)
  }
  node.path = path
  node.explicit = explicit
}

/** A leaf with other targets inside becomes a directory of leaves. */
function mergeNested(node: TargetNode, readNames: ReadNames): void {
  if (node.path !== undefined && node.children.size > 0) {
    for (const name of readNames(node.path)) {
      const child = node.children.get(name)
      if (!child) {
        const added = newNode(node.root)
        added.path = joinPath(node.path, name)
        node.children.set(name, added)
      } else if (child.path === undefined) child.path = joinPath(node.path, name)
    }
    node.attributesPath ??= node.path
    node.path = undefined
    node.explicit = false
  }
  for (const child of node.children.values()) mergeNested(child, readNames)
}

const newNode = (root: ByteString): TargetNode => ({
  children: new Map(),
  path: undefined,
  attributesPath: undefined,
  root,
  explicit: false,
})
