import { type ClientHttp2Session, connect, constants } from 'node:http2'
import { type Duplex, PassThrough, pipeline } from 'node:stream'
import { type HttpConnection, type HttpReply, type HttpRequest, stuckError } from '../rest/http-connection.ts'

const { HTTP2_HEADER_METHOD, HTTP2_HEADER_PATH, HTTP2_HEADER_STATUS, NGHTTP2_CANCEL } = constants

/** The library's default of 64 KiB would keep a server waiting; packs are megabytes. */
const WINDOW_BYTES = 4 << 20

/** HTTP/2 over a stream that leads to a server. */
export class Http2Connection implements HttpConnection {
  readonly #session: ClientHttp2Session
  readonly #stuckMs: number
  #failure: Error | undefined

  /** @param stuckMs gives up a request on which nothing has moved for so long */
  constructor(stream: Duplex, stuckMs: number) {
    this.#stuckMs = stuckMs
    this.#session = connect('http://localhost', {
      createConnection: () => stream,
      settings: { initialWindowSize: WINDOW_BYTES },
      // In megabytes. What is under way is bounded by the number of calls, and lies in memory anyway.
      maxSessionMemory: 4096,
    })
    this.#session.on('error', (error) => {
      this.#failure ??= error
    })
    this.#session.on('connect', () => this.#session.setLocalWindowSize(4 * WINDOW_BYTES))
  }

  get isUsable(): boolean {
    return !this.#session.closed && !this.#session.destroyed
  }

  send({ method, path, headers, body, signal }: HttpRequest): Promise<HttpReply> {
    const { promise, resolve, reject } = Promise.withResolvers<HttpReply>()
    if (!this.isUsable) return Promise.reject(this.#failure ?? new Error('the connection was closed'))
    const length = body === undefined ? {} : { 'content-length': body.length }
    const stream = this.#session.request(
      { ...lowerCase(headers), ...length, [HTTP2_HEADER_METHOD]: method, [HTTP2_HEADER_PATH]: path },
      { endStream: body === undefined, ...(signal === undefined ? {} : { signal }) },
    )
    stream.setTimeout(this.#stuckMs, () => {
      stream.close(NGHTTP2_CANCEL)
      stream.destroy(stuckError({ stuckRequestTimeoutMs: this.#stuckMs }))
    })
    // Node throws away what nobody takes at once, and a caller takes it later.
    const reply = new PassThrough()
    reply.on('error', () => undefined)
    pipeline(stream, reply, (error) => reject(this.#failure ?? error ?? new Error('the server gave no answer')))
    stream.once('response', (fields) =>
      resolve({
        status: Number(fields[HTTP2_HEADER_STATUS]),
        headers: fields as HttpReply['headers'],
        body: reply,
      }),
    )
    if (body !== undefined) stream.end(body)
    return promise
  }

  async close(): Promise<void> {
    this.#session.destroy()
  }
}

const lowerCase = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
