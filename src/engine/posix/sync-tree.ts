import { constants } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { forEachParallel } from '../../lib/parallel.ts'

/** As many as Node's pool of threads has by default; file systems gather what is asked for at the same time. */
const AT_A_TIME = 4

/**
 * Waits until everything below a folder, and the folder, is on the disk: a power failure afterwards loses none of it. Links are not
 * followed.
 *
 * @throws the system's error when something cannot be opened, or the disk failed; the signal's reason
 */
export async function syncTree(path: string, signal?: AbortSignal): Promise<void> {
  const folders = [path]
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const entries = await readdir(folder, { withFileTypes: true })
    const files: string[] = []
    for (const entry of entries) {
      const below = join(folder, entry.name)
      if (entry.isDirectory()) folders.push(below)
      else if (entry.isFile()) files.push(below)
    }
    await forEachParallel(files, AT_A_TIME, async (file) => {
      signal?.throwIfAborted()
      await syncPath(file)
    })
    await syncPath(folder)
  }
}

/** Waits until a file, or the names in a folder, are on the disk. A link is refused. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
