import { closeSync, constants, openSync } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../lib/clock.ts'
import { forEachParallel } from '../../lib/parallel.ts'
import { AsyncIo } from './async-io.ts'
import { systemError } from './system-error.ts'

/** File systems gather what is asked for at the same time: for 900 small files, 64 take a tenth of the time of 4. */
const AT_A_TIME = 64
/** As many as Node's pool of threads has by default. */
const AT_A_TIME_BY_POOL = 4
/** Between two looks at what has ended. */
const LOOK_MS = 1

const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/**
 * Waits until everything below a folder, and the folder, is on the disk: a power failure afterwards loses none of it. Links are not
 * followed.
 *
 * @throws the system's error when something cannot be opened, or the disk failed; the signal's reason
 */
export async function syncTree(path: string, signal?: AbortSignal): Promise<void> {
  using io = AsyncIo.create(AT_A_TIME)
  if (io !== undefined) return await syncAll(io, below(path), signal)
  await forEachParallel(below(path), AT_A_TIME_BY_POOL, async (one) => {
    signal?.throwIfAborted()
    await syncPath(one)
  })
}

async function syncAll(io: AsyncIo, paths: AsyncIterable<string>, signal: AbortSignal | undefined): Promise<void> {
  const failures: unknown[] = []
  const waitUntil = async (most: number): Promise<void> => {
    while (io.pending > most) {
      await systemClock.sleep(LOOK_MS)
      io.collect()
    }
  }
  try {
    for await (const path of paths) {
      signal?.throwIfAborted()
      await waitUntil(AT_A_TIME - 1)
      if (failures.length > 0) break
      const fd = openSync(path, FLAGS)
      const isBegun = io.sync(fd, (result) => {
        closeSync(fd)
        if (result < 0) failures.push(systemError(-result, 'fsync', Buffer.from(path)))
      })
      if (isBegun) continue
      closeSync(fd)
      await syncPath(path)
    }
  } finally {
    await waitUntil(0)
  }
  if (failures.length > 0) throw failures[0]
}

/** Waits until a file, or the names in a folder, are on the disk. A link is refused. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, FLAGS)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Files, and each folder behind what is in it. */
async function* below(path: string): AsyncGenerator<string> {
  const folders = [path]
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const one = join(folder, entry.name)
      if (entry.isDirectory()) folders.push(one)
      else if (entry.isFile()) yield one
    }
    yield folder
  }
}
