import type { NativeFunction } from '../../lib/native.ts'

/** Memory of a native library and the function that frees it. */
export interface NativeContext {
  readonly address: number
  readonly free: NativeFunction
}

const owned = new FinalizationRegistry<readonly NativeContext[]>(freeContexts)

/**
 * Frees the contexts once `owner` is garbage; they must not be reachable only through it. A thread that ends earlier should free them itself,
 * since its finalisers never run.
 */
export function freeWith(owner: object, contexts: readonly NativeContext[]): void {
  owned.register(owner, contexts, owner)
}

/** Frees the contexts now and no more with their owner. */
export function freeNow(owner: object, contexts: readonly NativeContext[]): void {
  owned.unregister(owner)
  freeContexts(contexts)
}

export function freeContexts(contexts: readonly NativeContext[]): void {
  for (const { address, free } of contexts) free(address)
}
