import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { forEachParallel } from '../../lib/parallel.ts'
import type { CallOptions, FileRef, NamedFileKind, Storage } from './storage.ts'

export interface UndeleteOptions extends CallOptions {
  readonly dryRun: boolean
  /** Only what was deleted since then (1970); files whose time nobody knows are always taken. */
  readonly sinceMs?: number | undefined
  /** Told of each file, after it was brought back. */
  readonly onFile?: (file: FileRef, sizeBytes: number | undefined) => void
}

export interface Undeleted {
  readonly files: number
  readonly bytes: number
}

/** What snapshots need comes before them, so that none is seen before it is whole. Locks stay deleted. */
const ORDER: readonly NamedFileKind[] = ['key', 'data', 'index', 'snapshot']

/**
 * Takes back deletions that left the content in the store: what somebody did with a stolen credential, or by mistake.
 * @throws HoldfastError HF_UNSUPPORTED when the store keeps nothing that was deleted
 */
export async function undeleteFiles(storage: Storage, options: UndeleteOptions): Promise<Undeleted> {
  const { versions } = storage.features
  if (versions === undefined)
    throw new HoldfastError('HF_UNSUPPORTED', `${storage.location} keeps nothing that was deleted`, {
      hint: 'Stores of objects do, where versions or soft delete are on.',
    })
  const { signal, dryRun, sinceMs = Number.NEGATIVE_INFINITY, onFile } = options
  let files = 0
  let bytes = 0
  const bringBack = async (file: FileRef, sizeBytes: number | undefined): Promise<void> => {
    if (!dryRun) await versions.undelete(file, { signal })
    files += 1
    bytes += sizeBytes ?? 0
    onFile?.(file, sizeBytes)
  }
  if (!(await isThere(storage, { kind: 'config' }, options)))
    await bringBack({ kind: 'config' }, undefined).catch((error: unknown) => {
      if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
    })
  for (const kind of ORDER) {
    const found: { readonly file: FileRef; readonly sizeBytes: number }[] = []
    for await (const { name, sizeBytes, deletedMs } of versions.listDeleted(kind, { signal }))
      if (deletedMs === undefined || deletedMs >= sinceMs) found.push({ file: { kind, name }, sizeBytes })
    await forEachParallel(found, storage.properties.connections, ({ file, sizeBytes }) => bringBack(file, sizeBytes))
  }
  return { files, bytes }
}

async function isThere(storage: Storage, file: FileRef, { signal }: CallOptions): Promise<boolean> {
  try {
    await storage.stat(file, { signal })
    return true
  } catch (error) {
    if (isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) return false
    throw error
  }
}
