import { HoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import type { Repository } from '../repository/repository.ts'
import { type ByteString, byteStringToText } from '../repository/tree/node.ts'
import { TreeLoader } from '../repository/tree-loader.ts'

/**
 * The tree of a folder within a snapshot's tree: what stands behind the colon of SNAPSHOT:FOLDER. Leading, trailing and doubled slashes do
 * not matter; `.` and `..` are resolved as text.
 *
 * @throws HoldfastError HF_PATH_NOT_FOUND when there is no such folder; whatever reading trees throws
 */
export async function resolveFolder(
  repository: Repository,
  root: Id,
  folder: ByteString,
  signal?: AbortSignal,
): Promise<Id> {
  const loader = new TreeLoader(repository)
  try {
    let tree = root
    let path = ''
    for (const name of cleanNames(folder)) {
      path += `/${name}`
      const node = (await loader.load(tree, signal)).nodes.find((candidate) => candidate.name === name)
      if (node === undefined) throw notFound(path, 'it is not in the snapshot')
      if (node.type !== 'dir' || node.subtree === undefined) throw notFound(path, 'it is not a folder')
      tree = node.subtree
    }
    return tree
  } finally {
    loader.close()
  }
}

function cleanNames(folder: ByteString): ByteString[] {
  const names: ByteString[] = []
  for (const name of folder.split('/')) {
    if (name === '..') names.pop()
    else if (name !== '' && name !== '.') names.push(name)
  }
  return names
}

function notFound(path: ByteString, what: string): HoldfastError {
  return new HoldfastError('HF_PATH_NOT_FOUND', `path ${JSON.stringify(byteStringToText(path))}: ${what}`, {
    hint: '"ls" shows what is in a snapshot',
  })
}
