import { createServer, type Server, type Socket } from 'node:net'
import { throwIfInterrupted } from '../../../engine/storage/interruption.ts'
import { equalBytes, toHex, utf8 } from '../../../lib/bytes.ts'
import { systemClock } from '../../../lib/clock.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { randomBytes } from '../../../lib/random.ts'
import type { RedisClient, RedisConnection } from '../client.ts'
import { type Reply, readReply } from '../resp.ts'
import { parseInfo } from '../server.ts'
import { SocketReader } from '../socket-reader.ts'
import { watchReplication } from './replication-watchdog.ts'
import type { TargetServer } from './target.ts'

/** What a server gets that is told to replicate us. */
export interface Feed {
  readonly open: TargetServer
  /** How another process connects to it if this one is killed. */
  readonly connection: Omit<RedisConnection, 'signal'>
  readonly rdb: () => AsyncIterable<Uint8Array>
  readonly bytes: number
  readonly onBytes: (bytes: number) => void
  readonly signal?: AbortSignal | undefined
  /** As `PATIENCE_MS`. */
  readonly patienceMs?: number | undefined
}

/**
 * How long the server has to connect to us before it is taken for unable to: it does so at once, or a second later. Only time in which both could
 * have acted counts, in pieces that end with an answer of the server, so that a machine with far more to do than it can takes nothing of it.
 */
export const PATIENCE_MS = 10_000
const POLL_MS = 50
/** A server that removes data and loads other sends a line break each second. */
const SILENCE_MS = 60_000
/** A peer that vanished without a word is noticed by probes of the system. */
const KEEP_ALIVE_DELAY_MS = 10_000
const MAX_LINE_BYTES = 64 * 1024
const LOOPBACK = '127.0.0.1'

/**
 * Gives a server an RDB file as its master would, and lets it go (replication.c of Redis 7.0: syncWithMaster, readSyncBulkPayload). The
 * server replaces all of its data when the file has come whole; until then it keeps what it has.
 *
 * For that time it gets a password of ours for masters (`masterauth`), so that nobody else is given the data. A process of its own sees to it
 * that both end, should this one be killed.
 *
 * @returns `unreachable` when the server has not connected to us; it is then as it was
 * @throws HoldfastError HF_RESTORE_FAILED, HF_INTERRUPTED
 */
export async function feedAsMaster(feed: Feed): Promise<'fed' | 'unreachable'> {
  const { open, signal, patienceMs = PATIENCE_MS } = feed
  // Without the signal: what is begun has to be put back.
  using client = await open()
  const token = toHex(randomBytes(24))
  const before = await settingOf(client, 'masterauth')
  await using master = await Master.listen(client.addresses?.local ?? LOOPBACK, token, feed)
  const { host, port } = master
  const watchdog = await watchReplication({
    connection: feed.connection,
    master: { host, port },
    token,
    masterauth: before,
  })
  try {
    await client.command('CONFIG', 'SET', 'masterauth', token)
    await client.command('REPLICAOF', host, String(port))
    for (let waitedMs = 0; ; waitedMs += POLL_MS) {
      throwIfInterrupted(signal)
      if (master.failure !== undefined) throw master.failure
      // What is not asked: a server that removes its old data and loads ours may be busy for minutes, and says so to its master only.
      if (master.state === 'taken' && (await isLinked(client, master))) return 'fed'
      if (master.state === 'awaited') {
        await client.ask('PING')
        if (master.state === 'awaited' && waitedMs >= patienceMs) return 'unreachable'
      }
      await systemClock.sleep(POLL_MS)
    }
  } finally {
    await letGo(client, open, before).catch((error) => {
      watchdog.release()
      throw error
    })
    await watchdog.dismiss()
  }
}

async function isLinked(client: RedisClient, { port }: Master): Promise<boolean> {
  const info = parseInfo(String(await client.command('INFO', 'replication')))
  return info.get('master_port') === String(port) && info.get('master_link_status') === 'up'
}

async function settingOf(client: RedisClient, name: string): Promise<string> {
  const reply = await client.command('CONFIG', 'GET', name)
  return Array.isArray(reply) ? String(reply[1] ?? '') : ''
}

