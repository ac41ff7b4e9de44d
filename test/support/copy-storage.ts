import { fileKey } from '../../src/engine/storage/file-key.ts'
import { openMemoryStorage } from '../../src/engine/storage/memory/memory-storage.ts'
import type { FileRef, NamedFileKind, Storage } from '../../src/engine/storage/storage.ts'

const namedKinds: readonly NamedFileKind[] = ['data', 'index', 'key', 'lock', 'snapshot']

/** All files of a repository. */
export async function allFiles(storage: Storage): Promise<FileRef[]> {
  const files: FileRef[] = [{ kind: 'config' }]
  for (const kind of namedKinds) for await (const { name } of storage.list(kind)) files.push({ kind, name })
  return files
}

/** Puts every file of a repository into another storage, which has to be empty. Returns that. */
export async function copyStorage(from: Storage, to: Storage = openMemoryStorage()): Promise<Storage> {
  await to.create()
  for (const file of await allFiles(from)) await to.put(file, await from.get(file))
  return to
}

/** The names of all files, to see whether two repositories hold the same. */
export const fileNames = async (storage: Storage): Promise<string[]> => (await allFiles(storage)).map(fileKey).sort()
