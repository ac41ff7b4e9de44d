import { createConnection, type Socket } from 'node:net'
import { connect as connectTls, type SecureContextOptions } from 'node:tls'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { refusal } from './refusals.ts'
import { encodeCommand, type Reply, ReplyError, readReply } from './resp.ts'
import { SocketReader } from './socket-reader.ts'

export type RedisAddress = { readonly host: string; readonly port: number } | { readonly path: string }

export interface RedisConnection {
  readonly address: RedisAddress
  /** An ACL user; without one a password is that of the default user. */
  readonly user?: string | undefined
  readonly password?: string | undefined
  /** PEM texts; undefined for a plain connection. */
  readonly tls?: (Pick<SecureContextOptions, 'ca' | 'cert' | 'key'> & { readonly serverName?: string }) | undefined
  readonly signal?: AbortSignal | undefined
  /** How long the server may say nothing when it was asked. */
  readonly silenceMs?: number | undefined
}

const CONNECT_TIMEOUT_MS = 10_000
/** A server in need of memory forks slowly; while it saves it sends a line break each second. */
const SILENCE_TIMEOUT_MS = 60_000

/** One connection to a Redis or Valkey server. Commands go one at a time. */
export class RedisClient implements Disposable {
  /** How messages name the server: `redis 127.0.0.1:6379`. */
  readonly server: string
  readonly user: string | undefined
  readonly reader: SocketReader
  readonly #socket: Socket

  private constructor(socket: Socket, server: string, user: string | undefined, silenceMs: number) {
    this.#socket = socket
    this.server = server
    this.user = user
    this.reader = new SocketReader(socket, server, silenceMs)
  }

  /** @throws HoldfastError HF_SOURCE_UNREACHABLE, HF_SOURCE_PERMISSION for a wrong password */
  static async connect(connection: RedisConnection): Promise<RedisClient> {
    const { address, user, password, tls, signal, silenceMs = SILENCE_TIMEOUT_MS } = connection
    signal?.throwIfAborted()
    const server = `redis ${'path' in address ? address.path : `${address.host}:${address.port}`}`
    const { serverName, ...material } = tls ?? {}
    const name = serverName ?? ('host' in address && !/^[\d.]+$|:/.test(address.host) ? address.host : undefined)
    const socket =
      tls === undefined
        ? createConnection({ ...address })
        : connectTls({ ...address, ...material, ...(name === undefined ? {} : { servername: name }) })
    const abort = (): void => {
      socket.destroy(signal?.reason)
    }
    signal?.addEventListener('abort', abort, { once: true })
    socket.once('close', () => signal?.removeEventListener('abort', abort))
    // Whoever reads gets it too; without a reader there is nobody to tell.
    socket.on('error', () => undefined)
    socket.setNoDelay(true)
    await established(socket, server, tls === undefined ? 'connect' : 'secureConnect')
    const client = new RedisClient(socket, server, user, silenceMs)
    try {
      if (password !== undefined) await client.command('AUTH', ...(user === undefined ? [] : [user]), password)
      return client
    } catch (error) {
      client.close()
      throw error
    }
  }

  /** The reply to a command, an error of the server included. */
  async ask(...args: readonly (string | Uint8Array)[]): Promise<Reply> {
    this.send(...args)
    return await readReply(this.reader)
  }

  /** The reply to a command. @throws HoldfastError with a hint, when the server refuses it */
  async command(...args: readonly (string | Uint8Array)[]): Promise<Exclude<Reply, ReplyError>> {
    const reply = await this.ask(...args)
    if (reply instanceof ReplyError) throw refusal(this, nameOf(args), reply)
    return reply
  }

  /** The text a command replies with; undefined when this user may not use it or the server does not know it. */
  async text(...args: readonly string[]): Promise<string | undefined> {
    const reply = await this.ask(...args)
    return typeof reply === 'string' || Buffer.isBuffer(reply) ? reply.toString() : undefined
  }

  /** Sends commands in one piece and reads nothing. */
  sendAll(...commands: readonly (readonly string[])[]): void {
    this.#socket.write(Buffer.concat(commands.map(encodeCommand)))
  }

  send(...args: readonly (string | Uint8Array)[]): void {
    this.#socket.write(encodeCommand(args))
  }

  /** Sends bytes of commands, and waits while the server is behind. @throws HoldfastError HF_SOURCE_UNREACHABLE when the connection ends */
  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0 || this.#socket.write(bytes)) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#socket.once('drain', resolve).once('close', resolve)
    await promise
    this.#socket.off('drain', resolve).off('close', resolve)
    if (this.#socket.destroyed)
      throw new HoldfastError('HF_SOURCE_UNREACHABLE', `${this.server} closes the connection`, {
        hint: 'its log says why: often a value is longer than `proto-max-bulk-len` or `client-query-buffer-limit` allow, or it stops',
      })
  }

  /** The addresses of both ends; undefined for a unix socket. */
  get addresses(): { readonly local: string; readonly remote: string } | undefined {
    const { localAddress: local, remoteAddress: remote } = this.#socket
    return local === undefined || remote === undefined ? undefined : { local, remote }
  }

  close(): void {
    this.#socket.destroy()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** The command without its arguments, which may be secret: `CONFIG GET`, `AUTH`. */
function nameOf(args: readonly (string | Uint8Array)[]): string {
  const [name, second] = args.map(String)
  return /^(ACL|CLIENT|CLUSTER|CONFIG|DEBUG|MODULE|SENTINEL)$/i.test(name!) ? `${name} ${second}` : name!
}

async function established(socket: Socket, server: string, event: 'connect' | 'secureConnect'): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const closed = (): void => reject(new Error('the connection was closed'))
  const late = (): void => {
    socket.destroy(new Error(`no answer for ${CONNECT_TIMEOUT_MS / 1000} s`))
  }
  socket.once(event, resolve).once('error', reject).once('close', closed).setTimeout(CONNECT_TIMEOUT_MS, late)
  try {
    await promise
  } catch (error) {
    if (isHoldfastError(error)) throw error
    throw new HoldfastError('HF_SOURCE_UNREACHABLE', `${server} cannot be reached: ${(error as Error).message}`, {
      cause: error,
      hint: 'check host, port, `bind` and firewall of the server, and that `tls` here is what the server has',
    })
  } finally {
    socket.off(event, resolve).off('error', reject).off('close', closed).off('timeout', late).setTimeout(0)
  }
}
