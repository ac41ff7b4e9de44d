import { readlinkSync } from 'node:fs'
import { systemErrorCode } from '../../lib/errors.ts'
import { localTime } from '../../lib/go-time.ts'
import type { FileAttributes } from '../posix/attributes.ts'
import { readAttributes } from '../posix/extended-attributes.ts'
import { groupName, userName } from '../posix/owner-names.ts'
import { toGoMode } from '../repository/tree/mode.ts'
import {
  type ByteString,
  createNode,
  type ExtendedAttribute,
  type Node,
  type NodeFields,
} from '../repository/tree/node.ts'

export interface NodeReaderOptions {
  /** Otherwise the time of access is stored as that of modification, so that reading a file does not make a new tree. */
  readonly withAccessTime: boolean
  /** Something about `path` could not be read. */
  readonly onProblem: (path: ByteString, error: unknown) => void
}

const noAttributes: readonly ExtendedAttribute[] = []

/** The bytes of a path, for system calls. */
export const pathBytes = (path: ByteString): Uint8Array => Buffer.from(path, 'latin1')

/** Makes nodes of file attributes: adds names of owners, link targets and extended attributes. */
export class NodeReader {
  readonly #options: NodeReaderOptions

  constructor(options: NodeReaderOptions) {
    this.#options = options
  }

  /** Whether the names of the owners are still those the node has. */
  hasOwners(node: Node): boolean {
    return userName(node.uid) === node.user && groupName(node.gid) === node.group
  }

  /**
   * The node of `path` without content and subtree. Undefined when it vanished; with parts left out (and reported, unless `quiet`) when
   * they could not be read.
   */
  read(
    name: ByteString,
    path: ByteString,
    attributes: FileAttributes,
    { quiet = false }: { readonly quiet?: boolean } = {},
  ): Node | undefined {
    const mtime = localTime(attributes.mtime.seconds, attributes.mtime.nanoseconds)
    const { type } = attributes
    const isDevice = type === 'dev' || type === 'chardev'
    const fields: { -readonly [K in keyof NodeFields]: NodeFields[K] } = {
      name,
      type,
      mode: toGoMode(attributes.mode),
      mtime,
      atime: this.#options.withAccessTime ? localTime(attributes.atime.seconds, attributes.atime.nanoseconds) : mtime,
      ctime: localTime(attributes.ctime.seconds, attributes.ctime.nanoseconds),
      uid: attributes.uid,
      gid: attributes.gid,
      user: userName(attributes.uid),
      group: groupName(attributes.gid),
      inode: attributes.inode,
      deviceId: attributes.device,
      size: type === 'file' ? attributes.size : 0,
      links: type === 'file' || type === 'symlink' || isDevice ? attributes.links : 0,
      device: isDevice ? attributes.rdev : 0,
      extendedAttributes: noAttributes,
    }
    const bytes = pathBytes(path)
    try {
      if (type === 'symlink')
        fields.linkTarget = readlinkSync(Buffer.from(bytes), { encoding: 'buffer' }).toString('latin1')
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return undefined
      if (!quiet) this.#options.onProblem(path, error)
    }
    try {
      const found = readAttributes(bytes)
      if (found.length > 0) fields.extendedAttributes = found
    } catch (error) {
      if (!quiet && systemErrorCode(error) !== 'ENOENT') this.#options.onProblem(path, error)
    }
    return createNode(fields as NodeFields)
  }
}
