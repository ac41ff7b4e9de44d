import { posix } from 'node:path'
import { HoldfastError } from '../../../lib/errors.ts'
import { throwIfInterrupted } from '../interruption.ts'
import { temporaryPathFor } from '../local/layout.ts'
import type { Handle, SftpClient } from './sftp-client.ts'
import { isMissing } from './sftp-error.ts'
import { syncFolder } from './sftp-folders.ts'
import { writeAll } from './transfer.ts'

export interface PutFile {
  readonly path: string
  readonly content: Uint8Array
  readonly replace: boolean
  readonly signal: AbortSignal | undefined
  /** For messages: "cannot write config in sftp:host:/srv". */
  readonly sentence: string
  /** Whether group members may use the file; asked while other answers are awaited. */
  readonly isForGroup: () => Promise<boolean>
  readonly makeFolder: () => Promise<void>
}

const FILE_MODE = 0o600
const FINISHED_MODE = 0o400
const FINISHED_MODE_FOR_GROUP = 0o440

/**
 * Writes a file under a temporary name, syncs it, and gives it its name: whole or not at all. Takes five round trips, as what can be asked at the
 * same time is.
 * @throws HoldfastError HF_STORAGE_EXISTS; SftpStatusError; what `makeFolder` throws
 */
export async function putFile(client: SftpClient, file: PutFile): Promise<void> {
  const { path, replace, sentence } = file
  const temporary = temporaryPathFor(path)
  const opening = openTemporary(client, temporary, file)
  opening.catch(() => undefined)
  const [isThere, isForGroup] = await Promise.all([replace ? false : exists(client, path), file.isForGroup()]).catch(
    async (error: unknown) => {
      await abandon(client, temporary, await opening.catch(() => undefined))
      throw error
    },
  )
  const handle = await opening
  let isOpen = true
  try {
    if (isThere) throw alreadyThere(sentence)
    await writeAll(client, handle, file.content, file.signal)
    const mode = isForGroup ? FINISHED_MODE_FOR_GROUP : FINISHED_MODE
    isOpen = false
    await finish(client, handle, mode)
    throwIfInterrupted(file.signal)
    await publish(client, temporary, path, file)
  } catch (error) {
    await abandon(client, temporary, isOpen ? handle : undefined)
    throw error
  }
  await syncFolder(client, posix.dirname(path))
}

async function openTemporary(client: SftpClient, temporary: string, { makeFolder }: PutFile): Promise<Handle> {
  try {
    return await client.openNew(temporary, FILE_MODE)
  } catch (error) {
    if (!isMissing(error)) throw error
    await makeFolder()
    return await client.openNew(temporary, FILE_MODE)
  }
}

/** All three are sent at once: a server carries out what concerns one file in order. */
async function finish(client: SftpClient, handle: Handle, mode: number): Promise<void> {
  const [synced, , closed] = await Promise.allSettled([
    client.has('fsync@openssh.com') ? client.sync(handle) : undefined,
    // Where a server does not let us, it decides itself who may read.
    client.setMode(handle, mode),
    client.close(handle),
  ])
  for (const result of [synced, closed]) if (result.status === 'rejected') throw result.reason
}

async function publish(client: SftpClient, temporary: string, path: string, file: PutFile): Promise<void> {
  if (!file.replace) {
    try {
      return await client.rename(temporary, path)
    } catch (error) {
      if (await exists(client, path)) throw alreadyThere(file.sentence)
      throw error
    }
  }
  if (client.has('posix-rename@openssh.com')) return await client.replace(temporary, path)
  await client.remove(path).catch((error: unknown) => {
    if (!isMissing(error)) throw error
  })
  await client.rename(temporary, path)
}

async function abandon(client: SftpClient, temporary: string, handle: Handle | undefined): Promise<void> {
  await Promise.allSettled([handle && client.close(handle), client.remove(temporary)])
}

async function exists(client: SftpClient, path: string): Promise<boolean> {
  try {
    await client.stat(path)
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

const alreadyThere = (sentence: string): HoldfastError =>
  new HoldfastError('HF_STORAGE_EXISTS', `${sentence}: it exists already`)
