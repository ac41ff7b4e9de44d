import { HoldfastError } from '../../../lib/errors.ts'
import type { RedisClient } from '../client.ts'
import { refusal } from '../refusals.ts'
import { ReplyError } from '../resp.ts'
import { parseRange } from './slots.ts'

/** The part of a cluster that has some of the slots. */
export interface Shard {
  /** Id of its master. */
  readonly node: string
  readonly host: string
  readonly port: number
  /** As CLUSTER NODES has them: `0-5460`. */
  readonly slots: readonly string[]
}

/**
 * The shards of a cluster by their first slot, each with the address of its master.
 * @throws HoldfastError HF_SOURCE_UNREACHABLE when a master has failed, HF_SOURCE_CHANGED while slots are being moved
 */
export async function readShards(client: RedisClient): Promise<readonly Shard[]> {
  const shards: Shard[] = []
  const reply = await client.ask('CLUSTER', 'NODES')
  if (reply instanceof ReplyError && reply.code === 'NOPERM')
    throw new HoldfastError('HF_SOURCE_PERMISSION', `${client.server} refuses CLUSTER NODES: ${reply.message}`, {
      hint: `grant it on every node: ACL SETUSER ${client.user ?? 'default'} +cluster|nodes`,
    })
  if (reply instanceof ReplyError) throw refusal(client, 'CLUSTER NODES', reply)
  for (const line of String(reply).split('\n')) {
    const [node = '', address = '', flags = '', , , , , , ...slots] = line.trim().split(' ')
    const moving = slots.find((slot) => slot.startsWith('['))
    if (moving !== undefined)
      throw new HoldfastError('HF_SOURCE_CHANGED', `the cluster of ${client.server} is moving slots: ${moving}`, {
        hint: 'keys of such slots may be in two shards, or in none: wait until it is done, or `redis-cli --cluster fix`',
        retry: 'later',
      })
    if (!flags.split(',').includes('master') || slots.length === 0) continue
    if (/\bfail\b|noaddr/.test(flags))
      throw new HoldfastError(
        'HF_SOURCE_UNREACHABLE',
        `the master ${address} of the cluster of ${client.server} has failed`,
        {
          hint: 'CLUSTER NODES shows it: start it again, or let a replica take its place, since nothing is whole without its slots',
        },
      )
    const found = /^(.*):(\d+)(?:@\d+)?(?:,([^,]+))?/.exec(address)
    if (found === null || !slots.every((slot) => parseRange(slot) !== undefined))
      throw new HoldfastError(
        'HF_SOURCE_DAMAGED',
        `${client.server} describes its cluster in words that are not known: ${line}`,
      )
    const host = found[3] || found[1] || client.addresses?.remote || ''
    shards.push({ node, host, port: Number(found[2]), slots })
  }
  if (shards.length === 0)
    throw new HoldfastError('HF_SOURCE_UNREACHABLE', `the cluster of ${client.server} has no slots: no node has data`, {
      hint: 'redis-cli --cluster create makes a cluster of its nodes',
    })
  return shards.sort((a, b) => parseRange(a.slots[0]!)![0] - parseRange(b.slots[0]!)![0])
}

/** Fails when slots have moved since. */
export async function requireSameShards(client: RedisClient, before: readonly Shard[]): Promise<void> {
  const places = (shards: readonly Shard[]): string => JSON.stringify(shards.map(({ node, slots }) => [node, slots]))
  if (places(await readShards(client)) === places(before)) return
  throw new HoldfastError(
    'HF_SOURCE_CHANGED',
    `slots of the cluster of ${client.server} were moved while it was read`,
    {
      hint: 'run it again when that is done: keys may be in it twice, or not at all',
      retry: 'later',
    },
  )
}
