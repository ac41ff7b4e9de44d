import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { localTimestamp } from '../../lib/go-time.ts'
import type { Id } from '../../lib/id.ts'
import { readAttributes } from '../posix/extended-attributes.ts'
import type { Repository } from '../repository/repository.ts'
import { encodeTree, sortNodes } from '../repository/tree/encode-tree.ts'
import { goMode } from '../repository/tree/mode.ts'
import { createNode, type Node, type NodeFields, textToByteString } from '../repository/tree/node.ts'
import { BlobWriter } from '../repository/write/blob-writer.ts'
import { type ExecuteOptions, executeRestore, type RestoreOutcome } from './execute.ts'
import { planRestore } from './plan.ts'
import type { RestoreObserver } from './restore-observer.ts'
import type { RestoredItem, RestorePlan, RestorePlanOptions } from './restore-plan.ts'
import { RestoreThreads } from './restore-threads.ts'

const time = localTimestamp(1_700_000_000_123_456_789n)

/** For tests: makes trees of a repository node by node, also such as no backup would make. */
export class TreeMaker {
  readonly repository: Repository
  readonly writer: BlobWriter

  constructor(repository: Repository) {
    this.repository = repository
    this.writer = new BlobWriter(repository)
  }

  /** A file of these blobs; strings are text. */
  async file(name: string, content: readonly (string | Uint8Array)[], fields: Partial<NodeFields> = {}): Promise<Node> {
    const ids: Id[] = []
    let size = 0
    for (const part of content) {
      const bytes = Buffer.from(part as Uint8Array)
      ids.push((await this.writer.save('data', bytes)).id)
      size += bytes.length
    }
    return this.node(name, 'file', { mode: 0o644, links: 1, size, content: ids, ...fields })
  }

  async directory(name: string, nodes: readonly Node[], fields: Partial<NodeFields> = {}): Promise<Node> {
    return this.node(name, 'dir', { mode: goMode.directory + 0o755, subtree: await this.tree(nodes), ...fields })
  }

  symlink(name: string, target: string, fields: Partial<NodeFields> = {}): Node {
    return this.node(name, 'symlink', {
      mode: goMode.symlink + 0o777,
      linkTarget: textToByteString(target),
      links: 1,
      ...fields,
    })
  }

  node(name: string, type: Node['type'], fields: Partial<NodeFields> = {}): Node {
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
    return createNode({
      name: textToByteString(name),
      type,
      mtime: time,
      atime: time,
      ctime: time,
      ...owner,
      ...fields,
    })
  }

  async tree(nodes: readonly Node[]): Promise<Id> {
    return (await this.writer.save('tree', encodeTree(sortNodes(nodes)))).id
  }

  /** A tree blob of these very bytes. */
  async rawTree(json: string): Promise<Id> {
    return (await this.writer.save('tree', Buffer.from(json))).id
  }

  /** Stores all and returns the id of a tree of these nodes. */
  async finish(nodes: readonly Node[]): Promise<Id> {
    const id = await this.tree(nodes)
    await this.writer.flush()
    return id
  }
}

/** For tests: an observer that keeps all it is told. */
export function recordingObserver(): RestoreObserver & {
  readonly errors: { readonly item: string; readonly message: string; readonly error: Error }[]
  readonly items: RestoredItem[]
} {
  const errors: { item: string; message: string; error: Error }[] = []
  const items: RestoredItem[] = []
  return {
    errors,
    items,
    onError: (item, error) => errors.push({ item, message: error.message, error }),
    onItem: (item) => items.push(item),
  }
}

/** For tests: plans and executes with two threads; returns all there is to know. */
export async function restoreForTest(
  repository: Repository,
  tree: Id,
  target: string,
  { durable, ...options }: Partial<RestorePlanOptions> & Pick<ExecuteOptions, 'durable'> = {},
): Promise<RestoreOutcome & ReturnType<typeof recordingObserver> & { readonly plan: RestorePlan }> {
  await using threads = new RestoreThreads(2)
  const plan = await planRestore(repository, tree, { target, ...options }, threads)
  const observer = recordingObserver()
  const outcome = await executeRestore(repository, plan, { observer, durable, signal: options.signal }, threads)
  return { plan, ...observer, ...outcome }
}

/** For tests: everything about what is in a folder that a restore has to bring back, by path. */
export function describeFolder(folder: string): Record<string, Record<string, unknown>> {
  const facts: Record<string, Record<string, unknown>> = {}
  const inodes = new Map<bigint, string>()
  const walk = (path: Buffer, shown: string): void => {
    for (const name of (readdirSync(path, { encoding: 'buffer' }) as Buffer[]).sort(Buffer.compare)) {
      const below = Buffer.concat([path, Buffer.from('/'), name])
      const key = `${shown}/${name.toString('latin1')}`
      const stats = lstatSync(below, { bigint: true })
      const first = inodes.get(stats.ino)
      if (first === undefined && !stats.isDirectory()) inodes.set(stats.ino, key)
      facts[key] = {
        mode: stats.mode.toString(8),
        uid: Number(stats.uid),
        gid: Number(stats.gid),
        mtime: stats.mtimeNs,
        device: stats.rdev,
        xattrs: readAttributes(below)
          .map((attribute) => `${attribute.name}=${Buffer.from(attribute.value).toString('hex')}`)
          .sort(),
        ...(first === undefined ? {} : { sameAs: first }),
        ...(stats.isSymbolicLink() ? { target: readlinkSync(below, { encoding: 'latin1' }) } : {}),
        ...(stats.isFile() ? { content: readFileSync(below).toString('latin1') } : {}),
      }
      if (stats.isDirectory()) walk(below, key)
    }
  }
  walk(Buffer.from(folder), '')
  return facts
}
