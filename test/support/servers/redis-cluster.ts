import { type RedisServer, type RedisServerOptions, startRedis } from './redis.ts'
import { freePort } from './server-folder.ts'

const SLOTS = 16_384
const STATE_TRIES = 400

export interface RedisCluster {
  readonly nodes: readonly RedisServer[]
  stop(): Promise<void>
}

/** Nodes that are ready to be a cluster, each with options of its own. */
export async function startNodes(
  options: readonly RedisServerOptions[],
): Promise<RedisCluster & { readonly busPorts: readonly number[] }> {
  const nodes: RedisServer[] = []
  const busPorts: number[] = []
  const stop = async (): Promise<void> => {
    for (const node of nodes) await node.stop()
  }
  try {
    for (const { args = [], ...others } of options) {
      const busPort = await freePort()
      busPorts.push(busPort)
      nodes.push(
        await startRedis({
          ...others,
          args: [
            '--cluster-enabled',
            'yes',
            '--cluster-port',
            String(busPort),
            '--cluster-node-timeout',
            '2000',
            ...args,
          ],
        }),
      )
    }
    return { nodes, busPorts, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** A cluster of masters that share the slots evenly; behind them, in `nodes`, replicas of the first one. */
export async function startCluster(
  masters: number,
  { replicas = 0 }: { readonly replicas?: number } = {},
): Promise<RedisCluster> {
  const { nodes, busPorts, stop } = await startNodes(Array.from({ length: masters + replicas }, () => ({})))
  try {
    for (const [i, node] of nodes.entries()) {
      const first = Math.floor((i * SLOTS) / masters)
      const last = Math.floor(((i + 1) * SLOTS) / masters) - 1
      if (i < masters) await node.command('CLUSTER', 'ADDSLOTSRANGE', first, last)
      await node.command('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
    }
    for (const [i, node] of nodes.entries())
      if (i > 0) await nodes[0]!.command('CLUSTER', 'MEET', '127.0.0.1', node.port, busPorts[i]!)
    for (const node of nodes) await inCluster(node, masters)
    const id = String(await nodes[0]!.command('CLUSTER', 'MYID'))
    for (const node of nodes.slice(masters)) await node.command('CLUSTER', 'REPLICATE', id)
    return { nodes, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function inCluster(node: RedisServer, size: number): Promise<void> {
  for (let tries = 0; tries < STATE_TRIES; tries++) {
    const info = String(await node.command('CLUSTER', 'INFO'))
    if (info.includes('cluster_state:ok') && info.includes(`cluster_size:${size}`)) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error(`the cluster does not come up: ${await node.command('CLUSTER', 'NODES')}`)
}
