import { permissionBits } from '../../engine/repository/tree/mode.ts'
import { type ByteString, byteStringToText, type Node, textToByteString } from '../../engine/repository/tree/node.ts'
import { formatTime } from '../../lib/go-time.ts'
import { formatPermissions } from './permissions.ts'

const times = ({ mtime, atime, ctime }: Node) => ({
  mtime: formatTime(mtime),
  atime: formatTime(atime),
  ctime: formatTime(ctime),
})

/** An entry as `ls --json` prints it; fields as restic's, zeros left out where it does. */
export const listedNodeJson = (path: ByteString, node: Node): object => ({
  name: byteStringToText(node.name),
  type: node.type,
  path: byteStringToText(path),
  uid: node.uid,
  gid: node.gid,
  size: node.type === 'file' ? node.size : undefined,
  mode: node.mode || undefined,
  permissions: formatPermissions(node.mode),
  ...times(node),
  inode: node.inode || undefined,
  message_type: 'node',
  struct_type: 'node',
})

/** An entry as `find --json` prints it. */
export const foundNodeJson = (path: ByteString, node: Node): object => ({
  path: byteStringToText(path),
  permissions: formatPermissions(node.mode),
  type: node.type,
  mode: node.mode || undefined,
  ...times(node),
  uid: node.uid,
  gid: node.gid,
  user: node.user || undefined,
  group: node.group || undefined,
  inode: node.inode || undefined,
  device_id: node.deviceId || undefined,
  size: node.size || undefined,
  links: node.links || undefined,
  linktarget: byteStringToText(node.linkTarget) || undefined,
  linktarget_raw: rawLinkTarget(node.linkTarget),
  error: node.error || undefined,
})

/** The bytes of a target that is no text. */
function rawLinkTarget(target: ByteString): string | undefined {
  return textToByteString(byteStringToText(target)) === target
    ? undefined
    : Buffer.from(target, 'latin1').toString('base64')
}

const BLOCK_BYTES = 512n

/** An entry as ncdu reads it (https://dev.yorhel.nl/ncdu/jsonfmt). */
export function ncduNodeJson(node: Node): object {
  const size = node.type === 'file' ? BigInt(node.size) : 0n
  return {
    name: byteStringToText(node.name),
    asize: size,
    dsize: ((size + BLOCK_BYTES - 1n) / BLOCK_BYTES) * BLOCK_BYTES,
    dev: node.deviceId,
    ino: node.inode,
    nlink: node.links,
    notreg: node.type !== 'dir' && node.type !== 'file',
    uid: node.uid,
    gid: node.gid,
    mode: permissionBits(node.mode),
    // ncdu takes no negative times.
    mtime: Math.max(0, node.mtime.seconds),
  }
}
