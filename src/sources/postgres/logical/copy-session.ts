import type { Duplex } from 'node:stream'
import type pg from 'pg'
import { asBuffer } from '../../../lib/bytes.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { type ConnectedClient, type ConnectOptions, connectClient } from '../connection.ts'
import type { Endpoint } from '../endpoint.ts'
import { connectionLost, type ErrorPlace, serverError } from '../server-error.ts'
import { messageTypes, readColumns, readReport, readValues } from '../wire.ts'
import { unframe } from './copy-frames.ts'

/** A row of a result as text, by column. */
export type TextRow = Readonly<Record<string, string | undefined>>

interface Message {
  readonly type: string
  readonly body: Buffer
}

const HEADER_BYTES = 5
/** Of messages that are taken whole. Rows of a COPY are not. */
const MAX_BODY_BYTES = 64 * 1024 * 1024
/** What is sent of a COPY before the socket is asked whether it has room. */
const WRITE_BYTES = 256 * 1024

/**
 * An SQL session for simple queries and COPY. Logging in is the driver's business; from there on the socket is read here: rows of a COPY
 * pass without an object for each of them, and a consumer that is slow slows the server down.
 */
export class CopySession implements AsyncDisposable {
  readonly place: ErrorPlace
  /** What the server said at the login it is. A pooler makes it up. */
  readonly announcedPid: number | undefined
  readonly #client: pg.Client
  readonly #stream: Duplex
  /** Each is valid until the next one is asked for. */
  readonly #pieces: AsyncIterator<Uint8Array>
  readonly #signal: AbortSignal | undefined
  readonly #abort: () => void
  #piece: Buffer = Buffer.alloc(0)

