import type { Duplex } from 'node:stream'
import type pg from 'pg'
import { type ConnectedClient, type ConnectOptions, connectClient } from './connection.ts'
import type { Endpoint } from './endpoint.ts'
import { connectionLost, type ErrorPlace, type ServerReport } from './server-error.ts'
import { messageHeader, messageTypes, readColumns, readValues, Wire } from './wire.ts'

/** A row of an answer to a replication command, by column. */
export type TextRow = Readonly<Record<string, string | undefined>>

/** What a cluster is and where its log is. */
export interface SystemIdentity {
  /** As text: it exceeds what a number holds. */
  readonly systemId: string
  readonly timeline: number
}

/** Warnings kept of one connection; a broken disk can make the server send millions. */
const MAX_WARNINGS = 100

/**
 * A WAL sender of the server, which takes the commands of PostgreSQL documentation, "Streaming Replication Protocol". Logging in is the
 * driver's business; from there on the socket is read here, since the driver neither waits for a slow consumer nor takes copies whose
 * messages have to be told apart.
 */
export class ReplicationConnection implements AsyncDisposable {
  readonly place: ErrorPlace
  readonly wire: Wire
  /** Warnings of the server, the first hundred. */
  readonly warnings: readonly ServerReport[]
  warningCount = 0
  readonly #client: pg.Client
  readonly #signal: AbortSignal | undefined
  readonly #abort: () => void

  private constructor({ client, place, arrival }: ConnectedClient, signal: AbortSignal | undefined) {
    this.#client = client
    this.#signal = signal
    this.place = place
    const warnings: ServerReport[] = []
    this.warnings = warnings
    const { stream } = client.connection
    // The driver's parser lets go of the socket. It is silent now: the server waits for a command.
    stream.pause()
    stream.removeAllListeners('data')
    this.#abort = () => stream.destroy()
    signal?.addEventListener('abort', this.#abort, { once: true })
    this.wire = new Wire(
      this.#received(arrival?.takeOver() ?? stream.iterator({ destroyOnReturn: false })),
      place,
      (notice) => {
        if (notice.severity !== 'WARNING') return
        this.warningCount++
        if (warnings.length < MAX_WARNINGS) warnings.push(notice)
      },
    )
  }

  /** @throws HoldfastError HF_SOURCE_UNREACHABLE, HF_SOURCE_PERMISSION */
  static async open(
    endpoint: Endpoint,
    password: string | undefined,
    options: ConnectOptions = {},
  ): Promise<ReplicationConnection> {
    return new ReplicationConnection(await connectClient(endpoint, password, 'replication', options), options.signal)
  }

  /** Sends a command; its answer is read from `wire`. */
  send(command: string): void {
    this.#client.connection.query(command)
  }

  /** The rows of a command that answers with one result. */
  async rows(command: string): Promise<readonly TextRow[]> {
    this.send(command)
    const rows = await this.result()
    await this.wire.expect(messageTypes.readyForQuery)
    return rows
  }

  /** The next result of an answer. */
  async result(): Promise<readonly TextRow[]> {
    let columns: readonly string[] = []
    const rows: TextRow[] = []
    for (;;) {
      const { type } = await this.wire.next()
      if (type === messageTypes.rowDescription) columns = readColumns(await this.wire.body())
      else if (type === messageTypes.dataRow) {
        const values = readValues(await this.wire.body())
        rows.push(Object.fromEntries(columns.map((column, i) => [column, values[i]])))
      } else if (type === messageTypes.commandComplete) return rows
      else throw this.wire.unexpected(`message ${JSON.stringify(type)} in a result`)
    }
  }

  /**
   * Sends bytes with a command that takes a copy. The pieces must stay as they are.
   * @throws HoldfastError with what the server reports; then `recover` goes on. Whatever `content` throws: then the connection is of no use
   */
  async copyIn(command: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    this.send(command)
    await this.wire.expect(messageTypes.copyIn)
    const { stream } = this.#client.connection
    for await (const piece of content) {
      this.#signal?.throwIfAborted()
      stream.write(messageHeader(messageTypes.copyData, piece.length))
      if (!stream.write(piece)) await drained(stream)
    }
    stream.write(messageHeader(messageTypes.copyDone, 0))
    await this.result()
    await this.wire.expect(messageTypes.readyForQuery)
  }

  /** After an error the server reported: reads on to where it takes the next command. */
  async recover(): Promise<void> {
    await this.wire.expect(messageTypes.readyForQuery)
  }

  /** A setting of the server. */
  async show(setting: string): Promise<string> {
    return this.only(await this.rows(`SHOW ${setting}`), setting)
  }

  async identify(): Promise<SystemIdentity> {
    const rows = await this.rows('IDENTIFY_SYSTEM')
    return { systemId: this.only(rows, 'systemid'), timeline: Number(this.only(rows, 'timeline')) }
  }

  /** A column of a result of one row. */
  only(rows: readonly TextRow[], column: string): string {
    const value = rows.length === 1 ? rows[0]![column] : undefined
    if (value === undefined) throw this.wire.unexpected(`no ${column}`)
    return value
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#abort)
    // Whatever it is still sending is of no use to anybody, so the connection is cut rather than ended.
    this.#client.connection.stream.destroy()
  }

  async *#received(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* pieces
    } catch (error) {
      this.#signal?.throwIfAborted()
      throw connectionLost(this.place, error)
    }
    this.#signal?.throwIfAborted()
  }
}

/** Resolves when more can be written, or nothing can be any more: whoever reads next learns why. */
async function drained(stream: Duplex): Promise<void> {
  if (stream.destroyed || !stream.writableNeedDrain) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      stream.off('drain', done)
      stream.off('close', done)
      resolve()
    }
    stream.once('drain', done)
    stream.once('close', done)
  })
}
