import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../../lib/clock.ts'
import { HoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import { type Id, isId } from '../../../lib/id.ts'

/** One repository's folder in the cache. */
export interface CacheFolder {
  readonly repositoryId: Id
  readonly path: string
  /** Nanoseconds since the epoch, to the precision of a file time read as a number (about a microsecond). */
  readonly lastUsed: bigint
  readonly sizeBytes: number
}

const TAG = [
  'Signature: 8a477f597d28d172789f06886806bc55',
  '# Copies of repository files, made by Holdfast. They may be deleted at any time.',
  '',
].join('\n')

/**
 * Makes a repository's folder in the cache, open to its owner alone, and notes that it is used now. The cache is marked with a CACHEDIR.TAG,
 * so that backups can leave it out. Returns the folder's path; throws the system's errors.
 */
export async function prepareCacheFolder(cache: string, repositoryId: Id, clock: Clock = systemClock): Promise<string> {
  const path = cacheFolderPath(cache, repositoryId)
  await mkdir(path, { recursive: true, mode: 0o700 })
  try {
    await writeFile(join(cache, 'CACHEDIR.TAG'), TAG, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error
  }
  const seconds = Number(clock.now()) / 1e9
  await utimes(path, seconds, seconds)
  return path
}

/** The folders in a cache, the least recently used one first; none when there is no cache. */
export async function listCacheFolders(cache: string): Promise<CacheFolder[]> {
  const found: CacheFolder[] = []
  for (const repositoryId of await namesIn(cache)) {
    if (!isId(repositoryId)) continue
    const path = join(cache, repositoryId)
    const { mtimeMs } = await stat(path)
    found.push({ repositoryId, path, lastUsed: BigInt(Math.round(mtimeMs * 1e6)), sizeBytes: await sizeOf(path) })
  }
  return found.sort((a, b) => (a.lastUsed < b.lastUsed ? -1 : 1))
}

/** Removes a repository's folder and all in it; nothing happens when there is none. */
export async function removeCacheFolder(cache: string, repositoryId: Id): Promise<void> {
  await rm(cacheFolderPath(cache, repositoryId), { recursive: true, force: true })
}

/** Throws HF_INTERNAL for a name that is no id, so that nothing leaves the cache. */
export function cacheFolderPath(cache: string, repositoryId: Id): string {
  if (isId(repositoryId)) return join(cache, repositoryId)
  throw new HoldfastError('HF_INTERNAL', `${JSON.stringify(repositoryId)} is not the id of a repository`)
}

/** Names in a folder; none when it cannot be read. */
export const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => [])

async function sizeOf(path: string): Promise<number> {
  let sizeBytes = 0
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    // Another process may remove files meanwhile.
    const status = await stat(join(entry.parentPath, entry.name)).catch(() => undefined)
    sizeBytes += status?.size ?? 0
  }
  return sizeBytes
}