  private constructor({ client, place, arrival }: ConnectedClient, signal: AbortSignal | undefined) {
    this.#client = client
    this.#signal = signal
    this.place = place
    this.announcedPid = (client as unknown as { readonly processID?: number | null }).processID ?? undefined
    const { stream } = client.connection
    this.#stream = stream
    // The driver's parser lets go of the socket. It is silent now: the server waits for a command.
    stream.pause()
    stream.removeAllListeners('data')
    this.#abort = () => stream.destroy()
    signal?.addEventListener('abort', this.#abort, { once: true })
    this.#pieces =
      arrival?.takeOver({ gathers: true }) ?? (stream.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>)
  }

  /** @throws HoldfastError HF_SOURCE_UNREACHABLE, HF_SOURCE_PERMISSION */
  static async open(
    endpoint: Endpoint,
    password: string | undefined,
    options: ConnectOptions = {},
  ): Promise<CopySession> {
    const connected = await connectClient(endpoint, password, 'sql', { ...options, takesOver: true })
    return new CopySession(connected, options.signal)
  }

  /**
   * The rows of the last result of one or several statements.
   * @throws HoldfastError with what the server reports; the session can be used further
   */
  async rows(statements: string | Buffer): Promise<readonly TextRow[]> {
    this.#send('Q', asStatement(statements))
    let columns: readonly string[] = []
    let rows: TextRow[] = []
    for (;;) {
      const { type, body } = await this.#next()
      if (type === messageTypes.rowDescription) {
        columns = readColumns(body)
        rows = []
      } else if (type === messageTypes.dataRow) {
        const values = readValues(body)
        rows.push(Object.fromEntries(columns.map((column, i) => [column, values[i]])))
      } else if (type === messageTypes.readyForQuery) return rows
      else if (type === messageTypes.error) await this.#fail(body)
    }
  }

  /** The only row of a result. */
  async row(statements: string | Buffer): Promise<TextRow> {
    const rows = await this.rows(statements)
    if (rows.length !== 1) throw this.#unexpected(`${rows.length} rows where one belongs`)
    return rows[0]!
  }

  /**
   * The data of `COPY … TO STDOUT`, in pieces that are valid until the next one is asked for. `onRows` gets the number of rows at the end:
   * the server sends each in a message of its own (PostgreSQL documentation, "COPY Operations").
   *
   * @throws HoldfastError with what the server reports
   */
  async *copyOut(statement: string | Buffer, onRows?: (rows: number) => void): AsyncGenerator<Uint8Array> {
    this.#send('Q', asStatement(statement))
    const begin = await this.#next()
    if (begin.type === messageTypes.error) await this.#fail(begin.body)
    if (begin.type !== messageTypes.copyOut) throw this.#unexpected(`message ${begin.type} where a copy begins`)
    let left = 0
    let rows = 0
    for (;;) {
      if (this.#piece.length === 0) await this.#more()
      const { used, end, rows: begun, left: rest } = unframe(this.#piece, left)
      const data = this.#piece.subarray(0, end)
      this.#piece = this.#piece.subarray(used)
      left = rest
      rows += begun
      if (end > 0) yield data
      if (left > 0 || this.#piece.length === 0) continue
      // A header that is cut in two, or the end.
      const header = await this.#peek(HEADER_BYTES)
      if (header[0] === COPY_DATA) continue
      break
    }
    for (;;) {
      const { type, body } = await this.#next()
      if (type === messageTypes.error) await this.#fail(body)
      if (type === messageTypes.readyForQuery) break
    }
    onRows?.(rows)
  }

  /**
   * Feeds `COPY … FROM STDIN`.
   * @returns how many rows the server took
   * @throws HoldfastError with what the server reports; whatever `input` throws, after which the copy is undone
   */
  async copyIn(statement: string | Buffer, input: AsyncIterable<Uint8Array>): Promise<number> {
    this.#send('Q', asStatement(statement))
    const begin = await this.#next()
    if (begin.type === messageTypes.error) await this.#fail(begin.body)
    if (begin.type !== COPY_IN) throw this.#unexpected(`message ${begin.type} where a copy begins`)
    // The server may refuse a row while the next ones are on their way.
    let isAnswered = false
    const answer = this.#next().finally(() => {
      isAnswered = true
    })
    answer.catch(() => undefined)
    try {
      for await (const piece of input) {
        for (let at = 0; at < piece.length && !isAnswered; at += WRITE_BYTES)
          await this.#writeRows(piece.subarray(at, at + WRITE_BYTES))
        if (isAnswered) break
      }
      if (!isAnswered) this.#send('c', Buffer.alloc(0))
    } catch (error) {
      if (!isAnswered) this.#send('f', Buffer.from('the data cannot be read\0'))
      await answer.catch(() => undefined)
      await this.#settle().catch(() => undefined)
      throw error
    }
    let { type, body } = await answer
    let rows = 0
    for (; type !== messageTypes.readyForQuery; { type, body } = await this.#next()) {
      if (type === messageTypes.error) await this.#fail(body)
      if (type === messageTypes.commandComplete) rows = Number(/ (\d+)\0/.exec(body.toString('latin1'))?.[1] ?? 0)
    }
    return rows
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#abort)
    // Whatever it is still sending is of no use to anybody.
    this.#client.connection.stream.destroy()
  }

  #send(type: string, body: Buffer): void {
    const header = Buffer.alloc(HEADER_BYTES)
    header.write(type, 'latin1')
    header.writeUInt32BE(body.length + 4, 1)
    this.#stream.write(Buffer.concat([header, body]))
  }

  async #writeRows(bytes: Uint8Array): Promise<void> {
    const message = Buffer.allocUnsafe(HEADER_BYTES + bytes.length)
    message[0] = COPY_DATA
    message.writeUInt32BE(bytes.length + 4, 1)
    message.set(bytes, HEADER_BYTES)
    if (this.#stream.write(message)) return
    await new Promise<void>((resolve) => {
      const go = (): void => {
        this.#stream.off('drain', go)
        this.#stream.off('close', go)
        resolve()
      }
      this.#stream.once('drain', go)
      this.#stream.once('close', go)
      if (this.#stream.destroyed) go()
    })
    if (this.#stream.destroyed) throw connectionLost(this.place)
  }

  /** The next message but those the server may send at any time. */
  async #next(): Promise<Message> {
    for (;;) {
      const header = await this.#peek(HEADER_BYTES)
      const type = String.fromCharCode(header[0]!)
      const length = header.readUInt32BE(1) - 4
      if (length < 0 || length > MAX_BODY_BYTES) throw this.#unexpected(`a message of ${length} bytes`)
      const whole = await this.#peek(HEADER_BYTES + length)
      const body = Buffer.from(whole.subarray(HEADER_BYTES, HEADER_BYTES + length))
      this.#piece = this.#piece.subarray(HEADER_BYTES + length)
      if (type !== messageTypes.notice && type !== messageTypes.parameterStatus) return { type, body }
    }
  }

  /** At least `count` bytes that are not taken yet. */
  async #peek(count: number): Promise<Buffer> {
    if (this.#piece.length >= count) return this.#piece
    // The memory they lie in is used again.
    const held = [Buffer.from(this.#piece)]
    for (let length = this.#piece.length; length < count; length += this.#piece.length) {
      await this.#more()
      held.push(Buffer.from(this.#piece))
    }
    this.#piece = Buffer.concat(held)
    return this.#piece
  }

  async #more(): Promise<void> {
    try {
      const { value, done } = await this.#pieces.next()
      this.#signal?.throwIfAborted()
      if (done === true) throw connectionLost(this.place)
      this.#piece = asBuffer(value)
    } catch (error) {
      this.#signal?.throwIfAborted()
      throw error instanceof HoldfastError ? error : connectionLost(this.place, error)
    }
  }

  /** Throws what the server reported, once it takes commands again. */
  async #fail(body: Buffer): Promise<never> {
    const report = readReport(body)
    if (report.severity !== 'FATAL' && report.severity !== 'PANIC') await this.#settle().catch(() => undefined)
    throw serverError(report, this.place)
  }

  async #settle(): Promise<void> {
    while ((await this.#next()).type !== messageTypes.readyForQuery);
  }

  #unexpected(what: string): HoldfastError {
    return new HoldfastError('HF_SOURCE_DAMAGED', `${this.place.server} sent ${what}`, {
      hint: 'is something between here and the server that changes what it says, such as a connection pooler?',
      context: { server: this.place.server },
    })
  }
}

const COPY_DATA = messageTypes.copyData.charCodeAt(0)
const COPY_IN = 'G'

/** As a Query message has it. */
const asStatement = (text: string | Buffer): Buffer => Buffer.concat([Buffer.from(text), Buffer.of(0)])
