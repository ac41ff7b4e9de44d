import { isIPv6 } from 'node:net'

/** As libpq has them, without `allow`. `prefer`: encrypted when the server can, never checked. */
export const sslModes = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
export type SslMode = (typeof sslModes)[number]

/** Where a server is and who asks. */
export interface Endpoint {
  /** Name, address, or the folder of a Unix socket. */
  readonly host: string
  readonly port: number
  readonly user: string
  /** For SQL; replication needs none. */
  readonly database: string
  readonly sslmode: SslMode
  /** Files in PEM form. */
  readonly sslrootcert?: string
  readonly sslcert?: string
  readonly sslkey?: string
  /** Settings that sessions begin with, as libpq's `options` has them: `-c statement_timeout=0`. */
  readonly options?: string
}

export const isSocket = ({ host }: Endpoint): boolean => host.startsWith('/')

/** For messages: `db1:5432`, `[::1]:5432`, `/run/postgresql`. Never more than that: no user, no password. */
export const endpointText = ({ host, port }: Endpoint): string =>
  host.startsWith('/') ? `${host}/.s.PGSQL.${port}` : `${isIPv6(host) ? `[${host}]` : host}:${port}`

const NO_HOST = 'no-host.invalid'

const parameters = ['host', 'port', 'user', 'dbname', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey'] as const

/**
 * Reads a connection URI as libpq defines it (PostgreSQL documentation, "Connection URIs"): `postgres://user@host:port/database?sslmode=…`; a
 * socket's folder is a percent-encoded host or the parameter `host`. Several hosts, and passwords, are refused.
 */
export function urlEndpoint(text: string): { readonly endpoint?: Partial<Endpoint>; readonly problem?: string } {
  let url: URL
  let parts: Record<'host' | 'user' | 'database', string>
  try {
    // `user@/database` is a URI for libpq, and none for the standard: there no host may be missing behind a user.
    url = new URL(text.replace(/^([a-z]+:\/\/[^/?#]*@)(?=[/?]|$)/, `$1${NO_HOST}`))
    parts = {
      host: url.hostname === NO_HOST ? '' : decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1'),
      user: decodeURIComponent(url.username),
      database: decodeURIComponent(url.pathname.replace(/^\//, '')),
    }
  } catch {
    return { problem: 'must look like postgres://user@host:5432/database' }
  }
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:')
    return { problem: 'must begin with postgres:// or postgresql://' }
  if (url.password !== '' || url.searchParams.has('password'))
    return { problem: 'must not hold the password: use `password: env:NAME` or `password: file:PATH`' }
  const given = new Map(url.searchParams)
  if (url.port !== '' && !given.has('port')) given.set('port', url.port)
  for (const [name, part] of Object.entries({ host: parts.host, user: parts.user, dbname: parts.database }))
    if (part !== '' && !given.has(name)) given.set(name, part)
  return parameterEndpoint(given)
}

/** Reads connection parameters by libpq's names for them. */
export function parameterEndpoint(given: ReadonlyMap<string, string>): {
  readonly endpoint?: Partial<Endpoint>
  readonly problem?: string
} {
  const unknown = [...given.keys()].find((name) => !parameters.some((known) => known === name))
  if (unknown !== undefined) return { problem: `has the parameter ${unknown}, which is not supported` }
  const port = given.get('port') ?? ''
  const sslmode = given.get('sslmode')
  const knownMode = sslModes.find((mode) => mode === sslmode)
  if (sslmode !== undefined && knownMode === undefined)
    return { problem: `has the sslmode ${sslmode}; there are ${sslModes.join(', ')}` }
  const host = given.get('host')
  if (host?.includes(',')) return { problem: 'names several hosts, which is not supported' }
  if (port !== '' && !(Number(port) >= 1 && Number(port) <= 65535)) return { problem: 'has an impossible port' }
  const values = {
    host,
    port: port === '' ? undefined : Number(port),
    user: given.get('user'),
    database: given.get('dbname'),
    sslmode: knownMode,
    sslrootcert: given.get('sslrootcert'),
    sslcert: given.get('sslcert'),
    sslkey: given.get('sslkey'),
  }
  return {
    endpoint: Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== '')),
  }
}
