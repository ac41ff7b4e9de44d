import type { CallOptions, NamedFileKind, Storage, StoredFile } from './storage.ts'

/** A whole listing at once, for callers that need all of it anyway. */
export async function listFiles(storage: Storage, kind: NamedFileKind, options?: CallOptions): Promise<StoredFile[]> {
  const files: StoredFile[] = []
  for await (const file of storage.list(kind, options)) files.push(file)
  return files
}
