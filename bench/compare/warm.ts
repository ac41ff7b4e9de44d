import { closeSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'

const buffer = new Uint8Array(1024 * 1024)

/** Reads every file of the folders, so that all tools find them in memory, whatever runs before have pushed out. */
export function readIntoMemory(folders: readonly string[]): void {
  for (const folder of folders)
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
      if (entry.isFile()) readFile(join(entry.parentPath, entry.name))
}

function readFile(path: string): void {
  const fd = openSync(path, 'r')
  try {
    while (readSync(fd, buffer) > 0);
  } finally {
    closeSync(fd)
  }
}
