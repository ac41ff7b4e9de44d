import type { RedisClient } from '../client.ts'
import { parseHeader, RDB_HEADER_BYTES } from '../rdb/reader.ts'
import { readFacts } from '../server.ts'
import { type RdbTransfer, startTransfer } from '../transfer.ts'
import { mergeRdb, type Part } from './merge.ts'
import { readShards, requireSameShards, type Shard } from './topology.ts'

/** What a manifest says of a shard. */
export interface ShardRecord extends Pick<Shard, 'node' | 'slots'> {
  /** `127.0.0.1:7000`. */
  readonly address: string
  readonly version: string
  /** Where in the history of this shard its data is from. */
  readonly point?: { readonly replicationId: string; readonly offset: string } | undefined
}

export interface ClusterTransfer extends RdbTransfer {
  readonly shards: readonly ShardRecord[]
}

/** Connects to a node of the cluster as to the one that is configured. */
export type NodeOpener = (address: { readonly host: string; readonly port: number }) => Promise<RedisClient>

/**
 * The data of all shards of a cluster as one RDB file. Every master is asked at about the same time; a cluster has no common instant.
 * @throws HoldfastError as `startTransfer`, `readShards`, `mergeRdb`
 */
export async function startClusterTransfer(client: RedisClient, openNode: NodeOpener): Promise<ClusterTransfer> {
  const shards = await readShards(client)
  const clients: RedisClient[] = []
  const close = (): void => {
    for (const each of clients) each.close()
  }
  try {
    const started = await allOrFirstError(
      shards.map(async (shard) => {
        const node = await openNode(shard)
        clients.push(node)
        const facts = await readFacts(node)
        const transfer = await startTransfer(node, facts.kind === 'valkey' ? facts.version : undefined)
        return {
          record: recordOf(shard, facts.version, transfer),
          transfer,
          part: await partOf(node.server, transfer.bytes),
        }
      }),
    )
    return {
      replicationId: undefined,
      offset: undefined,
      isDiskless: started.every(({ transfer }) => transfer.isDiskless),
      shards: started.map(({ record }) => record),
      bytes: whole(
        started.map(({ part }) => part),
        close,
        () => requireSameShards(client, shards),
      ),
    }
  } catch (error) {
    close()
    throw error
  }
}

/** Waits for all, so that none goes on unseen. */
export async function allOrFirstError<T>(promises: readonly Promise<T>[]): Promise<readonly T[]> {
  const settled = await Promise.allSettled(promises)
  const failed = settled.find((result) => result.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  return settled.map((result) => (result as PromiseFulfilledResult<T>).value)
}

/** The data of a cluster as one RDB file, by connections of its own. @throws HoldfastError as `startClusterTransfer` */
export async function* clusterContent(
  open: () => Promise<RedisClient>,
  openNode: NodeOpener,
): AsyncGenerator<Uint8Array> {
  using client = await open()
  const { bytes } = await startClusterTransfer(client, openNode)
  yield* bytes
}

const recordOf = (
  { node, slots, host, port }: Shard,
  version: string,
  { replicationId, offset }: RdbTransfer,
): ShardRecord => ({
  node,
  slots,
  address: `${host}:${port}`,
  version,
  ...(replicationId === undefined ? {} : { point: { replicationId, offset: String(offset) } }),
})

/** A file with what its first bytes say of it. */
async function partOf(name: string, bytes: AsyncIterable<Uint8Array>): Promise<Part> {
  const input = bytes[Symbol.asyncIterator]()
  let first: Buffer = Buffer.alloc(0)
  while (first.length < RDB_HEADER_BYTES) {
    const { value, done } = await input.next()
    if (done === true) break
    first = Buffer.concat([first, value])
  }
  const rest = async function* (): AsyncGenerator<Uint8Array> {
    yield first
    for (let next = await input.next(); next.done !== true; next = await input.next()) yield next.value
  }
  return { name, format: parseHeader(first.subarray(0, RDB_HEADER_BYTES)), bytes: rest() }
}

async function* whole(
  parts: readonly Part[],
  close: () => void,
  check: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* mergeRdb(parts)
    await check()
  } finally {
    close()
  }
}
