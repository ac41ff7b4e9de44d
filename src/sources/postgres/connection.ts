import { readFileSync } from 'node:fs'
import { connect as connectSocket, type Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import pg from 'pg'
import { HoldfastError } from '../../lib/errors.ts'
import { ArrivalSocket } from './arrival-socket.ts'
import { type Endpoint, endpointText, isSocket } from './endpoint.ts'
import { passwordFileText } from './password-file.ts'
import { connectionError, connectionLost, type ErrorPlace, passwordWanted } from './server-error.ts'

const CONNECT_TIMEOUT_MS = 15_000
/** A peer that vanished without a word is noticed by probes of the system; a checkpoint may keep a backup silent for long. */
const KEEP_ALIVE_DELAY_MS = 10_000

/** The request for TLS that precedes everything else: length 8 and the code 80877103. */
const SSL_REQUEST = Uint8Array.of(0, 0, 0, 8, 4, 210, 22, 47)
const YES = 'S'.charCodeAt(0)

/** A row as the driver gives it, values as text except for the few types it converts. */
export type Row = Readonly<Record<string, unknown>>

/** An open SQL session: `await using session = await SqlSession.open(...)`. */
export class SqlSession implements AsyncDisposable {
  readonly place: ErrorPlace
  readonly #client: pg.Client

  private constructor(client: pg.Client, place: ErrorPlace) {
    this.#client = client
    this.place = place
  }

  /** @throws HoldfastError HF_SOURCE_UNREACHABLE, HF_SOURCE_PERMISSION */
  static async open(
    endpoint: Endpoint,
    password: string | undefined,
    options: ConnectOptions = {},
  ): Promise<SqlSession> {
    const { client, place } = await connectClient(endpoint, password, 'sql', options)
    return new SqlSession(client, place)
  }

  /** @throws HoldfastError with what the server reports */
  async rows(statement: string, values: readonly string[] = []): Promise<readonly Row[]> {
    try {
      return (await this.#client.query<Record<string, unknown>>(statement, [...values])).rows
    } catch (error) {
      throw connectionError(error, this.place)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end().catch(() => undefined)
  }
}

export interface ConnectOptions {
  readonly signal?: AbortSignal | undefined
  /** Our own address as the server sees it, if it is known already: for the hint when it refuses. */
  readonly clientAddress?: string | undefined
  /** Whether what the server sends will be taken from `arrival`, past the driver. */
  readonly takesOver?: boolean
}

export interface ConnectedClient {
  readonly client: pg.Client
  readonly place: ErrorPlace
  /** Takes the place of the driver's reading; undefined with TLS, and where nobody asked for it. */
  readonly arrival: ArrivalSocket | undefined
}

/**
 * A client that is logged in. `kind: 'replication'` gives a WAL sender, which takes replication commands instead of SQL; without TLS, what it
 * sends can be taken from `arrival`, as that of any server on request.
 */
export async function connectClient(
  endpoint: Endpoint,
  password: string | undefined,
  kind: ErrorPlace['kind'],
  { signal, clientAddress, takesOver = kind === 'replication' }: ConnectOptions = {},
): Promise<ConnectedClient> {
  signal?.throwIfAborted()
  const { host, port, user, database, options } = endpoint
  const plain = placeOf(endpoint, kind, false)
  const tls = await tlsOptions(endpoint, plain)
  const place = { ...placeOf(endpoint, kind, tls !== undefined), clientAddress }
  const arrival = takesOver && tls === undefined ? new ArrivalSocket() : undefined
  const config: pg.ClientConfig & { readonly replication?: string } = {
    host,
    port,
    user,
    database,
    password:
      password ??
      (() => {
        throw passwordWanted(place, passwordFileText(endpoint))
      }),
    ...(options === undefined ? {} : { options }),
    ssl: tls ?? false,
    ...(arrival === undefined ? {} : { stream: () => arrival.stream }),
    application_name: 'holdfast',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
    ...(kind === 'replication' ? { replication: 'true' } : {}),
  }
  const client = new pg.Client(config)
  // A connection that breaks while nothing is asked; whoever asks next is told.
  client.on('error', () => undefined)
  const abort = (): void => {
    client.connection.stream.destroy()
  }
  signal?.addEventListener('abort', abort, { once: true })
  try {
    await client.connect()
  } catch (error) {
    signal?.throwIfAborted()
    client.connection.stream.destroy()
    throw connectionError(error, place)
  } finally {
    signal?.removeEventListener('abort', abort)
  }
  return { client, place, arrival }
}

const placeOf = (endpoint: Endpoint, kind: ErrorPlace['kind'], encrypted: boolean): ErrorPlace => ({
  server: `PostgreSQL at ${endpointText(endpoint)}`,
  role: endpoint.user,
  database: endpoint.database,
  kind,
  hbaType: isSocket(endpoint) ? 'local' : encrypted ? 'hostssl' : 'host',
  clientAddress: undefined,
})

/** What libpq does for each `sslmode`; undefined for a connection without TLS. A root certificate turns `require` into `verify-ca`. */
async function tlsOptions(endpoint: Endpoint, place: ErrorPlace): Promise<ConnectionOptions | undefined> {
  const { sslmode, sslrootcert, sslcert, sslkey } = endpoint
  if (isSocket(endpoint) || sslmode === 'disable') return undefined
  if (sslmode === 'prefer' && !(await offersTls(endpoint, place))) return undefined
  const verifies = sslmode === 'verify-full' || sslmode === 'verify-ca' || (sslmode === 'require' && sslrootcert)
  return {
    rejectUnauthorized: Boolean(verifies),
    ...(sslrootcert === undefined ? {} : { ca: readPem(sslrootcert, 'sslrootcert') }),
    ...(sslcert === undefined ? {} : { cert: readPem(sslcert, 'sslcert') }),
    ...(sslkey === undefined ? {} : { key: readPem(sslkey, 'sslkey') }),
    ...(sslmode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  }
}

/** Asks on a connection of its own whether the server takes TLS. */
async function offersTls({ host, port }: Endpoint, place: ErrorPlace): Promise<boolean> {
  const socket: Socket = connectSocket({ host, port, timeout: CONNECT_TIMEOUT_MS })
  socket.once('timeout', () => socket.destroy(new Error('timeout expired')))
  try {
    socket.write(SSL_REQUEST)
    for await (const answer of socket) return (answer as Buffer)[0] === YES
    throw connectionLost(place)
  } catch (error) {
    throw connectionError(error, place)
  } finally {
    socket.destroy()
  }
}

function readPem(path: string, key: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new HoldfastError('HF_USAGE', `${key}: ${path} cannot be read: ${(error as Error).message}`, { cause: error })
  }
}
