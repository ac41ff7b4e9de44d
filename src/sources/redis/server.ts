import { HoldfastError } from '../../lib/errors.ts'
import type { RedisClient } from './client.ts'

/** What a server says of itself (INFO). */
export interface ServerFacts {
  readonly kind: 'redis' | 'valkey'
  /** `7.0.15`; of Valkey its own and not the Redis version it claims to be compatible with. */
  readonly version: string
  readonly runId: string
  readonly role: 'master' | 'replica'
  readonly mode: 'standalone' | 'cluster' | 'sentinel'
  /** Names of modules that do not come with the server itself. */
  readonly modules: readonly string[]
  /** All fields of INFO by name. */
  readonly info: ReadonlyMap<string, string>
}

/** @throws HoldfastError with a hint, HF_SOURCE_UNSUPPORTED for what is neither Redis nor Valkey */
export async function readFacts(client: RedisClient): Promise<ServerFacts> {
  const text = String(await client.command('INFO'))
  const info = parseInfo(text)
  const valkey = info.get('valkey_version')
  const version = valkey ?? info.get('redis_version')
  if (version === undefined)
    throw new HoldfastError('HF_SOURCE_UNSUPPORTED', `${client.server} does not say which version of Redis it is`, {
      hint: 'only Redis 6 to 8 and Valkey can be backed up',
    })
  const mode = info.get('redis_mode') ?? info.get('server_mode')
  return {
    kind: valkey !== undefined || info.get('server_name') === 'valkey' ? 'valkey' : 'redis',
    version,
    runId: info.get('run_id') ?? '',
    role: info.get('role') === 'slave' ? 'replica' : 'master',
    mode:
      mode === 'cluster' || info.get('cluster_enabled') === '1' ? 'cluster' : mode === 'sentinel' ? mode : 'standalone',
    modules: [...text.matchAll(/^module:name=([^,]+)/gm)]
      .map(([, name]) => name!)
      .filter((name) => !ownModules.has(name)),
    info,
  }
}

/** Vector sets of Redis 8 and the Lua engine of Valkey 9 are modules in name only. */
export const ownModules: ReadonlySet<string> = new Set(['vectorset', 'lua'])

/** Lines `name:value` below headings `# Name`. */
export function parseInfo(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':')
    if (colon > 0 && line[0] !== '#') fields.set(line.slice(0, colon), line.slice(colon + 1))
  }
  return fields
}

/** The first numbers of a version. */
export const versionNumbers = (version: string): readonly [number, number] => {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10) || 0)
  return [major, minor]
}

/** `Redis 7.0.15`. */
export const productName = ({ kind, version }: Pick<ServerFacts, 'kind' | 'version'>): string =>
  `${kind === 'valkey' ? 'Valkey' : 'Redis'} ${version}`
