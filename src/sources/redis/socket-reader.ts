import type { Socket } from 'node:net'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'

const LINE_BREAK = 0x0a
const CARRIAGE_RETURN = 0x0d

/** Reads a socket piece by piece, by demand: who does not read makes the server wait. */
export class SocketReader {
  readonly #socket: Socket
  readonly #pieces: AsyncIterator<Buffer>
  readonly #server: string
  readonly #timeoutMs: number
  #rest: Buffer = Buffer.alloc(0)

  /** A read fails when nothing comes for `timeoutMs`. `server` is how messages name it. */
  constructor(socket: Socket, server: string, timeoutMs: number) {
    this.#socket = socket
    this.#pieces = socket.iterator({ destroyOnReturn: false })
    this.#server = server
    this.#timeoutMs = timeoutMs
  }

  /** What comes next, in one piece of any length; undefined when the server has closed the connection. */
  async piece(): Promise<Buffer | undefined> {
    if (this.#rest.length > 0) {
      const rest = this.#rest
      this.#rest = Buffer.alloc(0)
      return rest
    }
    const silent = (): void => {
      this.#socket.destroy(this.#lost(`sends nothing for ${this.#timeoutMs / 1000} s`))
    }
    this.#socket.setTimeout(this.#timeoutMs, silent)
    try {
      const { value, done } = await this.#pieces.next()
      return done === true ? undefined : value
    } catch (error) {
      throw isHoldfastError(error) ? error : this.#lost('breaks the connection', error)
    } finally {
      this.#socket.setTimeout(0)
      this.#socket.off('timeout', silent)
    }
  }

  /** Gives bytes back: they come next. */
  unread(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([bytes, this.#rest])
  }

  /** Whether these bytes come next and have come; then they have been read. */
  skip(expected: Buffer): boolean {
    const rest = this.#rest
    const { length } = expected
    if (rest.length < length || rest.compare(expected, 0, length, 0, length) !== 0) return false
    this.#rest = rest.subarray(length)
    return true
  }

  /** A line without its end, which is \r\n or \n. */
  async line(limit: number): Promise<string> {
    const parts: Buffer[] = []
    let length = 0
    for (;;) {
      const piece = await this.#next()
      const end = piece.indexOf(LINE_BREAK)
      const part = end < 0 ? piece : piece.subarray(0, end)
      length += part.length
      if (length > limit) throw new HoldfastError('HF_SOURCE_DAMAGED', `${this.#server} sends a line without end`)
      parts.push(part)
      if (end < 0) continue
      if (end + 1 < piece.length) this.unread(piece.subarray(end + 1))
      const line = Buffer.concat(parts)
      return line.toString('utf8', 0, line.at(-1) === CARRIAGE_RETURN ? line.length - 1 : line.length)
    }
  }

  /** The next `count` bytes, for which memory is taken as they come. */
  async exactly(count: number): Promise<Buffer> {
    const parts: Buffer[] = []
    let missing = count
    while (missing > 0) {
      const piece = await this.#next()
      const part = piece.subarray(0, missing)
      if (part.length < piece.length) this.unread(piece.subarray(part.length))
      parts.push(part)
      missing -= part.length
    }
    return Buffer.concat(parts)
  }

  /** As `piece`, of a server that still has something to say. */
  async #next(): Promise<Buffer> {
    const piece = await this.piece()
    if (piece === undefined) throw this.#lost('closes the connection')
    return piece
  }

  #lost(what: string, cause?: unknown): HoldfastError {
    return new HoldfastError('HF_SOURCE_UNREACHABLE', `${this.#server} ${what}`, {
      cause,
      hint: 'the log of the server says why; it closes connections of too many clients, of slow replicas (client-output-buffer-limit), and when it stops',
    })
  }
}
