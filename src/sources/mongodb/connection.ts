import { readFile } from 'node:fs/promises'
import { type ClientSession, MongoClient, type MongoClientOptions } from 'mongodb'
import { throwIfInterrupted } from '../../engine/storage/interruption.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { byteConnections } from './byte-connection.ts'
import type { MongoEndpoint } from './endpoint.ts'
import { ReplyMemory } from './reply-memory.ts'
import { type ErrorPlace, serverError } from './server-error.ts'
import type { MongoTls, ReadPreference } from './settings.ts'

/** A command: its name is the first key. Plain objects, or maps where the order of keys that look like numbers counts. */
export type Command = Readonly<Record<string, unknown>>

export interface ConnectOptions {
  readonly endpoint: MongoEndpoint
  readonly password: string | undefined
  readonly tls?: MongoTls | undefined
  readonly readPreference?: ReadPreference
  /** `backup` by default. */
  readonly purpose?: ErrorPlace['purpose']
  /** Where the only connection goes, whatever the connection string says: one member of a replica set. */
  readonly member?: string
  /** The database that knows the user, for `member`. */
  readonly authSource?: string | undefined
  /** How long to look for a server. */
  readonly timeoutMs?: number
  /** Connections at the same time. */
  readonly jobs?: number
  readonly signal?: AbortSignal | undefined
}

export interface CommandOptions {
  readonly signal?: AbortSignal | undefined
  readonly session?: ClientSession
  /** What the command is in messages; its name by default. */
  readonly what?: string
}

const FIND_SERVER_MS = 10_000

/** The driver's client with errors in our words, and replies as bytes. */
export class MongoConnection implements AsyncDisposable {
  readonly place: ErrorPlace
  readonly endpoint: MongoEndpoint
  readonly #client: MongoClient
  readonly #replies: ReplyMemory
  readonly #readPreference: ReadPreference

  private constructor(client: MongoClient, replies: ReplyMemory, options: ConnectOptions) {
    const { endpoint, readPreference = 'primary' } = options
    this.#client = client
    this.#replies = replies
    this.#readPreference = readPreference
    this.endpoint = endpoint
    this.place = placeOf(options)
  }

  /** @throws HoldfastError HF_SOURCE_UNREACHABLE, HF_SOURCE_PERMISSION, HF_SOURCE_UNSUPPORTED for impossible parameters */
  static async open(options: ConnectOptions): Promise<MongoConnection> {
    const { signal } = options
    throwIfInterrupted(signal)
    let client: MongoClient | undefined
    const abort = (): void => void client?.close().catch(() => undefined)
    signal?.addEventListener('abort', abort, { once: true })
    try {
      const replies = new ReplyMemory()
      client = new MongoClient(urlOf(options), { ...(await clientOptions(options)), ...byteConnections(replies) })
      await client.connect()
      return new MongoConnection(client, replies, options)
    } catch (error) {
      await client?.close()
      throwIfInterrupted(signal)
      throw serverError(error, 'connections', placeOf(options))
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /** The reply, decoded. For small ones. @throws HoldfastError in whose context `code` is the server's */
  async command(database: string, command: Command, options: CommandOptions = {}): Promise<Record<string, unknown>> {
    return await this.#run(database, command, options, false)
  }

  /**
   * The `cursor` of a reply as the bytes that came, without a copy. Who has read many of them gives them back by `release`.
   * @throws HoldfastError as `command`; HF_SOURCE_DAMAGED when there is none
   */
  async cursor(database: string, command: Command, options: CommandOptions = {}): Promise<Buffer> {
    const { cursor } = await this.#run(database, command, options, true)
    if (Buffer.isBuffer(cursor)) return cursor
    throw new HoldfastError('HF_SOURCE_DAMAGED', `${this.place.server} answers without a cursor`)
  }

  /** Uses the memory of a cursor again, whichever part of it is given. */
  release(bytes: Uint8Array): void {
    this.#replies.release(bytes)
  }

  /** The database that knows the user: as the connection string, its database or a TXT record of DNS has it. */
  get authSource(): string | undefined {
    return this.#client.options.credentials?.source
  }

  /** Commands that belong together, as those of a cursor. Ends with the block. */
  session(): ClientSession & AsyncDisposable {
    return this.#client.startSession({ causalConsistency: false })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close().catch(() => undefined)
  }

  async #run(
    database: string,
    command: Command,
    { signal, session, what }: CommandOptions,
    raw: boolean,
  ): Promise<Record<string, unknown>> {
    throwIfInterrupted(signal)
    try {
      // A copy: the driver adds to what it is given.
      return await this.#client.db(database).command(
        { ...command },
        {
          raw,
          readPreference: this.#readPreference,
          promoteBuffers: false,
          ...(session && { session }),
          ...(signal && { signal }),
        },
      )
    } catch (error) {
      throwIfInterrupted(signal)
      throw serverError(error, what ?? Object.keys(command)[0]!, this.place)
    }
  }
}

const placeOf = ({ endpoint, member, purpose = 'backup' }: ConnectOptions): ErrorPlace => ({
  server: `MongoDB at ${member ?? endpoint.hosts}`,
  user: endpoint.user,
  purpose,
})

/** The options of a connection string that hold for each member. */
const keptForMember = [
  'authSource',
  'authMechanism',
  'tls',
  'ssl',
  'tlsInsecure',
  'tlsAllowInvalidCertificates',
  'tlsAllowInvalidHostnames',
  'tlsCAFile',
  'tlsCertificateKeyFile',
  'compressors',
  'appName',
]

function urlOf({ endpoint, member, authSource }: ConnectOptions): string {
  if (member === undefined) return endpoint.url
  const parameters = new URLSearchParams({ directConnection: 'true' })
  for (const name of keptForMember) {
    const value = endpoint.parameters.get(name.toLowerCase())
    if (value !== undefined) parameters.set(name, value)
  }
  if (authSource !== undefined) parameters.set('authSource', authSource)
  // Names found by DNS are only served with TLS unless the URL says otherwise.
  if (endpoint.url.startsWith('mongodb+srv:') && !parameters.has('tls') && !parameters.has('ssl'))
    parameters.set('tls', 'true')
  return `mongodb://${member}/?${parameters}`
}

async function clientOptions(options: ConnectOptions): Promise<MongoClientOptions> {
  const { endpoint, password, tls, timeoutMs = FIND_SERVER_MS, jobs = 1 } = options
  const [ca, cert, key] = await Promise.all([tls?.ca, tls?.cert, tls?.key].map((path) => path && readPem(path)))
  const { parameters } = endpoint
  return {
    appName: 'holdfast',
    ...(!parameters.has('serverselectiontimeoutms') && { serverSelectionTimeoutMS: timeoutMs }),
    ...(!parameters.has('connecttimeoutms') && { connectTimeoutMS: timeoutMs }),
    maxPoolSize: jobs + 4,
    retryReads: false,
    retryWrites: false,
    ...(endpoint.user === undefined ? {} : { auth: { username: endpoint.user, password: password ?? '' } }),
    ...(tls && { tls: true }),
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
  }
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new HoldfastError('HF_PATH_NOT_FOUND', `${path} cannot be read: ${(error as Error).message}`, {
      cause: error,
      hint: 'it is named under `tls` of the source: a file in PEM format that the user of Holdfast can read',
    })
  }
}
