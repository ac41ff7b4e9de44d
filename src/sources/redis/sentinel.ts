import { HoldfastError } from '../../lib/errors.ts'
import { RedisClient, type RedisConnection } from './client.ts'
import { ReplyError } from './resp.ts'

export interface SentinelTarget {
  readonly nodes: readonly { readonly host: string; readonly port: number }[]
  readonly master: string
}

export interface WatchedServer {
  readonly host: string
  readonly port: number
  readonly role: 'master' | 'replica'
}

const UNFIT = /s_down|o_down|disconnected|master_down/

/**
 * The server to back up, as the first sentinel that answers knows it: the replica that has got the furthest, else the master
 * (https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/).
 *
 * @throws HoldfastError HF_SOURCE_UNREACHABLE when no sentinel answers or knows the master
 */
export async function findServer(
  { nodes, master }: SentinelTarget,
  login: Omit<RedisConnection, 'address'>,
): Promise<WatchedServer> {
  const failures: string[] = []
  for (const address of nodes) {
    try {
      using client = await RedisClient.connect({ ...login, address })
      return await askSentinel(client, master)
    } catch (error) {
      login.signal?.throwIfAborted()
      failures.push((error as Error).message)
    }
  }
  throw new HoldfastError('HF_SOURCE_UNREACHABLE', `no sentinel knows where ${master} is: ${failures.join('; ')}`, {
    hint: 'check hosts, ports and the name of the master (SENTINEL MASTERS lists them), and `sentinelPassword` if sentinels have one',
  })
}

async function askSentinel(client: RedisClient, master: string): Promise<WatchedServer> {
  const replicas = await client.ask('SENTINEL', 'REPLICAS', master)
  const fit = (Array.isArray(replicas) ? replicas : [])
    .map(fieldsOf)
    .filter((fields) => !UNFIT.test(fields.get('flags') ?? '') && fields.get('master-link-status') === 'ok')
    .sort((a, b) => offsetOf(b) - offsetOf(a))[0]
  if (fit !== undefined) return { host: fit.get('ip')!, port: Number(fit.get('port')), role: 'replica' }
  const found = await client.ask('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', master)
  if (!Array.isArray(found) || found.length !== 2)
    throw new HoldfastError(
      'HF_SOURCE_UNREACHABLE',
      `${client.server} ${found instanceof ReplyError ? `replies ${found.message}` : `does not know ${master}`}`,
    )
  return { host: String(found[0]), port: Number(found[1]), role: 'master' }
}

function fieldsOf(flat: unknown): ReadonlyMap<string, string> {
  const texts = Array.isArray(flat) ? flat.map(String) : []
  return new Map(texts.flatMap((name, i): [string, string][] => (i % 2 === 0 ? [[name, texts[i + 1] ?? '']] : [])))
}

const offsetOf = (fields: ReadonlyMap<string, string>): number => Number(fields.get('slave-repl-offset') ?? 0) || 0
