import { ownSystemError } from './system-error.ts'

const SLASH = 0x2f
const DOT = 0x2e

/** `folder/name`. */
export function joinPath(folder: Uint8Array, name: Uint8Array): Uint8Array {
  const separator = folder.length === 0 || folder[folder.length - 1] === SLASH ? 0 : 1
  const path = new Uint8Array(folder.length + separator + name.length)
  path.set(folder)
  if (separator === 1) path[folder.length] = SLASH
  path.set(name, folder.length + separator)
  return path
}

/** Throws `EINVAL` unless `name` is one component of a path and nothing else, so that it cannot lead out of `folder`. */
export function checkPlainName(name: Uint8Array, syscall: string, folder: Uint8Array): void {
  const { length } = name
  const dots = (length === 1 && name[0] === DOT) || (length === 2 && name[0] === DOT && name[1] === DOT)
  if (length === 0 || dots || name.includes(SLASH) || name.includes(0))
    throw ownSystemError('EINVAL', syscall, joinPath(folder, name))
}
