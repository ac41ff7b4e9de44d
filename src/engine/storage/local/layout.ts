import { join } from 'node:path'
import { toHex } from '../../../lib/bytes.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { isId } from '../../../lib/id.ts'
import { randomBytes } from '../../../lib/random.ts'
import type { FileRef, NamedFileKind } from '../storage.ts'

/** Folders of a repository below its root. Packs lie one level deeper, in `data/<first two digits of the name>`. */
export const folders: Readonly<Record<NamedFileKind, string>> = {
  data: 'data',
  index: 'index',
  key: 'keys',
  lock: 'locks',
  snapshot: 'snapshots',
}

/** Names of the 256 folders of packs: `00` to `ff`. */
export const packFolders: readonly string[] = Array.from({ length: 256 }, (_, number) =>
  number.toString(16).padStart(2, '0'),
)

/** Folder in which a file lies. Throws HF_INTERNAL for a name that is no id, so that nothing leaves the repository. */
export function folderOf(root: string, file: FileRef): string {
  if (file.kind === 'config') return root
  if (!isId(file.name)) throw new HoldfastError('HF_INTERNAL', `${JSON.stringify(file.name)} is not the name of a file`)
  const folder = join(root, folders[file.kind])
  return file.kind === 'data' ? join(folder, file.name.slice(0, 2)) : folder
}

export const pathOf = (root: string, file: FileRef): string =>
  join(folderOf(root, file), file.kind === 'config' ? 'config' : file.name)

/** A new name beside the final one for a file that is being written, as restic forms them; every lister ignores such names. */
export const temporaryPathFor = (path: string): string => `${path}-tmp-${toHex(randomBytes(8))}`

const temporaryName = /^[0-9a-f]{64}-tmp-[0-9a-z]+$/

/** Whether a name is that of a file being written, by us or by restic, or left behind by a writer that died. */
export const isTemporaryName = (name: string): boolean => temporaryName.test(name)
