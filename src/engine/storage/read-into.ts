import type { CallOptions, FileRef, Storage } from './storage.ts'

/**
 * Reads a part of a file into memory of the caller, who may use it again once this has ended, also with a failure. Stores that can put the
 * bytes there as they arrive; from others they are copied.
 * @throws HoldfastError those of `get`
 */
export async function readInto(
  storage: Storage,
  file: FileRef,
  offset: number,
  target: Uint8Array,
  options: CallOptions = {},
): Promise<void> {
  const bytes = await storage.get(file, { offset, length: target.length }, { ...options, into: target })
  if (bytes !== target) target.set(bytes)
}

/**
 * Reads the beginning of a file, as far as `target` goes, by several requests at the same time of up to `partBytes`. Ends when all of them
 * have ended, also with a failure.
 * @throws HoldfastError those of `get`
 */
export async function readParts(
  storage: Storage,
  file: FileRef,
  target: Uint8Array,
  partBytes: number,
  options: CallOptions = {},
): Promise<void> {
  const offsets = Array.from({ length: Math.ceil(target.length / partBytes) }, (_, part) => part * partBytes)
  const parts = await Promise.allSettled(
    offsets.map((offset) => readInto(storage, file, offset, target.subarray(offset, offset + partBytes), options)),
  )
  for (const part of parts) if (part.status === 'rejected') throw part.reason
}
