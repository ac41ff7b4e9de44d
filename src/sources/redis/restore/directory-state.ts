import { readdirSync, statfsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { HoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { SourceProblem } from '../../source.ts'
import { appendOnlyName, type ServerFiles } from './server-files.ts'
import { serversInFolder } from './servers-in-folder.ts'

/** Where everything is prepared before it takes its place; what a restore that was killed leaves behind. */
export const STAGING = '.holdfast-restore'

/** A target folder as it is now. */
export interface DirectoryState {
  readonly overwrites: readonly string[]
  readonly problems: readonly SourceProblem[]
  /** Whom the folder belongs to, when it is there. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined
}

/** @throws HoldfastError HF_TARGET_INVALID when it cannot be looked at */
export function inspectDirectory(
  path: string,
  files: ServerFiles,
  neededBytes: number,
  overwrite: boolean,
): DirectoryState {
  const problems: SourceProblem[] = []
  const refuse = (what: string, remedy: string): number => problems.push({ severity: 'error', what, remedy })
  const found = look(path)
  if (found === 'no directory') {
    refuse(`${path} is no directory`, 'name a folder, or what does not exist yet')
    return { overwrites: [], problems, owner: undefined }
  }
  const { entries, owner } = found
  const ours = [files.dump, appendOnlyName(files.appendOnly)]
  const overwrites = entries.filter((name) => ours.includes(name)).map((name) => join(path, name))
  if (entries.length > 0 && !overwrite)
    refuse(
      `${path} is not empty: it has ${entries.slice(0, 3).join(', ')}${entries.length > 3 ? ' and more' : ''}`,
      'restore into a new folder, or allow it with --overwrite',
    )
  const servers = serversInFolder(path)
  for (const pid of servers.certain)
    refuse(`a server works in ${path}: process ${pid}`, 'stop it first, or restore into it by its URL')
  if (servers.unknown.length > 0)
    problems.push({
      severity: 'warning',
      what: `whether one of the processes ${servers.unknown.join(', ')} works in ${path} cannot be seen: they belong to another user`,
      remedy: 'make sure that no server runs in that folder',
    })
  const free = freeBytes(path)
  if (free < neededBytes)
    refuse(
      `${path} has ${formatSize(free)} left, and ${formatSize(neededBytes)} are needed`,
      'make room, or name another folder',
    )
  return { overwrites, problems, owner }
}

function look(
  path: string,
): { readonly entries: readonly string[]; readonly owner: DirectoryState['owner'] } | 'no directory' {
  try {
    const { uid, gid } = statSync(path)
    return { entries: readdirSync(path).filter((name) => name !== STAGING), owner: { uid, gid } }
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'ENOENT') return { entries: [], owner: undefined }
    if (code === 'ENOTDIR') return 'no directory'
    throw new HoldfastError('HF_TARGET_INVALID', `${path} cannot be looked at: ${(error as Error).message}`, {
      cause: error,
      hint: 'name a folder that you may read and write',
    })
  }
}

/** Of the file system that a path is or will be on. */
function freeBytes(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' && dirname(path) !== path) return freeBytes(dirname(path))
    // Some file systems do not tell; writing will.
    return Number.POSITIVE_INFINITY
  }
}
