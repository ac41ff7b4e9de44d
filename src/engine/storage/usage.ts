import { isHoldfastError } from '../../lib/errors.ts'
import type { CallOptions, FileKind, NamedFileKind, Storage } from './storage.ts'

export interface ClassUsage {
  /** As the store names it; `default` where it has none. */
  readonly storageClass: string
  readonly files: number
  readonly bytes: number
  /** Old versions and deleted files that are still kept, and paid for. */
  readonly hiddenFiles: number
  readonly hiddenBytes: number
}

export interface StorageUsage {
  /** Bytes that can be seen, by kind of file. */
  readonly kinds: ReadonlyMap<FileKind, number>
  readonly classes: readonly ClassUsage[]
  readonly bytes: number
  readonly hiddenBytes: number
  /** undefined when the store does not tell. */
  readonly freeBytes: number | undefined
}

interface Counted {
  readonly kind: FileKind
  readonly sizeBytes: number
  readonly storageClass: string
  readonly isHidden: boolean
}

const KINDS: readonly NamedFileKind[] = ['data', 'index', 'key', 'lock', 'snapshot']

/** Counts what the files of a repository take, without opening any. */
export async function measureUsage(storage: Storage, options: CallOptions = {}): Promise<StorageUsage> {
  const kinds = new Map<FileKind, number>()
  const classes = new Map<string, { -readonly [Key in keyof ClassUsage]: ClassUsage[Key] }>()
  for await (const { kind, sizeBytes, storageClass, isHidden } of everyFile(storage, options)) {
    let sum = classes.get(storageClass)
    if (sum === undefined) {
      sum = { storageClass, files: 0, bytes: 0, hiddenFiles: 0, hiddenBytes: 0 }
      classes.set(storageClass, sum)
    }
    if (isHidden) {
      sum.hiddenFiles += 1
      sum.hiddenBytes += sizeBytes
    } else {
      sum.files += 1
      sum.bytes += sizeBytes
      kinds.set(kind, (kinds.get(kind) ?? 0) + sizeBytes)
    }
  }
  const all = [...classes.values()].sort((a, b) => (a.storageClass < b.storageClass ? -1 : 1))
  return {
    kinds,
    classes: all,
    bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
    hiddenBytes: all.reduce((sum, { hiddenBytes }) => sum + hiddenBytes, 0),
    freeBytes: await storage.features.freeBytes?.(options),
  }
}

async function* everyFile(storage: Storage, options: CallOptions): AsyncGenerator<Counted, void, undefined> {
  if (storage.features.classes !== undefined) return yield* storage.features.classes.list(options)
  const plain = { storageClass: 'default', isHidden: false }
  for (const kind of KINDS)
    for await (const { sizeBytes } of storage.list(kind, options)) yield { kind, sizeBytes, ...plain }
  try {
    const { sizeBytes } = await storage.stat({ kind: 'config' }, options)
    yield { kind: 'config', sizeBytes, ...plain }
  } catch (error) {
    if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
  }
}
