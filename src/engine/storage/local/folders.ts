import { chmodSync, existsSync, mkdirSync, statSync } from 'node:fs'
import { rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { HoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import type { FileRef, StorageProperties } from '../storage.ts'
import { modeRefused, syncFolderSync, tolerate } from './durable-file.ts'
import { folderOf, folders, packFolders } from './layout.ts'

type Directory = NonNullable<StorageProperties['directory']>

/**
 * Makes the folders of an empty repository, the root and missing folders above it included; what exists stays as it is.
 * Throws the system's errors. Blocks: it runs once in the life of a repository and is a matter of milliseconds.
 */
export function makeRepositoryFolders({ path, directoryMode }: Directory): void {
  makePath(path, directoryMode)
  for (const folder of Object.values(folders)) makeFolder(join(path, folder), directoryMode)
  for (const folder of packFolders) makeFolder(join(path, folders.data, folder), directoryMode)
  syncFolderSync(join(path, folders.data))
  syncFolderSync(path)
}

/** Removes the folders that `makeRepositoryFolders` made, which must be empty; what is missing is passed over. */
export async function removeRepositoryFolders(path: string): Promise<void> {
  for (const folder of packFolders) await removeFolder(join(path, folders.data, folder))
  for (const folder of Object.values(folders)) await removeFolder(join(path, folder))
  await removeFolder(path)
}

async function removeFolder(path: string): Promise<void> {
  try {
    await rmdir(path)
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
}

/**
 * Makes the missing folder of a file that is to be written, durably. Only inside something that is a repository already: an empty place, such
 * as the bare mount point of a disk that is not mounted, is refused with HF_REPO_NOT_FOUND instead of being filled (S4-10).
 */
export function makeFolderOf(file: FileRef, { path, directoryMode }: Directory): void {
  if (!['config', ...Object.values(folders)].some((name) => existsSync(join(path, name)))) {
    throw new HoldfastError('HF_REPO_NOT_FOUND', `there is no repository at ${path}`, {
      hint: 'Is the disk or share mounted? A new repository is made with init.',
    })
  }
  if (file.kind === 'config') return
  const missing = [join(path, folders[file.kind]), folderOf(path, file)].filter((folder) => !existsSync(folder))
  for (const folder of new Set(missing)) {
    makeFolder(folder, directoryMode)
    syncFolderSync(dirname(folder))
  }
}

/** Makes a folder with those missing above it, one by one, so that each can be used whatever the umask. */
function makePath(path: string, mode: number): void {
  if (existsSync(path)) return
  const parent = dirname(path)
  makePath(parent, mode)
  makeFolder(path, mode)
  syncFolderSync(parent)
}

function makeFolder(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode })
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error
    return
  }
  setMode(path, mode)
}

/** A umask may have taken bits away, among them those a group needs; the bit that hands the group down to new files stays. */
function setMode(path: string, mode: number): void {
  const found = statSync(path).mode
  if ((found & 0o777) === mode) return
  tolerate(modeRefused, () => chmodSync(path, (found & 0o2000) | mode))
}