/** Makes a master of the server again, by another connection if this one is lost. */
async function letGo(client: RedisClient, open: TargetServer, masterauth: string): Promise<void> {
  const put = async (to: RedisClient): Promise<void> => {
    await to.command('REPLICAOF', 'NO', 'ONE')
    await to.command('CONFIG', 'SET', 'masterauth', masterauth)
  }
  try {
    await put(client)
  } catch {
    try {
      using another = await open()
      await put(another)
    } catch (cause) {
      throw new HoldfastError(
        'HF_RESTORE_FAILED',
        `${client.server} is not a master again: ${(cause as Error).message}`,
        {
          cause,
          hint: 'a process of ours does it once the server answers; if it does not: REPLICAOF NO ONE, and CONFIG SET masterauth to what it was',
        },
      )
    }
  }
}

/** What one server takes for its master. */
class Master implements AsyncDisposable {
  readonly host: string
  readonly port: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #token: Uint8Array
  readonly #feed: Feed
  /** `taken`: the server has loaded what was sent, and acknowledges it. */
  state: 'awaited' | 'sending' | 'sent' | 'taken' = 'awaited'
  failure: HoldfastError | undefined

  private constructor(server: Server, host: string, port: number, token: string, feed: Feed) {
    this.#server = server
    this.host = host
    this.port = port
    this.#token = utf8(token)
    this.#feed = feed
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS)
      socket.on('error', () => undefined).once('close', () => this.#sockets.delete(socket))
      void this.#serve(socket)
    })
  }

  static async listen(host: string, token: string, feed: Feed): Promise<Master> {
    const server = createServer()
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, host, resolve))
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('a server on a port has one')
    return new Master(server, host, address.port, token, feed)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(socket: Socket): Promise<void> {
    const reader = new SocketReader(socket, 'the server that is restored', SILENCE_MS)
    let isTrusted = false
    /** Strangers that come and go do not end a restore. */
    let isTaking = false
    try {
      for (;;) {
        const request = await nextRequest(reader)
        const [name = '', ...args] = Array.isArray(request) ? request.map(String) : []
        switch (name.toUpperCase()) {
          case 'AUTH':
            isTrusted = equalBytes(utf8(args.at(-1) ?? ''), this.#token)
            socket.write(isTrusted ? '+OK\r\n' : '-WRONGPASS\r\n')
            if (!isTrusted) return
            break
          case 'PING':
            socket.write(isTrusted ? '+PONG\r\n' : '-NOAUTH Authentication required.\r\n')
            break
          case 'PSYNC':
          case 'SYNC':
            if (!isTrusted) return
            if (this.state !== 'awaited') {
              this.failure ??= failed('it asked for it once more, since it could not load it or lost the connection')
              return
            }
            this.state = 'sending'
            isTaking = true
            if (name.toUpperCase() === 'PSYNC') socket.write(`+FULLRESYNC ${toHex(randomBytes(20))} 0\r\n`)
            await this.#send(socket)
            break
          case 'REPLCONF':
            if (!isTrusted) return
            // What it has taken is the one thing that is not answered.
            if (args[0]?.toUpperCase() !== 'ACK') socket.write('+OK\r\n')
            else if (isTaking && this.state === 'sent') this.state = 'taken'
            break
          default:
            return
        }
      }
    } catch (error) {
      if (isTaking && this.state !== 'taken')
        this.failure ??= failed(`the copy broke off: ${(error as Error).message}`, error)
    } finally {
      socket.destroy()
    }
  }

  async #send(socket: Socket): Promise<void> {
    const { rdb, bytes, onBytes, signal } = this.#feed
    socket.write(`$${bytes}\r\n`)
    let sent = 0
    for await (const piece of rdb()) {
      throwIfInterrupted(signal)
      if (!socket.write(piece)) await drained(socket)
      if (socket.destroyed) throw new Error('the server closed the connection')
      sent += piece.length
      onBytes(sent)
    }
    if (sent !== bytes) throw new Error(`the file has ${sent} bytes instead of ${bytes}`)
    this.state = 'sent'
  }
}

/** The next command. A server that is busy with our file sends empty lines, so that we do not take it for dead. */
async function nextRequest(reader: SocketReader): Promise<Reply> {
  for (;;) {
    const line = await reader.line(MAX_LINE_BYTES)
    if (line === '') continue
    reader.unread(Buffer.from(`${line}\r\n`))
    return await readReply(reader)
  }
}

async function drained(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  socket.once('drain', resolve).once('close', resolve)
  await promise
  socket.off('drain', resolve).off('close', resolve)
}

const failed = (what: string, cause?: unknown): HoldfastError =>
  new HoldfastError('HF_RESTORE_FAILED', `the server did not take the RDB file: ${what}`, {
    cause,
    hint: 'its log says why',
  })
