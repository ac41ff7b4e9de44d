import type { CallOptions, NamedFileKind, Storage, StoredFile } from '../storage.ts'

/**
 * Lists files of `kinds` before anybody asks, one kind after the other, as soon as `config` is read: while a far store answers that, and a key
 * is derived. The first listing of each kind takes what has come of it, later ones ask the store. For those who may use a listing that is as old
 * as that. A listing that fails is made again when it is asked for, as is one that found a lock: it may be gone by then.
 */
export function withListingsAhead(storage: Storage, kinds: readonly NamedFileKind[]): Storage {
  const ahead = new Map<NamedFileKind, Promise<readonly StoredFile[]>>()
  let isBegun = false

  function begin(options: CallOptions | undefined): void {
    isBegun = true
    let before: Promise<unknown> = Promise.resolve()
    for (const kind of kinds) {
      const listing = before.then(() => Array.fromAsync(storage.list(kind, options)))
      before = listing
      listing.catch(() => undefined)
      ahead.set(kind, listing)
    }
  }

  return {
    location: storage.location,
    properties: storage.properties,
    features: storage.features,
    create: (options) => storage.create(options),
    put: (file, content, options) => storage.put(file, content, options),
    get: (file, range, options) => {
      if (file.kind === 'config' && !isBegun) begin(options)
      return storage.get(file, range, options)
    },
    stat: (file, options) => storage.stat(file, options),
    list: async function* (kind, options) {
      const listing = ahead.get(kind)
      ahead.delete(kind)
      const files = await listing?.catch(() => undefined)
      const isOld = kind === 'lock' && files !== undefined && files.length > 0
      yield* files === undefined || isOld ? storage.list(kind, options) : files
    },
    delete: (file, options) => storage.delete(file, options),
    close: () => storage.close(),
  }
}
