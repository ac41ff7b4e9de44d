import type { Repository } from '../../engine/repository/repository.ts'
import { rootOf, type StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { loadJson } from '../json-file.ts'
import { type FilesManifest, filesManifest, manifestPath } from './manifest.ts'

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
  try {
    const manifest = await loadJson(repository, rootOf(snapshot), path, (value) => filesManifest.parse(value), signal)
    if (manifest.source === source) return manifest
    throw damaged(`${path} is the manifest of source ${JSON.stringify(manifest.source)}`)
  } catch (error) {
    if (isHoldfastError(error, 'HF_PATH_NOT_FOUND')) throw damaged(`${path} is not in the snapshot`)
    throw error
  }
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

const damaged = (message: string): HoldfastError =>
  new HoldfastError('HF_DATA_DAMAGED', message, {
    hint: 'name a snapshot that "holdfast backup run" made of this source',
  })
