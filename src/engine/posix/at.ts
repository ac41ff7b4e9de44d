import { nativeDirectoryAt } from './at-native.ts'
import { portableDirectoryAt } from './at-portable.ts'
import type { DirectoryAt, DirectoryAtOpener } from './directory-at.ts'
import { libc } from './libc.ts'

let opener: DirectoryAtOpener | undefined

/** Opens the directory at `path`, the top of a tree that is to be written. Links in this path are the caller's own and are followed. */
export function openDirectoryAt(path: Uint8Array): DirectoryAt {
  if (!opener) {
    const library = libc()
    opener = library ? nativeDirectoryAt(library) : portableDirectoryAt()
  }
  return opener(path)
}
