import type { StorageProperties } from '../storage.ts'

/** The properties of a store below a layer that must see every call: without the directory in which threads would read and write by themselves. */
export function withoutDirectory({ connections, atomicReplace, createOnly }: StorageProperties): StorageProperties {
  return { connections, atomicReplace, createOnly }
}
