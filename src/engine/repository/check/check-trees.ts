import type { Id } from '../../../lib/id.ts'
import type { Progress } from '../../../lib/progress.ts'
import type { BlobTable } from '../index/blob-table.ts'
import type { Repository } from '../repository.ts'
import type { StoredSnapshot } from '../snapshot.ts'
import type { Tree } from '../tree/decode-tree.ts'
import { byteStringToText, type Node } from '../tree/node.ts'
import { walkTrees } from '../tree-walk.ts'
import { Problems, type Report, reasonOf } from './finding.ts'

const NULL_ID: Id = '0'.repeat(64)

/** What a walk over snapshots came to. */
export interface CheckedTrees {
  readonly trees: number
  /** By pack number: 1 when it holds something the snapshots need. */
  readonly packsInUse: Uint8Array
}

/**
 * Reads every directory of the snapshots and looks each blob up in the index. As restic, it does not compare the size of a file with the
 * sum of its blobs: old programs wrote sizes that differ.
 */
export async function checkTrees(
  repository: Repository,
  snapshots: readonly StoredSnapshot[],
  report: Report,
  progress: Progress,
  signal?: AbortSignal,
): Promise<CheckedTrees> {
  const roots = snapshots.flatMap(({ tree }) => tree ?? [])
  const references = new References(repository)
  let trees = 0
  const step = progress.step('trees', undefined)
  const fail = (id: Id, message: string, details: readonly string[]): void =>
    report({
      kind: 'tree-damaged',
      severity: 'error',
      object: { type: 'tree', id },
      message,
      details,
      hint: 'back up the same files again if they still exist; otherwise run "holdfast repair index", then "holdfast repair snapshots --forget"',
    })
  await walkTrees(repository, roots, {
    onTree: (id, tree) => {
      trees++
      step.add()
      references.note('tree', id)
      const problems = checkTree(tree, references)
      if (problems.count > 0) fail(id, `tree ${id} is damaged`, problems.list())
    },
    onError: (id, error) => fail(id, `tree ${id} cannot be read: ${reasonOf(error)}`, []),
    signal,
  })
  step.done()
  return { trees, packsInUse: references.packs }
}

function checkTree(tree: Tree, references: References): Problems {
  const problems = new Problems()
  for (const node of tree.nodes) {
    switch (node.type) {
      case 'file':
        checkContent(node, references, problems)
        break
      case 'dir':
        if (node.subtree === undefined) problems.add(`dir node ${quote(node)} has no subtree`)
        else if (node.subtree === NULL_ID) problems.add(`dir node ${quote(node)} subtree id is null`)
        break
      case 'irregular':
      case 'unknown':
        problems.add(`node ${quote(node)} has an invalid type`)
        break
      default:
    }
  }
  return problems
}

function checkContent(node: Node, references: References, problems: Problems): void {
  if (node.content === null) {
    problems.add(`file ${quote(node)} has nil blob list`)
    return
  }
  for (let i = 0; i < node.content.length; i++) {
    const id = node.content[i]!
    if (id === NULL_ID) problems.add(`file ${quote(node)} blob ${i} has null ID`)
    else if (!references.note('data', id)) problems.add(`file ${quote(node)} blob ${id} not found in index`)
  }
}

const quote = (node: Node): string => JSON.stringify(byteStringToText(node.name))

/** Looks blobs up and remembers the packs they lie in. */
class References {
  readonly packs: Uint8Array
  readonly #tables: Readonly<Record<'data' | 'tree', BlobTable>>
  readonly #scratch = Buffer.alloc(32)

  constructor({ index }: Repository) {
    this.packs = new Uint8Array(index.packCount)
    this.#tables = { data: index.table('data'), tree: index.table('tree') }
  }

  /** Whether an index knows the blob. */
  note(type: 'data' | 'tree', id: Id): boolean {
    const table = this.#tables[type]
    this.#scratch.write(id, 'hex')
    let row = table.find(this.#scratch)
    if (row < 0) return false
    do this.packs[table.pack(row++)] = 1
    while (table.repeats(row))
    return true
  }
}
