import { openMemoryStorage } from '../../src/engine/storage/memory/memory-storage.ts'
import type { FileRef, NamedFileKind, Storage } from '../../src/engine/storage/storage.ts'

const kinds: readonly NamedFileKind[] = ['data', 'index', 'key', 'lock', 'snapshot']

/** All files of a repository: where each is and how large. */
export async function listAllFiles(
  storage: Storage,
): Promise<{ readonly file: FileRef; readonly sizeBytes: number }[]> {
  const files: { file: FileRef; sizeBytes: number }[] = []
  for (const kind of kinds)
    for await (const { name, sizeBytes } of storage.list(kind)) files.push({ file: { kind, name }, sizeBytes })
  const config: FileRef = { kind: 'config' }
  files.push({ file: config, sizeBytes: (await storage.stat(config)).sizeBytes })
  return files
}

/** A copy of a repository in memory. */
export async function copyToMemory(storage: Storage): Promise<Storage> {
  const copy = openMemoryStorage(`copy of ${storage.location}`)
  for (const { file } of await listAllFiles(storage)) await copy.put(file, await storage.get(file))
  return copy
}

/** Puts other content in the place of a file; undefined deletes it. */
export async function overwrite(storage: Storage, file: FileRef, content: Uint8Array | undefined): Promise<void> {
  await storage.delete(file)
  if (content) await storage.put(file, content)
}

/** Changes the content of a file. */
export async function tamper(
  storage: Storage,
  file: FileRef,
  change: (content: Uint8Array) => Uint8Array | undefined,
): Promise<void> {
  await overwrite(storage, file, change(await storage.get(file)))
}

/** `content` with one bit the other way round. */
export function flipBit(content: Uint8Array, bit: number): Uint8Array {
  const flipped = new Uint8Array(content)
  flipped[bit >> 3]! ^= 1 << (bit & 7)
  return flipped
}
