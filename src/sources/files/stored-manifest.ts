import type { Repository } from '../../engine/repository/repository.ts'
import { rootOf, type StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { textToByteString } from '../../engine/repository/tree/node.ts'
import { TreeLoader } from '../../engine/repository/tree-loader.ts'
import { fromUtf8 } from '../../lib/bytes.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { type FilesManifest, filesManifest, manifestPath } from './manifest.ts'

const MAX_MANIFEST_BYTES = 4 * 1024 * 1024

/**
 * Reads what a snapshot of files says of itself.
 * @throws HoldfastError HF_DATA_DAMAGED when there is none, or none of this source; whatever reading the repository throws
 */
export async function loadFilesManifest(
  repository: Repository,
  snapshot: StoredSnapshot,
  source: string,
  signal?: AbortSignal,
): Promise<FilesManifest> {
  const path = manifestPath(source)
  const text = await readSmallFile(repository, snapshot, path, signal)
  const parsed = filesManifest.safeParse(jsonOf(text, path))
  if (!parsed.success) throw damaged(`${path} is no manifest of files: ${parsed.error.issues[0]?.message}`)
  if (parsed.data.source !== source)
    throw damaged(`${path} is the manifest of source ${JSON.stringify(parsed.data.source)}`)
  return parsed.data
}

/** The same, or undefined when the snapshot has none that can be read. */
export async function findFilesManifest(
  repository: Repository,
  snapshot: StoredSnapshot,
  source: string,
  signal?: AbortSignal,
): Promise<FilesManifest | undefined> {
  try {
    return await loadFilesManifest(repository, snapshot, source, signal)
  } catch (error) {
    // What else is damaged will show; what is not can still be restored.
    if (isHoldfastError(error, 'HF_DATA_DAMAGED', 'HF_PACK_DAMAGED', 'HF_BLOB_NOT_FOUND', 'HF_STORAGE_NOT_FOUND'))
      return undefined
    throw error
  }
}

async function readSmallFile(
  repository: Repository,
  snapshot: StoredSnapshot,
  path: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const loader = new TreeLoader(repository)
  try {
    let { nodes } = await loader.load(rootOf(snapshot), signal)
    const names = textToByteString(path).split('/').slice(1)
    for (const [index, name] of names.entries()) {
      const node = nodes.find((candidate) => candidate.name === name)
      if (index === names.length - 1) {
        if (node?.type !== 'file' || node.content === null) break
        if (Number(node.size) > MAX_MANIFEST_BYTES) throw damaged(`${path} has ${node.size} bytes`)
        const parts: Uint8Array[] = []
        for (const id of node.content) parts.push(await repository.loadBlob('data', id, signal))
        return fromUtf8(Buffer.concat(parts))
      }
      if (node?.subtree === undefined) break
      nodes = (await loader.load(node.subtree, signal)).nodes
    }
  } finally {
    loader.close()
  }
  throw damaged(`${path} is not in the snapshot`)
}

function jsonOf(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw damaged(`${path} is no JSON`)
  }
}

const damaged = (message: string): HoldfastError =>
  new HoldfastError('HF_DATA_DAMAGED', message, {
    hint: 'name a snapshot that "holdfast backup run" made of this source',
  })
