import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { SourceServices } from '../../source.ts'
import { RedisClient, type RedisConnection } from '../client.ts'
import { readTls } from '../connect.ts'
import { type RedisSettings, redisSettings } from '../settings.ts'

/** A server to restore into, by however many connections are needed. */
export type TargetServer = (signal?: AbortSignal) => Promise<RedisClient>

/** A server that was named, and whatever other nodes its cluster has. */
export interface Target {
  readonly open: TargetServer
  readonly connection: Omit<RedisConnection, 'signal'>
  /** Connects to another node with the same login. */
  readonly openAt: (address: { readonly host: string; readonly port: number }) => TargetServer
}

/** What redis-cli takes a password from, too. */
const PASSWORD_VARIABLE = 'REDISCLI_AUTH'

/**
 * The server a URL names. Its password is that in the URL, else the source's if it is the same server, else that of REDISCLI_AUTH;
 * certificates are the source's.
 *
 * @throws HoldfastError HF_USAGE for what is no URL of a server, HF_SECRET_UNAVAILABLE
 */
export async function targetServer(url: string, source: RedisSettings, services: SourceServices): Promise<Target> {
  const [, scheme, login = '', secret, rest] = /^(rediss?:\/\/)([^:@/]*):([^@]*)@(.+)$/s.exec(url) ?? []
  const cleaned = scheme === undefined ? url : `${scheme}${login === '' ? '' : `${login}@`}${rest}`
  // A user needs a password in the settings; which one it is is decided here.
  const parsed = redisSettings.safeParse({ url: cleaned, password: `env:${PASSWORD_VARIABLE}` })
  if (!parsed.success)
    throw new HoldfastError(
      'HF_USAGE',
      `the target is no server of Redis: its URL ${parsed.error.issues[0]!.message}`,
      {
        hint: 'write redis://[USER[:PASSWORD]@]HOST[:PORT], rediss://, or unix:///PATH',
      },
    )
  const { target, user, tls } = parsed.data
  if (target.kind === 'sentinel')
    throw new HoldfastError('HF_USAGE', 'the target is named by its sentinels', {
      hint: 'name the master itself: redis://HOST:PORT',
    })
  const isSource =
    JSON.stringify(source.target) === JSON.stringify(target) && (user === undefined || user === source.user)
  const password =
    secret !== undefined
      ? decodeURIComponent(secret)
      : isSource && source.password !== undefined
        ? await services.secret(source.password)
        : await passwordOfEnvironment(services)
  const connection: RedisConnection = {
    address: target.kind === 'socket' ? { path: target.path } : { host: target.host, port: target.port },
    user: user ?? (isSource ? source.user : undefined),
    password,
    tls: tls === undefined ? undefined : await readTls(source.tls ?? tls),
  }
  return {
    connection,
    open: (signal) => RedisClient.connect({ ...connection, signal }),
    openAt: (address) => (signal) => RedisClient.connect({ ...connection, address, signal }),
  }
}

async function passwordOfEnvironment(services: SourceServices): Promise<string | undefined> {
  try {
    return await services.secret({ kind: 'env', name: PASSWORD_VARIABLE })
  } catch (error) {
    if (isHoldfastError(error) && error.code === 'HF_SECRET_UNAVAILABLE') return undefined
    throw error
  }
}
