import type { DirectoryAt } from '../posix/directory-at.ts'

/**
 * Paths of everything that goes when `name` is removed from `parent`: what is in it before itself. Links are not followed.
 *
 * @param path of `name`, as text; the results begin with it
 */
export function listDeletion(parent: DirectoryAt, name: Uint8Array, isDirectory: boolean, path: string): string[] {
  const paths: string[] = []
  if (isDirectory) listBelow(parent, name, path, paths)
  paths.push(path)
  return paths
}

function listBelow(parent: DirectoryAt, name: Uint8Array, path: string, paths: string[]): void {
  using directory = parent.openDirectory(name)
  for (const entry of directory.entries()) {
    const below = `${path}/${Buffer.from(entry.name).toString('utf8')}`
    if (entry.attributes?.type === 'dir') listBelow(directory, entry.name, below, paths)
    paths.push(below)
  }
}
