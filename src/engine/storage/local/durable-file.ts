import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { type FileHandle, link, open, rename, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { systemErrorCode } from '../../../lib/errors.ts'
import { throwIfInterrupted } from '../interruption.ts'
import { temporaryPathFor } from './layout.ts'

/**
 * Writing a file so that it is there whole or not at all, also after a kill or a power cut: a temporary file beside the final name, fsync,
 * publish under the final name, fsync of the folder. Once for threads that may block and once for those that must not; both do the same
 * calls in the same order. They throw the system's errors; `EEXIST` says that the name is taken.
 *
 * Publishing without `replace` is `link`, which refuses an existing name in one step. File systems without hard links (FAT, some network
 * shares) get a look and a rename instead; two writers of one name could then both succeed, which only matters for `config`.
 */
export interface DurableFileOptions {
  /** Permissions while the file is written, 0600 or 0660; the finished file loses the write bits. */
  readonly mode: number
  /** Takes the place of an existing file, without a moment in which there is none. */
  readonly replace?: boolean
  /** Called when the folder is missing: makes it, or throws. */
  readonly makeFolder: () => void
}

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
/** So much is written in one call, to notice a cancellation in between. */
const PIECE_BYTES = 8 << 20

/** Blocks until the file is durable. `bytes` may lie in shared memory. */
export function writeFileDurablySync(path: string, bytes: Uint8Array, options: DurableFileOptions): void {
  const temporary = temporaryPathFor(path)
  const descriptor = withFolderSync(options, () => openSync(temporary, CREATE, options.mode))
  let published = false
  try {
    try {
      for (let offset = 0; offset < bytes.length; ) {
        offset += writeSync(descriptor, bytes, offset, bytes.length - offset)
      }
      tolerate(modeRefused, () => fchmodSync(descriptor, readOnly(options.mode)))
      tolerate(syncRefused, () => fsyncSync(descriptor))
    } finally {
      closeSync(descriptor)
    }
    if (options.replace) renameSync(temporary, path)
    else if (!tryLinkSync(temporary, path)) {
      if (existsSync(path)) throw nameTaken(path)
      renameSync(temporary, path)
    } else unlinkSync(temporary)
    published = true
    syncFolderSync(dirname(path))
  } finally {
    if (!published) tolerate(anything, () => unlinkSync(temporary))
  }
}

/** Does not block the thread. A cancelled write leaves nothing behind. */
export async function writeFileDurably(
  path: string,
  bytes: Uint8Array,
  options: DurableFileOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  const temporary = temporaryPathFor(path)
  const handle = await withFolder(options, () => open(temporary, CREATE, options.mode))
  let published = false
  try {
    try {
      for (let offset = 0; offset < bytes.length; ) {
        throwIfInterrupted(signal)
        offset += (await handle.write(bytes, offset, Math.min(PIECE_BYTES, bytes.length - offset))).bytesWritten
      }
      await handle.chmod(readOnly(options.mode)).catch(unless(modeRefused))
      await handle.sync().catch(unless(syncRefused))
    } finally {
      await handle.close()
    }
    throwIfInterrupted(signal)
    if (options.replace) await rename(temporary, path)
    else if (!(await tryLink(temporary, path))) {
      if (await exists(path)) throw nameTaken(path)
      await rename(temporary, path)
    } else await unlink(temporary)
    published = true
    await syncFolder(dirname(path))
  } finally {
    if (!published) await unlink(temporary).catch(unless(anything))
  }
}

/** Makes what was added to or removed from a folder survive a power cut. */
export function syncFolderSync(path: string): void {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    tolerate(syncRefused, () => fsyncSync(descriptor))
  } finally {
    closeSync(descriptor)
  }
}

/** Makes what was added to or removed from a folder survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const handle: FileHandle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync().catch(unless(syncRefused))
  } finally {
    await handle.close()
  }
}

const readOnly = (mode: number): number => mode & ~0o222

type Tolerance = (code: string | undefined) => boolean

/** File systems that keep no permissions (FAT, some mounts) refuse to set them. */
export const modeRefused: Tolerance = (code) => code === 'EPERM' || isUnsupported(code)
/** Some network and FUSE file systems know no fsync, of files or of folders; there is nothing better to do there. */
const syncRefused: Tolerance = (code) => code === 'EINVAL' || isUnsupported(code)
const linkRefused: Tolerance = (code) => code === 'EPERM' || code === 'EMLINK' || isUnsupported(code)
const anything: Tolerance = () => true

const isUnsupported = (code: string | undefined): boolean =>
  code === 'ENOTSUP' || code === 'EOPNOTSUPP' || code === 'ENOSYS' || code === 'ENOTTY'

export function tolerate(tolerance: Tolerance, call: () => void): void {
  try {
    call()
  } catch (error) {
    unless(tolerance)(error)
  }
}

/** A handler that lets tolerated errors go and throws the others again. */
function unless(tolerance: Tolerance): (error: unknown) => void {
  return (error) => {
    if (!tolerance(systemErrorCode(error))) throw error
  }
}

function withFolderSync<T>(options: DurableFileOptions, call: () => T): T {
  try {
    return call()
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
    options.makeFolder()
    return call()
  }
}

async function withFolder<T>(options: DurableFileOptions, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
    options.makeFolder()
    return call()
  }
}

function tryLinkSync(temporary: string, path: string): boolean {
  try {
    linkSync(temporary, path)
    return true
  } catch (error) {
    if (linkRefused(systemErrorCode(error))) return false
    throw error
  }
}

async function tryLink(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path)
    return true
  } catch (error) {
    if (linkRefused(systemErrorCode(error))) return false
    throw error
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

const nameTaken = (path: string): NodeJS.ErrnoException =>
  Object.assign(new Error(`EEXIST: file already exists, ${path}`), { code: 'EEXIST' })
