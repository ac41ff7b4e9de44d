import { realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

const OWNER_SEARCH = 0o100
const GROUP_SEARCH = 0o010
const OTHER_SEARCH = 0o001

/**
 * The outermost folder on the way to `path`, or itself, that a user may not go through, by its mode.
 * @throws the system's error when there is no such path
 */
export function barrierTo(
  path: string,
  { uid, gid }: { readonly uid: number; readonly gid: number },
): string | undefined {
  const folders: string[] = []
  for (let folder = realpathSync(path); ; folder = dirname(folder)) {
    folders.unshift(folder)
    if (dirname(folder) === folder) break
  }
  return folders.find((folder) => {
    const { mode, uid: owner, gid: group } = statSync(folder)
    const bit = owner === uid ? OWNER_SEARCH : group === gid ? GROUP_SEARCH : OTHER_SEARCH
    return (mode & bit) === 0
  })
}
