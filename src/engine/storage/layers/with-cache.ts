import { hash } from 'node:crypto'
import type { Clock } from '../../../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import { type Id, isId } from '../../../lib/id.ts'
import { fileKey } from '../file-key.ts'
import { throwIfInterrupted } from '../interruption.ts'
import { rangeWithin } from '../range.ts'
import type { ByteRange, CallOptions, FileRef, LocalCopies, Storage } from '../storage.ts'
import { cacheFolderPath } from './cache-directory.ts'
import { type CachedFile, CacheFiles } from './cache-files.ts'

export interface CacheOptions {
  /** The cache of all repositories; this one gets a folder in it. */
  readonly cacheDirectory: string
  readonly repositoryId: Id
  /** Told once when nothing can be kept (disk full, no permission); everything works on without the cache. */
  readonly onProblem?: (problem: HoldfastError) => void
  readonly clock?: Clock
}

export interface CachedStorage extends Storage {
  readonly copies: LocalCopies
}

/**
 * Keeps index files, snapshots, and packs whose calls say `cacheable`, in a folder of this machine: for stores that are far away. Such packs
 * are fetched whole, whatever part is asked for.
 * Nothing enters it that does not have the hash its name says, but copies may be damaged later, so their reader verifies them like any other
 * file and calls `copies.forget`. A complete listing removes copies of what is no longer in the repository. A file that somebody else has deleted
 * may still be read here.
 */
export function withCache(storage: Storage, options: CacheOptions): CachedStorage {
  const files = new CacheFiles(options.cacheDirectory, options.repositoryId, options.clock)
  const forgotten = new Set<string>()
  const fetching = new Map<string, Promise<unknown>>()
  let isUsable = true

  async function keep(file: CachedFile, content: Uint8Array): Promise<void> {
    if (!isUsable || hash('sha256', content) !== file.name) return
    try {
      await files.write(file, content)
    } catch (cause) {
      if (isUsable) options.onProblem?.(cacheProblem(options.cacheDirectory, cause))
      isUsable = false
    }
  }

  async function fetch(
    file: CachedFile,
    range: ByteRange | undefined,
    call: CallOptions | undefined,
  ): Promise<Uint8Array> {
    const content = await storage.get(file, undefined, call)
    await keep(file, content)
    const { offset, length } = rangeWithin(file, content.length, range, storage.location)
    return range === undefined ? content : content.slice(offset, offset + length)
  }

  async function get(
    file: CachedFile,
    range: ByteRange | undefined,
    call: CallOptions | undefined,
  ): Promise<Uint8Array> {
    throwIfInterrupted(call?.signal)
    const copy = await files.read(file, range)
    if (copy !== undefined) return copy
    const key = fileKey(file)
    const other = fetching.get(key)
    if (other !== undefined) {
      // Whoever fetches a file first does it for all; when that fails, each tries for itself.
      await other.catch(() => undefined)
      return (await files.read(file, range)) ?? fetch(file, range, call)
    }
    const fetched = fetch(file, range, call)
    fetching.set(key, fetched)
    try {
      return await fetched
    } finally {
      fetching.delete(key)
    }
  }

  return {
    location: storage.location,
    properties: storage.properties,
    features: storage.features,
    create: (call) => storage.create(call),
    put: async (file, content, call) => {
      await storage.put(file, content, call)
      const cached = cachedFile(file, call)
      if (cached !== undefined) await keep(cached, content)
    },
    get: (file, range, call) => {
      const cached = cachedFile(file, call)
      return cached === undefined ? storage.get(file, range, call) : get(cached, range, call)
    },
    stat: async (file, call) => {
      try {
        return await storage.stat(file, call)
      } catch (error) {
        if (isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) await drop(file)
        throw error
      }
    },
    list: async function* (kind, call) {
      const names = new Set<Id>()
      for await (const file of storage.list(kind, call)) {
        names.add(file.name)
        yield file
      }
      if (kind === 'data' || kind === 'index' || kind === 'snapshot') await files.retain(kind, names)
    },
    delete: async (file, call) => {
      try {
        await storage.delete(file, call)
      } catch (error) {
        if (isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) await drop(file)
        throw error
      }
      await drop(file)
    },
    copies: {
      path: cacheFolderPath(options.cacheDirectory, options.repositoryId),
      forget: async (file) => {
        if (forgotten.has(fileKey(file)) || !(await drop(file))) return false
        forgotten.add(fileKey(file))
        return true
      },
    },
    close: () => storage.close(),
  }

  async function drop(file: FileRef): Promise<boolean> {
    const cached = cachedFile(file, { cacheable: true })
    return cached !== undefined && files.remove(cached)
  }
}

/** The file, when it is of those that are kept. */
function cachedFile(file: FileRef, call: CallOptions | undefined): CachedFile | undefined {
  if (file.kind === 'config' || !isId(file.name)) return undefined
  const { kind, name } = file
  if (kind === 'index' || kind === 'snapshot' || (kind === 'data' && call?.cacheable)) return { kind, name }
  return undefined
}

function cacheProblem(cacheDirectory: string, cause: unknown): HoldfastError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new HoldfastError('HF_STORAGE_IO', `nothing can be kept in the cache ${cacheDirectory}: ${reason}`, {
    retry: 'after-fix',
    hint: 'Make room there, choose another folder with --cache-dir, or do without with --no-cache.',
    cause,
  })
}
