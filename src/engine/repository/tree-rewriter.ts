import { HoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { sha256Hex } from '../kernels/sha256.ts'
import { throwIfInterrupted } from '../storage/interruption.ts'
import { encodeTree } from './tree/encode-tree.ts'
import { type ByteString, byteStringToText, type Node } from './tree/node.ts'
import type { TreeLoader } from './tree-loader.ts'

/**
 * Decides what stays, by paths within the snapshot with a leading `/`; `createRestoreSelector` makes such functions. An entry stays when it
 * is selected; a directory also when it is to be descended into and something below it stays. What the function returns may depend on
 * nothing but its arguments.
 */
export type RewriteSelector = (
  path: ByteString,
  isDirectory: boolean,
) => { readonly selected: boolean; readonly descend: boolean }

/** A directory after rewriting, and the files in and below it. */
export interface RewrittenTree {
  readonly id: Id
  readonly files: number
  readonly bytes: number
}

export interface TreeRewriterOptions {
  readonly loader: TreeLoader
  readonly selector: RewriteSelector
  /** Whether the root, which nothing selects, may be left without entries. */
  readonly mayEmpty: boolean
  /** Takes the bytes of a tree that differs from the one it replaces. */
  readonly save: (id: Id, bytes: Uint8Array) => Promise<void>
  readonly onRemoved?: (path: ByteString) => void
  readonly signal?: AbortSignal | undefined
}

/**
 * Makes trees without some of their entries. What was found out about a directory at a path holds for all snapshots that share it there, so
 * use one rewriter for all of them.
 */
export class TreeRewriter {
  readonly #options: TreeRewriterOptions
  /** By tree id and path. */
  readonly #rewritten = new Map<string, RewrittenTree | undefined>()
  readonly #reproducible = new Set<Id>()

  constructor(options: TreeRewriterOptions) {
    this.#options = options
  }

  /**
   * The tree without what is not selected, saved if it is a new one; undefined when nothing of it stays.
   * @throws HoldfastError HF_TREE_INVALID for a tree with parts that would get lost by writing it anew, even if it could stay as it is;
   * errors of loading trees
   */
  async rewrite(id: Id, path: ByteString = ''): Promise<RewrittenTree | undefined> {
    const key = `${id}${path}`
    if (this.#rewritten.has(key)) return this.#rewritten.get(key)
    const result = await this.#rewriteTree(id, path)
    this.#rewritten.set(key, result)
    return result
  }

  async #rewriteTree(id: Id, path: ByteString): Promise<RewrittenTree | undefined> {
    const { loader, selector, mayEmpty, save, onRemoved, signal } = this.#options
    throwIfInterrupted(signal)
    const { nodes } = await loader.load(id, signal)
    this.#requireReproducible(id, nodes, path)
    const kept: Node[] = []
    let isChanged = false
    let files = 0
    let bytes = 0
    for (const node of nodes) {
      const child = `${path}/${node.name}`
      const isDirectory = node.type === 'dir'
      const { selected, descend } = selector(child, isDirectory)
      if (!selected && !(isDirectory && descend)) {
        onRemoved?.(child)
        isChanged = true
        continue
      }
      if (!isDirectory) {
        if (node.type === 'file') {
          files++
          bytes += Number(node.size)
        }
        kept.push(node)
        continue
      }
      if (node.subtree === undefined) throw unwritable(child, 'it has no content')
      const below = await this.rewrite(node.subtree, child)
      if (below === undefined) {
        isChanged = true
        continue
      }
      files += below.files
      bytes += below.bytes
      if (below.id === node.subtree) kept.push(node)
      else {
        isChanged = true
        kept.push({ ...node, subtree: below.id })
      }
    }
    if (kept.length === 0 && !(path === '' ? mayEmpty : selector(path, true).selected)) return undefined
    if (!isChanged) return { id, files, bytes }
    const encoded = encodeTree(kept)
    const newId = sha256Hex(encoded)
    await save(newId, encoded)
    return { id: newId, files, bytes }
  }

  /** Fields of a newer program, which are skipped on reading, must not silently vanish from a backup. */
  #requireReproducible(id: Id, nodes: readonly Node[], path: ByteString): void {
    if (this.#reproducible.has(id)) return
    let same: boolean
    try {
      same = sha256Hex(encodeTree(nodes)) === id
    } catch (cause) {
      throw unwritable(path, 'cannot encode it', cause)
    }
    if (!same) throw unwritable(path, 'cannot encode tree without losing information')
    this.#reproducible.add(id)
  }
}

const unwritable = (path: ByteString, why: string, cause?: unknown): HoldfastError =>
  new HoldfastError('HF_TREE_INVALID', `directory ${JSON.stringify(byteStringToText(path) || '/')}: ${why}`, {
    cause,
    hint: 'it was written by a newer program, or is damaged: "holdfast check" tells which',
  })
