import { posix } from 'node:path'
import { HoldfastError } from '../../../lib/errors.ts'
import { folders, packFolders } from '../local/layout.ts'
import type { FileRef } from '../storage.ts'
import { isFolder } from './protocol.ts'
import type { Handle, SftpClient } from './sftp-client.ts'
import { isMissing } from './sftp-error.ts'

const FOLDER_MODE = 0o700
const FOLDER_MODE_FOR_GROUP = 0o770

/** Whether group members may use the repository: those may, when they can read its `config`. */
export async function isForGroup(client: SftpClient, root: string): Promise<boolean> {
  const attributes = await client.stat(posix.join(root, 'config')).catch(() => undefined)
  return ((attributes?.mode ?? 0) & 0o040) !== 0
}

/** Makes the folders of an empty repository, the root and missing folders above it included; what exists stays as it is. */
export async function makeRepositoryFolders(client: SftpClient, root: string): Promise<void> {
  await makePath(client, root)
  const mode = (await isForGroup(client, root)) ? FOLDER_MODE_FOR_GROUP : FOLDER_MODE
  await Promise.all(Object.values(folders).map((folder) => makeFolder(client, posix.join(root, folder), mode)))
  const data = posix.join(root, folders.data)
  await Promise.all(packFolders.map((folder) => makeFolder(client, posix.join(data, folder), mode)))
  await Promise.all([syncFolder(client, data), syncFolder(client, root)])
}

/** Removes the folders that `makeRepositoryFolders` made, which must be empty; what is missing is passed over. */
export async function removeRepositoryFolders(client: SftpClient, root: string): Promise<void> {
  await Promise.all(packFolders.map((folder) => removeFolder(client, posix.join(root, folders.data, folder))))
  await Promise.all(Object.values(folders).map((folder) => removeFolder(client, posix.join(root, folder))))
  await removeFolder(client, root)
}

async function removeFolder(client: SftpClient, path: string): Promise<void> {
  try {
    await client.removeFolder(path)
  } catch (error) {
    if (!isMissing(error)) throw error
  }
}

/**
 * Makes the missing folder of a file that is to be written. Only inside something that is a repository already: an empty place, such as the bare
 * mount point of a disk that is not mounted, is refused with HF_REPO_NOT_FOUND instead of being filled.
 */
export async function makeFolderOf(client: SftpClient, root: string, file: FileRef, shown: string): Promise<void> {
  const names = ['config', ...Object.values(folders)]
  const found = await Promise.all(names.map((name) => exists(client, posix.join(root, name))))
  if (!found.includes(true))
    throw new HoldfastError('HF_REPO_NOT_FOUND', `there is no repository at ${shown}`, {
      hint: 'Is the disk of the server mounted? A new repository is made with init.',
    })
  if (file.kind === 'config') return
  const mode = (await isForGroup(client, root)) ? FOLDER_MODE_FOR_GROUP : FOLDER_MODE
  const folder = posix.join(root, folders[file.kind])
  await makeFolder(client, folder, mode)
  if (file.kind === 'data') await makeFolder(client, posix.join(folder, file.name.slice(0, 2)), mode)
  await Promise.all([syncFolder(client, root), syncFolder(client, folder)])
}

/**
 * Makes the names in a folder durable. The protocol has no way for that; OpenSSH opens folders like files and syncs them. Where a server does not, it is
 * up to its file system.
 */
export async function syncFolder(client: SftpClient, folder: string): Promise<void> {
  if (!client.has('fsync@openssh.com')) return
  let handle: Handle
  try {
    handle = await client.openForReading(folder)
  } catch {
    return
  }
  await Promise.allSettled([client.sync(handle), client.close(handle)])
}

async function makePath(client: SftpClient, path: string): Promise<void> {
  if (await exists(client, path)) return
  const parent = posix.dirname(path)
  if (parent !== path) await makePath(client, parent)
  await makeFolder(client, path, FOLDER_MODE)
  await syncFolder(client, parent)
}

/** The server says only that it failed when there is one already. */
async function makeFolder(client: SftpClient, path: string, mode: number): Promise<void> {
  try {
    await client.makeFolder(path, mode)
  } catch (error) {
    const found = await client.stat(path).catch(() => undefined)
    if (found === undefined || !isFolder(found)) throw error
  }
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
