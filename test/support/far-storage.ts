import { setImmediate } from 'node:timers/promises'
import { withConnectionLimit } from '../../src/engine/storage/layers/with-connection-limit.ts'
import type { ByteRange, CallOptions, FileRef, Storage } from '../../src/engine/storage/storage.ts'

export interface FarStorage {
  readonly storage: Storage
  /** Every read so far, in the order of their start. */
  readonly reads: { readonly file: FileRef; readonly range: ByteRange | undefined }[]
  /** The most reads and the most bytes of packs that were under way at a time. */
  readonly most: { reads: number; bytes: number }
  /** Called in the middle of each read. */
  onRead: ((file: FileRef, range: ByteRange | undefined, options: CallOptions | undefined) => Promise<void>) | undefined
}

/** The files of another storage as a store behind a network serves them: later, on some connections at a time, never from a folder. */
export function farStorage(storage: Storage, connections = 4): FarStorage {
  const most = { reads: 0, bytes: 0 }
  const under = { reads: 0, bytes: 0 }
  const { directory: _, ...properties } = storage.properties
  const far: FarStorage = { storage, reads: [], most, onRead: undefined }
  const slow: Storage = {
    location: storage.location,
    properties,
    features: storage.features,
    create: (options) => storage.create(options),
    put: (file, content, options) => storage.put(file, content, options),
    get: async (file, range, options) => {
      far.reads.push({ file, range })
      const bytes = range?.length ?? 0
      under.reads += 1
      under.bytes += bytes
      most.reads = Math.max(most.reads, under.reads)
      most.bytes = Math.max(most.bytes, under.bytes)
      try {
        await setImmediate()
        await far.onRead?.(file, range, options)
        return await storage.get(file, range, options)
      } finally {
        under.reads -= 1
        under.bytes -= bytes
      }
    },
    stat: (file, options) => storage.stat(file, options),
    list: (kind, options) => storage.list(kind, options),
    delete: (file, options) => storage.delete(file, options),
    close: () => storage.close(),
  }
  return Object.assign(far, { storage: withConnectionLimit(slow, connections) })
}

/** How often packs were read. */
export const packReads = ({ reads }: FarStorage): number => reads.filter(({ file }) => file.kind === 'data').length
