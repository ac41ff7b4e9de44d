import { hostname } from 'node:os'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { decodeLock, isProcessRunning, isStaleLock, type LockInfo, type ProcessProbe } from './lock-file.ts'
import type { LockFiles } from './lock-files.ts'

export interface UnlockOptions {
  readonly clock?: Clock
  /** Name of this machine, on which processes can be asked for. */
  readonly host?: string
  readonly isRunning?: ProcessProbe
}

/**
 * Removes the locks that were left behind: not renewed for 30 minutes, or held by a process of this machine that is gone. What cannot be
 * read is left alone. Returns the removed ids.
 */
export async function removeStaleLocks(files: LockFiles, options: UnlockOptions = {}): Promise<readonly Id[]> {
  const { clock = systemClock, host = hostname(), isRunning = isProcessRunning } = options
  const removed: Id[] = []
  for (const { name, sizeBytes } of await files.list()) {
    // Left behind by an interrupted upload to a storage that does not write atomically; restic takes no notice of it either.
    if (sizeBytes === 0) continue
    const lock = await readLock(files, name)
    if (lock !== undefined && isStaleLock(lock, clock.now(), host, isRunning) && (await remove(files, name)))
      removed.push(name)
  }
  return removed
}

/** Removes every lock, also those in use: only for when nothing else uses the repository. Returns the removed ids. */
export async function removeAllLocks(files: LockFiles): Promise<readonly Id[]> {
  const removed: Id[] = []
  for (const { name } of await files.list()) if (await remove(files, name)) removed.push(name)
  return removed
}

async function readLock(files: LockFiles, id: Id): Promise<LockInfo | undefined> {
  try {
    return decodeLock(await files.load(id), id)
  } catch (error) {
    if (isHoldfastError(error)) return undefined
    throw error
  }
}

/** False when it was gone already: its holder was faster. */
async function remove(files: LockFiles, id: Id): Promise<boolean> {
  try {
    await files.remove(id)
    return true
  } catch (error) {
    if (isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) return false
    throw error
  }
}
