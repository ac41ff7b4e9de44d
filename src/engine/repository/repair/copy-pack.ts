import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { HoldfastError, isHoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import type { Repository } from '../repository.ts'

const WINDOW_BYTES = 8 * 1024 * 1024

/**
 * Copies a pack to `pack-<id>` in a folder, damaged as it is; stretches the storage cannot bring become zeros. The copy of an earlier run
 * will do. Returns why nothing of it could be read, else undefined.
 *
 * @throws HoldfastError HF_TARGET_INVALID when the copy cannot be written or something else has its name
 */
export async function copyPack(
  repository: Repository,
  pack: Id,
  folder: string,
  signal?: AbortSignal,
): Promise<HoldfastError | undefined> {
  const path = join(folder, `pack-${pack}`)
  const partial = `${path}.partial`
  let sizeBytes: number
  try {
    sizeBytes = (await repository.storage.stat({ kind: 'data', name: pack }, { signal })).sizeBytes
  } catch (error) {
    if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
    return error
  }
  try {
    const present = await sizeOf(path)
    if (present === sizeBytes) return undefined
    if (present !== undefined)
      throw new HoldfastError('HF_TARGET_INVALID', `${path} exists and is no copy of pack ${pack}`, {
        hint: 'move it away, or run this in another folder',
      })
    const file = await open(partial, 'w', 0o600)
    let failure: HoldfastError | undefined
    try {
      failure = await copyWindows(repository, pack, sizeBytes, file, signal)
    } finally {
      await file.close()
    }
    if (failure) await rm(partial)
    else await rename(partial, path)
    return failure
  } catch (error) {
    if (error instanceof HoldfastError) throw error
    throw new HoldfastError('HF_TARGET_INVALID', `cannot write a copy of pack ${pack} to ${path}`, {
      cause: error,
      hint: 'run this in a folder that can be written to and has enough room',
    })
  }
}

async function copyWindows(
  repository: Repository,
  pack: Id,
  sizeBytes: number,
  file: FileHandle,
  signal: AbortSignal | undefined,
): Promise<HoldfastError | undefined> {
  let failure: HoldfastError | undefined
  let copiedBytes = 0
  for (let offset = 0; offset < sizeBytes; offset += WINDOW_BYTES) {
    const length = Math.min(WINDOW_BYTES, sizeBytes - offset)
    try {
      const bytes = await repository.storage.get({ kind: 'data', name: pack }, { offset, length }, { signal })
      await file.write(bytes, 0, length, offset)
      copiedBytes += length
    } catch (error) {
      if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
      failure ??= error
    }
  }
  await file.truncate(sizeBytes)
  await file.sync()
  return copiedBytes > 0 || sizeBytes === 0 ? undefined : failure
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}
