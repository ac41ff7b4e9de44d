import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { mkdir, open, rename, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Clock, systemClock } from '../../../lib/clock.ts'
import { systemErrorCode } from '../../../lib/errors.ts'
import { type Id, isId } from '../../../lib/id.ts'
import { folders, isTemporaryName, temporaryPathFor } from '../local/layout.ts'
import { READ_FLAGS } from '../local/pack-files.ts'
import { rangeWithin } from '../range.ts'
import type { ByteRange } from '../storage.ts'
import { cacheFolderPath, namesIn, prepareCacheFolder } from './cache-directory.ts'

export interface CachedFile {
  readonly kind: 'data' | 'index' | 'snapshot'
  readonly name: Id
}

const SMALL_BYTES = 16 << 10
/** So old, what a writer of the cache has not finished never will be. */
const LEFTOVER_AGE_MS = 60 * 60 * 1000

/**
 * Copies of a repository's files in its cache folder, in restic's layout: `index/ab/ab12...`. Files appear under their names whole, so
 * that several processes may use one cache.
 */
export class CacheFiles {
  readonly #cache: string
  readonly #repositoryId: Id
  readonly #path: string
  readonly #clock: Clock
  #prepared: Promise<string> | undefined

  constructor(cache: string, repositoryId: Id, clock: Clock = systemClock) {
    this.#cache = cache
    this.#repositoryId = repositoryId
    this.#path = cacheFolderPath(cache, repositoryId)
    this.#clock = clock
  }

  /** The copy, or a part of it; undefined when there is none. A copy that cannot be read or is too short counts as none and is removed. */
  async read(file: CachedFile, range: ByteRange | undefined): Promise<Uint8Array | undefined> {
    // Reading is use, too; that it cannot be noted matters as little as a missing copy.
    await this.#prepare().catch(() => undefined)
    try {
      const small = range === undefined ? readSmall(this.#pathOf(file)) : undefined
      if (small !== undefined) return small
      const handle = await open(this.#pathOf(file), READ_FLAGS)
      try {
        const { offset, length } = rangeWithin(file, (await handle.stat()).size, range, this.#path)
        const bytes = new Uint8Array(length)
        const { bytesRead } = await handle.read(bytes, 0, length, offset)
        if (bytesRead !== length) throw new Error('the copy became shorter while it was read')
        return bytes
      } finally {
        await handle.close()
      }
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') await this.remove(file)
      return undefined
    }
  }

  /** Throws the system's errors. Not durable: what a power cut damages is noticed by its reader and fetched again. */
  async write(file: CachedFile, content: Uint8Array): Promise<void> {
    await this.#prepare()
    const path = this.#pathOf(file)
    const temporary = temporaryPathFor(path)
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    try {
      await writeFile(temporary, content, { flag: 'wx', mode: 0o600 })
      await rename(temporary, path)
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
  }

  /** Whether there was a copy. */
  async remove(file: CachedFile): Promise<boolean> {
    try {
      await unlink(this.#pathOf(file))
      return true
    } catch {
      return false
    }
  }

  /** Removes the copies of a kind whose names are not among `names`, and what writers that died left behind. */
  async retain(kind: CachedFile['kind'], names: ReadonlySet<Id>): Promise<void> {
    const folder = join(this.#path, folders[kind])
    for (const prefix of await namesIn(folder)) {
      for (const name of await namesIn(join(folder, prefix))) {
        if (isId(name) && !names.has(name)) await this.remove({ kind, name })
        else if (isTemporaryName(name)) await this.#removeLeftover(join(folder, prefix, name))
      }
    }
  }

  #prepare(): Promise<string> {
    this.#prepared ??= prepareCacheFolder(this.#cache, this.#repositoryId, this.#clock)
    return this.#prepared
  }

  async #removeLeftover(path: string): Promise<void> {
    const status = await stat(path).catch(() => undefined)
    const nowMs = Number(this.#clock.now() / 1_000_000n)
    if (status && nowMs - status.mtimeMs > LEFTOVER_AGE_MS) await rm(path, { force: true })
  }

  #pathOf({ kind, name }: CachedFile): string {
    return join(this.#path, folders[kind], name.slice(0, 2), name)
  }
}

/**
 * The whole of a file that is read faster than a thread could be found for it, such as a snapshot, of which there may be tens of thousands;
 * undefined for a larger one. Throws the system's errors.
 */
function readSmall(path: string): Uint8Array | undefined {
  const handle = openSync(path, READ_FLAGS)
  try {
    const { size } = fstatSync(handle)
    if (size > SMALL_BYTES) return undefined
    const bytes = new Uint8Array(size)
    if (readSync(handle, bytes) !== size) throw new Error('the copy became shorter while it was read')
    return bytes
  } finally {
    closeSync(handle)
  }
}
