import { HoldfastError } from '../../../lib/errors.ts'
import type { NodeType } from './node.ts'

const PERMISSIONS = 0o777

/** Bits of Go's file mode above the permissions. All values are unsigned: bit 31 is in use. */
export const goMode = {
  directory: 0x8000_0000,
  symlink: 0x800_0000,
  device: 0x400_0000,
  fifo: 0x200_0000,
  socket: 0x100_0000,
  setuid: 0x80_0000,
  setgid: 0x40_0000,
  characterDevice: 0x20_0000,
  sticky: 0x10_0000,
  irregular: 0x8_0000,
} as const

const S_IFMT = 0o170000
const S_ISUID = 0o4000
const S_ISGID = 0o2000
const S_ISVTX = 0o1000

const kinds: readonly { readonly format: number; readonly bits: number; readonly type: NodeType }[] = [
  { format: 0o100000, bits: 0, type: 'file' },
  { format: 0o040000, bits: goMode.directory, type: 'dir' },
  { format: 0o120000, bits: goMode.symlink, type: 'symlink' },
  { format: 0o060000, bits: goMode.device, type: 'dev' },
  { format: 0o020000, bits: goMode.device + goMode.characterDevice, type: 'chardev' },
  { format: 0o010000, bits: goMode.fifo, type: 'fifo' },
  { format: 0o140000, bits: goMode.socket, type: 'socket' },
]

const bitsByFormat = new Map(kinds.map(({ format, bits }) => [format, bits]))
const typeByFormat = new Map(kinds.map(({ format, type }) => [format, type]))
const formatByType = new Map(kinds.map(({ format, type }) => [type, format]))

/** st_mode of lstat to the mode a node holds. A format no Unix we know uses counts as irregular. */
export function toGoMode(stMode: number): number {
  const bits = bitsByFormat.get(stMode & S_IFMT) ?? goMode.irregular
  return (
    bits +
    ((stMode & S_ISUID) !== 0 ? goMode.setuid : 0) +
    ((stMode & S_ISGID) !== 0 ? goMode.setgid : 0) +
    ((stMode & S_ISVTX) !== 0 ? goMode.sticky : 0) +
    (stMode & PERMISSIONS)
  )
}

/** Type of a node by the st_mode of lstat. */
export const nodeTypeOf = (stMode: number): NodeType => typeByFormat.get(stMode & S_IFMT) ?? 'irregular'

/** The permission bits of chmod(2), 0 to 0o7777, of a node's mode. */
export function permissionBits(mode: number): number {
  return (
    (mode & PERMISSIONS) |
    ((mode & goMode.setuid) !== 0 ? S_ISUID : 0) |
    ((mode & goMode.setgid) !== 0 ? S_ISGID : 0) |
    ((mode & goMode.sticky) !== 0 ? S_ISVTX : 0)
  )
}

/** st_mode of a node: format and permission bits, as mknod(2) and tar take them. Fails for types that have none. */
export function toStMode(type: NodeType, mode: number): number {
  const format = formatByType.get(type)
  if (format === undefined)
    throw new HoldfastError('HF_TREE_INVALID', `a node of type ${type} has no Unix file mode`, { context: { type } })
  return format | permissionBits(mode)
}
