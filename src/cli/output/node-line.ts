import { goMode } from '../../engine/repository/tree/mode.ts'
import type { ByteString, Node, NodeType } from '../../engine/repository/tree/node.ts'
import { formatSize } from '../../lib/sizes.ts'
import { formatLocalTime } from './local-time.ts'
import { formatPermissions } from './permissions.ts'

export interface NodeLineOptions {
  readonly long: boolean
  readonly humanReadable: boolean
}

/** Modes of old snapshots may lack the bits of the type. */
const typeBits: Partial<Record<NodeType, number>> = {
  dir: goMode.directory,
  symlink: goMode.symlink,
  dev: goMode.device,
  chardev: goMode.device | goMode.characterDevice,
  fifo: goMode.fifo,
  socket: goMode.socket,
}

/** What stands before the path of an entry, and the path, for `ls` and `find`: mode, owner, size and time in the long form. */
export function nodeLine(
  path: ByteString,
  node: Node,
  { long, humanReadable }: NodeLineOptions,
): { readonly before: string; readonly name: ByteString } {
  if (!long) return { before: '', name: path }
  const bytes = node.type === 'file' ? node.size : 0
  const size = humanReadable ? formatSize(bytes) : String(bytes).padStart(6)
  const owner = `${String(node.uid).padStart(5)} ${String(node.gid).padStart(5)}`
  const mode = formatPermissions(node.mode | (typeBits[node.type] ?? 0))
  return {
    before: `${mode} ${owner} ${size} ${formatLocalTime(node.mtime)} `,
    name: node.type === 'symlink' ? `${path} -> ${node.linkTarget}` : path,
  }
}
