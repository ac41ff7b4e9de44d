import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { StoreFeatures } from '../features.ts'
import { fileKey } from '../file-key.ts'
import { throwIfInterrupted } from '../interruption.ts'
import { rangeWithin } from '../range.ts'
import { type CallOptions, describeFile, type FileRef, type Storage } from '../storage.ts'
import { withoutDirectory } from './without-directory.ts'

export interface DryRunOptions {
  /** So many bytes of packs are kept for reading, 64 MiB by default; of further ones only the size, because a rehearsed backup has no bound. */
  readonly packMemoryBytes?: number
}

/** What would have been written; no content when memory for packs had run out. */
interface Rehearsed {
  readonly file: FileRef
  readonly sizeBytes: number
  readonly content: Uint8Array | undefined
}

/**
 * Nothing reaches the store, yet whoever uses it sees its own writes and deletions. Packs beyond `packMemoryBytes` are listed but cannot be
 * read, which HF_STORAGE_NOT_FOUND explains. Lock files are held back like the rest: they keep nobody away.
 */
export function withDryRun(storage: Storage, options: DryRunOptions = {}): Storage {
  const { packMemoryBytes = 64 << 20 } = options
  const written = new Map<string, Rehearsed>()
  const deleted = new Set<string>()
  let packBytes = 0

  const failure = (code: 'HF_STORAGE_NOT_FOUND' | 'HF_STORAGE_EXISTS', file: FileRef, why: string): HoldfastError =>
    new HoldfastError(code, `${describeFile(file)} in ${storage.location} ${why}`)

  const assertNotDeleted = (file: FileRef): void => {
    if (deleted.has(fileKey(file))) throw failure('HF_STORAGE_NOT_FOUND', file, 'has been removed in this dry run')
  }

  async function isInStore(file: FileRef, options: CallOptions | undefined): Promise<boolean> {
    if (deleted.has(fileKey(file))) return false
    try {
      await storage.stat(file, options)
      return true
    } catch (error) {
      if (isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) return false
      throw error
    }
  }

  function keep(file: FileRef, content: Uint8Array): void {
    const isKept = file.kind !== 'data' || packBytes + content.length <= packMemoryBytes
    if (isKept && file.kind === 'data') packBytes += content.length
    const copy = isKept ? new Uint8Array(content) : undefined
    written.set(fileKey(file), { file, sizeBytes: content.length, content: copy })
  }

  return {
    location: storage.location,
    properties: withoutDirectory(storage.properties),
    features: rehearsed(storage.features),
    create: async (options) => throwIfInterrupted(options?.signal),
    put: async (file, content, options) => {
      throwIfInterrupted(options?.signal)
      if (!options?.replace) {
        const exists = await isInStore(file, options)
        if (exists || written.has(fileKey(file))) throw failure('HF_STORAGE_EXISTS', file, 'exists already')
      }
      keep(file, content)
    },
    get: async (file, range, options) => {
      throwIfInterrupted(options?.signal)
      const own = written.get(fileKey(file))
      if (own === undefined) {
        assertNotDeleted(file)
        return storage.get(file, range, options)
      }
      const { offset, length } = rangeWithin(file, own.sizeBytes, range, storage.location)
      if (own.content !== undefined) return own.content.slice(offset, offset + length)
      throw failure('HF_STORAGE_NOT_FOUND', file, 'was not kept in this dry run, to save memory')
    },
    stat: async (file, options) => {
      throwIfInterrupted(options?.signal)
      const own = written.get(fileKey(file))
      if (own !== undefined) return { sizeBytes: own.sizeBytes }
      assertNotDeleted(file)
      return storage.stat(file, options)
    },
    list: async function* (kind, options) {
      const own = [...written.values()]
      for await (const file of storage.list(kind, options)) {
        const key = fileKey({ kind, name: file.name })
        if (!deleted.has(key) && !written.has(key)) yield file
      }
      for (const { file, sizeBytes } of own) {
        throwIfInterrupted(options?.signal)
        if (file.kind === kind) yield { name: file.name, sizeBytes }
      }
    },
    delete: async (file, options) => {
      throwIfInterrupted(options?.signal)
      const key = fileKey(file)
      const own = written.get(key)
      if (own === undefined) {
        assertNotDeleted(file)
        await storage.stat(file, options)
      } else {
        written.delete(key)
        if (file.kind === 'data') packBytes -= own.content?.length ?? 0
      }
      deleted.add(key)
    },
    close: () => storage.close(),
  }
}

/** What looks at the store stays; what would change it does nothing. */
function rehearsed({ retention, versions, classes, freeBytes, examine }: StoreFeatures): StoreFeatures {
  const nothing = async (_: FileRef, ...more: readonly unknown[]): Promise<void> =>
    throwIfInterrupted((more.at(-1) as CallOptions | undefined)?.signal)
  return {
    ...(retention && {
      retention: { ...retention, get: retention.get.bind(retention), extend: nothing, setLegalHold: nothing },
    }),
    ...(versions && {
      versions: {
        ...(versions.hidden && { hidden: () => versions.hidden!() }),
        listDeleted: versions.listDeleted.bind(versions),
        undelete: nothing,
      },
    }),
    ...(classes && {
      classes: { list: classes.list.bind(classes), state: classes.state.bind(classes), requestRestore: nothing },
    }),
    ...(freeBytes && { freeBytes }),
    ...(examine && { examine }),
  }
}
