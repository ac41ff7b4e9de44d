import type { Repository } from '../../src/engine/repository/repository.ts'
import type { Node } from '../../src/engine/repository/tree/node.ts'
import { TreeLoader } from '../../src/engine/repository/tree-loader.ts'

/** All nodes of a snapshot by path. */
export async function nodesOf(repository: Repository, tree: string): Promise<Map<string, Node>> {
  const nodes = new Map<string, Node>()
  const loader = new TreeLoader(repository)
  const walk = async (id: string, path: string): Promise<void> => {
    for (const node of (await loader.load(id)).nodes) {
      nodes.set(`${path}/${node.name}`, node)
      if (node.subtree !== undefined) await walk(node.subtree, `${path}/${node.name}`)
    }
  }
  await walk(tree, '')
  loader.close()
  return nodes
}

export async function contentOf(repository: Repository, node: Node): Promise<Buffer> {
  return Buffer.concat(await Promise.all(node.content!.map((id) => repository.loadBlob('data', id))))
}

/** Files of many sizes around every border of the write path. */
