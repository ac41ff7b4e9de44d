import { forEachParallel } from '../../lib/parallel.ts'
import { SharedArena } from '../../lib/shared-arena.ts'
import type { MasterIndex } from '../repository/index/master-index.ts'
import { throwIfInterrupted } from '../storage/interruption.ts'
import { readInto } from '../storage/read-into.ts'
import type { Storage } from '../storage/storage.ts'
import type { PackFetch } from './fetch-plan.ts'

/** Bytes that are on their way from the store, or wait for a thread. */
const FETCH_MEMORY_BYTES = 64 * 1024 * 1024

/** What is fetched, and has not been written, at a time, for each connection: enough that none waits for the threads, and small ranges follow fast. */
const FETCHES_PER_CONNECTION = 3

export interface FetchOptions {
  /** Bounds what is on its way and what waits for `use`, together. */
  readonly memoryBytes?: number
  readonly signal?: AbortSignal | undefined
}

/** The bytes of a fetch; undefined when they could not be had. */
export type FetchedBytes = Uint8Array<SharedArrayBuffer> | undefined

/**
 * Brings stretches of packs of a store that is far away, as many at a time as it has connections, into memory that threads share.
 * `use` is called with each in the order in which they arrive, and is done with the memory when its promise resolves. A stretch that cannot
 * be had is no failure here: its blobs may be had one by one, also from other places.
 * @throws HoldfastError HF_INTERRUPTED; what `use` throws
 */
export async function fetchEach(
  { storage, index }: { readonly storage: Storage; readonly index: MasterIndex },
  fetches: readonly PackFetch[],
  use: (fetch: PackFetch, bytes: FetchedBytes) => Promise<void>,
  { memoryBytes = FETCH_MEMORY_BYTES, signal }: FetchOptions = {},
): Promise<void> {
  const arena = new SharedArena(memoryBytes)
  await forEachParallel(fetches, storage.properties.connections * FETCHES_PER_CONNECTION, async (fetch) => {
    const memory = await arena.allocate(fetch.length)
    try {
      throwIfInterrupted(signal)
      let bytes: FetchedBytes = memory
      try {
        await readInto(storage, { kind: 'data', name: index.packId(fetch.pack) }, fetch.offset, memory, { signal })
      } catch {
        throwIfInterrupted(signal)
        bytes = undefined
      }
      await use(fetch, bytes)
    } finally {
      arena.release(memory)
    }
  })
}
