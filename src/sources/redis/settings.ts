import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { type SecretReference, secretReference } from '../../config/secret.ts'

/** Where to find a source of type `redis`, as its keys in holdfast.yaml come to. */
export interface RedisSettings {
  readonly target: RedisTarget
  /** An ACL user; without one `password` is that of the default user. */
  readonly user: string | undefined
  readonly password: SecretReference | undefined
  /** undefined: a plain connection. */
  readonly tls: TlsSettings | undefined
}

export type RedisTarget =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'socket'; readonly path: string }
  | {
      readonly kind: 'sentinel'
      readonly nodes: readonly { readonly host: string; readonly port: number }[]
      /** The name under which they watch the master. */
      readonly master: string
      /** Of the sentinels themselves. */
      readonly password: SecretReference | undefined
    }

/** Files in PEM format. */
export interface TlsSettings {
  /** Authorities to trust instead of the system's. */
  readonly ca?: string | undefined
  /** What we show the server: it wants it unless `tls-auth-clients` says otherwise. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** The name its certificate has to be for, if that is not `host`. */
  readonly serverName?: string | undefined
}

const DEFAULT_PORT = 6379
const DEFAULT_SENTINEL_PORT = 26_379

const file = z.string().refine((path) => isAbsolute(path) && !path.includes('\0'), {
  message: 'must be an absolute path',
})

const keys = z.strictObject({
  url: z.string().min(1).optional(),
  host: z.string().min(1).optional(),
  port: z.int().min(1).max(65_535).optional(),
  socket: file.optional(),
  user: z.string().min(1).optional(),
  password: secretReference.optional(),
  sentinelPassword: secretReference.optional(),
  tls: z
    .union([
      z.boolean(),
      z.strictObject({
        ca: file.optional(),
        cert: file.optional(),
        key: file.optional(),
        serverName: z.string().min(1).optional(),
      }),
    ])
    .optional(),
})

type Keys = z.infer<typeof keys>

export const redisSettings: z.ZodType<RedisSettings> = keys.transform((given, context) => {
  const place = placeOf(given)
  const problem =
    typeof place === 'string'
      ? { path: [given.url === undefined ? 'host' : 'url'], message: place }
      : conflict(given, place)
  if (problem !== undefined || typeof place === 'string') {
    context.addIssue({ code: 'custom', ...problem })
    return z.NEVER
  }
  const { target, isSecure, user } = place
  const tls = given.tls === undefined ? (isSecure ? {} : undefined) : given.tls === true ? {} : given.tls || undefined
  return { target, user: given.user ?? user, password: given.password, tls }
})

interface Place {
  readonly target: RedisTarget
  readonly isSecure: boolean
  readonly user: string | undefined
}

/** Where the server is, or what is wrong with what says so. */
function placeOf(given: Keys): Place | string {
  const { url, host, port, socket, sentinelPassword } = given
  if (url !== undefined) return parseUrl(url, sentinelPassword)
  const isSecure = given.tls !== undefined && given.tls !== false
  if (socket !== undefined) return { target: { kind: 'socket', path: socket }, isSecure, user: undefined }
  if (host === undefined) return 'one of `url`, `host` and `socket` must be there'
  return { target: { kind: 'tcp', host, port: port ?? DEFAULT_PORT }, isSecure, user: undefined }
}

function conflict(given: Keys, { target, isSecure, user }: Place): { path: string[]; message: string } | undefined {
  const named = (['url', 'host', 'socket'] as const).filter((key) => given[key] !== undefined)
  if (named.length > 1) return { path: [named[1]!], message: `\`${named[0]}\` says where the server is already` }
  if (given.port !== undefined && given.host === undefined) return { path: ['port'], message: 'goes with `host` only' }
  if (given.user !== undefined && user !== undefined && given.user !== user)
    return { path: ['user'], message: '`url` names another user' }
  if ((given.user ?? user) !== undefined && given.password === undefined)
    return { path: ['password'], message: 'must be there for a user: env:NAME or file:PATH' }
  if (given.sentinelPassword !== undefined && target.kind !== 'sentinel')
    return { path: ['sentinelPassword'], message: 'goes with a URL of sentinels only' }
  if (given.tls === false && isSecure) return { path: ['tls'], message: '`url` says the opposite' }
  if (given.tls !== undefined && given.tls !== false && given.url !== undefined && !isSecure)
    return { path: ['tls'], message: '`url` says the opposite: write rediss://' }
  if (target.kind === 'socket' && isSecure) return { path: ['tls'], message: 'a unix socket has none' }
  return undefined
}

/** `redis[s]://[user@]host[:port]`, `redis[s]+sentinel://[user@]host[:port][,host[:port]...]/master`, `unix:///path`. */
function parseUrl(url: string, sentinelPassword: SecretReference | undefined): Place | string {
  const socket = /^(?:redis\+)?unix:\/\/(\/[^?#\0]+)$/.exec(url)?.[1]
  if (socket !== undefined)
    return { target: { kind: 'socket', path: decode(socket) }, isSecure: false, user: undefined }
  const parts = /^redis(s?)(\+sentinel)?:\/\/(?:([^@/]*)@)?([^/?#@]+)(?:\/([^/?#]*))?$/.exec(url)
  if (parts === null)
    return 'must be redis://HOST:PORT, rediss://, unix:///PATH or redis+sentinel://HOST:PORT,.../MASTER'
  const [, secure, sentinel, login, hosts, path = ''] = parts as unknown as [
    string,
    string,
    string?,
    string?,
    string?,
    string?,
  ]
  if (login?.includes(':')) return 'must not hold a password: use `password` with env:NAME or file:PATH'
  const user = login === undefined || login === '' ? undefined : decode(login)
  const isSecure = secure === 's'
  const nodes: { host: string; port: number }[] = []
  for (const text of hosts!.split(',')) {
    const found = /^(?:\[([\da-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(text)
    const port = Number(found?.[3] ?? (sentinel === undefined ? DEFAULT_PORT : DEFAULT_SENTINEL_PORT))
    if (found === null || port < 1 || port > 65_535) return `${JSON.stringify(text)} is no HOST:PORT`
    nodes.push({ host: found[1] ?? found[2]!, port })
  }
  if (sentinel !== undefined) {
    if (path === '') return 'must end in the name of the master, as the sentinels know it'
    const target: RedisTarget = { kind: 'sentinel', nodes, master: decode(path), password: sentinelPassword }
    return { target, isSecure, user }
  }
  if (nodes.length > 1) return 'several hosts are for sentinels: redis+sentinel://'
  if (path !== '' && path !== '0') return 'must not name a database: backups are of all of them'
  return { target: { kind: 'tcp', ...nodes[0]! }, isSecure, user }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
