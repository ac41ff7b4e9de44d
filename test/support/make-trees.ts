import type { Repository } from '../../src/engine/repository/repository.ts'
import { encodeTree } from '../../src/engine/repository/tree/encode-tree.ts'
import { createNode, type Node } from '../../src/engine/repository/tree/node.ts'
import { BlobWriter } from '../../src/engine/repository/write/blob-writer.ts'
import { zeroTime } from '../../src/lib/go-time.ts'
import type { Id } from '../../src/lib/id.ts'

const times = { mtime: zeroTime, atime: zeroTime, ctime: zeroTime }
const file = (name: string, ...content: Id[]): Node => createNode({ ...times, name, type: 'file', content })
const dir = (name: string, subtree: Id): Node => createNode({ ...times, name, type: 'dir', subtree })

export interface SampleTrees {
  readonly one: Id
  readonly two: Id
  readonly shared: Id
  readonly deep: Id
  readonly lost: Id
}

/** Two roots that share a folder, in an index; the second refers to a tree and a blob that are nowhere. */
export async function makeTrees(repository: Repository): Promise<SampleTrees> {
  const writer = new BlobWriter(repository)
  const save = async (...nodes: Node[]): Promise<Id> => (await writer.save('tree', encodeTree(nodes))).id
  const { id: blob } = await writer.save('data', Buffer.from('content'))
  const deep = await save(file('f', blob))
  const shared = await save(dir('deep', deep), dir('deep again', deep))
  const lost = 'f'.repeat(64)
  const one = await save(dir('shared', shared), file('x', blob, blob))
  const two = await save(dir('lost', lost), dir('shared', shared), file('y', 'e'.repeat(64)))
  await writer.flush()
  return { one, two, shared, deep, lost }
}
