import { HoldfastError } from '../../lib/errors.ts'
import { ByteInput } from './byte-input.ts'
import { connectionLost, type ErrorPlace, type ServerReport, serverError } from './server-error.ts'

/** Types of messages of the server; PostgreSQL documentation, "Message Formats". */
export const messageTypes = {
  rowDescription: 'T',
  dataRow: 'D',
  commandComplete: 'C',
  readyForQuery: 'Z',
  error: 'E',
  notice: 'N',
  parameterStatus: 'S',
  copyIn: 'G',
  copyOut: 'H',
  copyData: 'd',
  copyDone: 'c',
} as const

export interface MessageHeader {
  readonly type: string
  /** Bytes of the body. */
  readonly length: number
}

const HEADER_BYTES = 5

/** The beginning of a message to the server. */
export function messageHeader(type: string, length: number): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES)
  header.write(type, 'latin1')
  header.writeUInt32BE(length + 4, 1)
  return header
}
/** Of messages that are taken whole. Those with data are read in pieces, and their length costs no memory. */
const MAX_BODY_BYTES = 16 * 1024 * 1024

/**
 * The server's half of a conversation, message by message. It reads from the socket only what is asked for, so a consumer that is slow
 * slows the server down, and memory stays flat.
 */
export class Wire {
  readonly #input: ByteInput
  readonly #place: ErrorPlace
  readonly #onNotice: (notice: ServerReport) => void
  /** Bytes of the current message that are not read yet. */
  #left = 0

  constructor(input: AsyncIterable<Uint8Array>, place: ErrorPlace, onNotice: (notice: ServerReport) => void) {
    this.#input = new ByteInput(input)
    this.#place = place
    this.#onNotice = onNotice
  }

  /**
   * The next message, except those the server may send at any time. What is left of the message before is skipped.
   * @throws HoldfastError when the server reports an error or is gone
   */
  async next(): Promise<MessageHeader> {
    for (;;) {
      for await (const _ of this.pieces());
      const header = Buffer.from(await this.#take(HEADER_BYTES))
      const type = header.toString('latin1', 0, 1)
      const length = header.readUInt32BE(1) - 4
      if (length < 0) throw this.unexpected(`a message with an impossible length`)
      this.#left = length
      if (type === messageTypes.error) throw serverError(readReport(await this.body()), this.#place)
      if (type === messageTypes.notice) this.#onNotice(readReport(await this.body()))
      else if (type !== messageTypes.parameterStatus) return { type, length }
    }
  }

  /** The next message, which must be of this type. */
  async expect(type: string): Promise<void> {
    const message = await this.next()
    if (message.type !== type) throw this.unexpected(`message ${JSON.stringify(message.type)} where ${type} belongs`)
  }

  /** What is left of the current message. */
  async body(): Promise<Buffer> {
    if (this.#left > MAX_BODY_BYTES) throw this.unexpected(`a message of ${this.#left} bytes`)
    return Buffer.from(await this.#take(this.#left))
  }

  /** One byte of the current message; undefined at its end. */
  async byte(): Promise<number | undefined> {
    return this.#left === 0 ? undefined : (await this.#take(1))[0]
  }

  /** The rest of the current message as it comes in. */
  async *pieces(): AsyncGenerator<Uint8Array> {
    while (this.#left > 0) {
      const piece = await this.#input.some(this.#left)
      if (piece.length === 0) throw connectionLost(this.#place)
      this.#left -= piece.length
      yield piece
    }
  }

  unexpected(what: string): HoldfastError {
    return new HoldfastError('HF_SOURCE_DAMAGED', `${this.#place.server} sent ${what}`, {
      hint: 'is something between here and the server that changes what it says, such as a connection pooler?',
      context: { server: this.#place.server },
    })
  }

  async #take(count: number): Promise<Uint8Array> {
    const bytes = await this.#input.take(count)
    if (bytes.length < count) throw connectionLost(this.#place)
    this.#left = Math.max(0, this.#left - count)
    return bytes
  }
}

/** The fields of an ErrorResponse or NoticeResponse: a letter and a text each, a zero byte behind the last. */
export function readReport(body: Buffer): ServerReport {
  const fields = new Map<string, string>()
  for (let at = 0; at < body.length && body[at] !== 0; ) {
    const end = body.indexOf(0, at + 1)
    if (end < 0) break
    fields.set(body.toString('latin1', at, at + 1), body.toString('utf8', at + 1, end))
    at = end + 1
  }
  return {
    severity: fields.get('V') ?? fields.get('S') ?? 'ERROR',
    code: fields.get('C') ?? '',
    message: fields.get('M') ?? 'an error without a message',
    detail: fields.get('D'),
    hint: fields.get('H'),
  }
}

/** The names of the columns in a RowDescription. */
export function readColumns(body: Buffer): readonly string[] {
  const columns: string[] = []
  // After the name: table, column, type, its size, its modifier, format.
  const REST_BYTES = 18
  for (let at = 2; at < body.length; ) {
    const end = body.indexOf(0, at)
    if (end < 0) break
    columns.push(body.toString('utf8', at, end))
    at = end + 1 + REST_BYTES
  }
  return columns
}

/** The values of a DataRow as text; null is undefined. */
export function readValues(body: Buffer): readonly (string | undefined)[] {
  const values: (string | undefined)[] = []
  for (let at = 2; at + 4 <= body.length; ) {
    const length = body.readInt32BE(at)
    at += 4
    values.push(length < 0 ? undefined : body.toString('utf8', at, at + length))
    at += Math.max(0, length)
  }
  return values
}
