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
