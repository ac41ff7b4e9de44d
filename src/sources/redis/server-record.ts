import { z } from 'zod'
import type { RedisClient } from './client.ts'
import type { Reply } from './resp.ts'

/**
 * `/<source>/.holdfast/server.json`: what an RDB file does not contain and a rebuilt server needs. What the user of the source may not read is
 * absent. Passwords in the configuration are left out; of ACL users the hashes of their passwords are there.
 */
export interface ServerRecord {
  readonly format: 1
  /** INFO as the server words it. */
  readonly info: string
  readonly config?: Readonly<Record<string, string>> | undefined
  /** Lines for an ACL file. */
  readonly acl?: readonly string[] | undefined
  readonly modules?: readonly string[] | undefined
  /** CLUSTER NODES of a node of a cluster. */
  readonly clusterNodes?: string | undefined
}

export const serverRecord: z.ZodType<ServerRecord> = z.strictObject({
  format: z.literal(1),
  info: z.string(),
  config: z.record(z.string(), z.string()).optional(),
  acl: z.array(z.string()).optional(),
  modules: z.array(z.string()).optional(),
  clusterNodes: z.string().optional(),
})

const isSecret = (name: string): boolean => /pass|auth$/.test(name)
const LEFT_OUT = '(left out)'

export async function readServerRecord(client: RedisClient, isCluster: boolean): Promise<ServerRecord> {
  return {
    format: 1,
    info: String(await client.command('INFO')),
    config: await readConfig(client, '*'),
    acl: list(await client.ask('ACL', 'LIST'))?.map(String),
    modules: list(await client.ask('MODULE', 'LIST'))?.map((module) => moduleText(module)),
    clusterNodes: isCluster ? await client.text('CLUSTER', 'NODES') : undefined,
  }
}

/** Settings by name, without secrets; undefined when the user may not read them or the service hides them. */
export async function readConfig(
  client: RedisClient,
  pattern: string,
): Promise<Readonly<Record<string, string>> | undefined> {
  const flat = list(await client.ask('CONFIG', 'GET', pattern))?.map(String)
  if (flat === undefined) return undefined
  const config: Record<string, string> = Object.create(null)
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = flat[i]!
    const value = flat[i + 1]!
    config[name] = isSecret(name) && value !== '' ? LEFT_OUT : value
  }
  return config
}

/** `ReJSON 20609`. */
function moduleText(module: Reply): string {
  const flat = list(module)?.map(String) ?? []
  const field = (name: string): string => flat[flat.indexOf(name) + 1] ?? ''
  return `${field('name')} ${field('ver')}`
}

const list = (reply: Reply): readonly Reply[] | undefined => (Array.isArray(reply) ? reply : undefined)
