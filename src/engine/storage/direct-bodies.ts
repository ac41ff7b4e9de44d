import {
  type ClientRequestArgs,
  type Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http'
import { type Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { OnReadOpts, Socket } from 'node:net'

/** The memory for a body of exactly `length` bytes; undefined when it is to come as a stream. */
export type BodyMemory = (status: number, length: number) => Uint8Array | undefined

/** A GET without a body. */
export interface DirectRequest {
  readonly isTls: boolean
  readonly host: string
  readonly port: number | undefined
  /** With the query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

export interface DirectOptions {
  readonly memory: BodyMemory
  readonly signal?: AbortSignal | undefined
  /** For the connection to be made. */
  readonly connectMs: number
  /** Without any progress. */
  readonly stuckMs: number
}

export interface DirectAnswer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  /** What of the body was not taken into memory: all of it or nothing. */
  readonly body: IncomingMessage
  /** All of the body, in the memory that was given for it. */
  readonly bytes: Uint8Array | undefined
}

const SCRATCH_BYTES = 64 << 10
const LARGEST_HEAD_BYTES = 16 << 10

/**
 * Lets bodies of answers go from the socket straight into memory of the caller. What Node's HTTP client hands on instead are pieces of 64 KiB, each read
 * into memory of its own and copied into another one by the parser; gigabytes of these keep the garbage collector busier than everything else a restore
 * does on the main thread.
 *
 * Such a body never reaches the HTTP client, which is shown the head with a length of 0 when all of it is there. Whatever is not plain (another
 * status, no length, chunks, a head that is too long) passes through unchanged.
 */
export class DirectBodies {
  /** For what is not known yet to be part of a body. Never kept: what is in it is copied before another connection is read. */
  readonly #scratch = new Uint8Array(SCRATCH_BYTES)
  readonly #intakes = new WeakMap<Socket, BodyIntake>()
  readonly #httpAgent: HttpAgent
  readonly #httpsAgent: HttpsAgent

  /** Connections of these agents, which use no proxy, are made by this from here on. */
  constructor(httpAgent: HttpAgent, httpsAgent: HttpsAgent) {
    this.#httpAgent = httpAgent
    this.#httpsAgent = httpsAgent
    this.#equip(httpAgent)
    this.#equip(httpsAgent)
  }

  /** Errors are those of Node's HTTP client, or a `TimeoutError`. Once it has ended, nothing touches the memory any more. */
  get(
    { isTls, host, port, path, headers }: DirectRequest,
    { memory, signal, connectMs, stuckMs }: DirectOptions,
  ): Promise<DirectAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<DirectAnswer>()
    const outgoing = (isTls ? httpsRequest : httpRequest)({
      host,
      ...(port === undefined ? {} : { port }),
      path,
      headers,
      agent: isTls ? this.#httpsAgent : this.#httpAgent,
      ...(signal === undefined ? {} : { signal }),
    })
    const giveUp = (): void => void outgoing.destroy(new LateAnswer())
    let intake: BodyIntake | undefined
    outgoing.once('socket', (socket) => {
      intake = this.#intakes.get(socket)
      intake?.expect(memory)
      if (!socket.connecting) return
      const timer = setTimeout(giveUp, connectMs)
      socket.once('connect', () => clearTimeout(timer))
      socket.once('close', () => clearTimeout(timer))
    })
    outgoing.setTimeout(stuckMs, giveUp)
    outgoing.once('response', (body) => {
      const bytes = intake?.taken
      const length = bytes === undefined ? {} : { 'content-length': String(bytes.length) }
      // Without a reader the connection would not become free.
      if (bytes !== undefined) body.resume()
      resolve({
        statusCode: body.statusCode ?? 0,
        headers: { ...(body.headers as Record<string, string>), ...length },
        body,
        bytes,
      })
    })
    outgoing.on('error', reject)
    outgoing.end()
    return promise
  }

  #equip(agent: HttpAgent): void {
    const connect = agent.createConnection.bind(agent)
    agent.createConnection = (options: ClientRequestArgs, callback) => {
      const intake = new BodyIntake(this.#scratch)
      // Node passes them on to `connect` of `net` and of `tls`, though the types of an agent do not know it.
      const socket = connect({ ...options, onread: intake.onread } as ClientRequestArgs, callback) as Socket
      intake.begin(socket)
      this.#intakes.set(socket, intake)
      return socket
    }
  }
}

class LateAnswer extends Error {
  override readonly name = 'TimeoutError'
  constructor() {
    super('no answer came in time')
  }
}

/** What one connection reads: handed on, but for the bodies that are expected. */
class BodyIntake {
  readonly onread: OnReadOpts
  readonly #scratch: Uint8Array
  #socket: Socket | undefined
  #memory: BodyMemory | undefined
  /** What has come of a head that is waited for. */
  #head: Buffer = Buffer.alloc(0)
  /** The head of the body that is being read, as it will be handed on. */
  #shown: Buffer | undefined
  #target: Uint8Array | undefined
  #used = 0
  #taken: Uint8Array | undefined

  constructor(scratch: Uint8Array) {
    this.#scratch = scratch
    this.onread = {
      buffer: () => this.#target?.subarray(this.#used) ?? scratch,
      callback: (length) => (this.#target === undefined ? this.#readScratch(length) : this.#readBody(length)),
    }
  }

  begin(socket: Socket): void {
    this.#socket = socket
  }

  /** The body of the last answer, when it was taken. */
  get taken(): Uint8Array | undefined {
    return this.#taken
  }

  /** For the answer to the request that is about to be sent. */
  expect(memory: BodyMemory): void {
    this.#memory = memory
    this.#taken = undefined
  }

  #readScratch(length: number): boolean {
    // A copy: whoever gets it reads it later.
    const bytes = Buffer.from(this.#scratch.subarray(0, length))
    const memory = this.#memory
    if (memory === undefined) return this.#pass(bytes)
    this.#head = this.#head.length === 0 ? bytes : Buffer.concat([this.#head, bytes])
    const head = this.#head
    const end = head.indexOf('\r\n\r\n') + 4
    if (end < 4 && head.length < LARGEST_HEAD_BYTES) return true
    this.#memory = undefined
    this.#head = Buffer.alloc(0)
    const plain = end < 4 ? undefined : plainHead(head.subarray(0, end))
    const target = plain && memory(plain.status, plain.length)
    if (plain === undefined || target === undefined) return this.#pass(head)
    this.#target = target
    this.#shown = plain.withoutBody
    const first = head.subarray(end, end + target.length)
    target.set(first)
    // What follows the body belongs to nobody: the HTTP client deals with it as such.
    const rest = head.subarray(end + first.length)
    const isWanted = this.#readBody(first.length)
    return rest.length === 0 ? isWanted : this.#pass(rest)
  }

  #readBody(length: number): boolean {
    this.#used += length
    if (this.#used < this.#target!.length) return true
    this.#taken = this.#target
    this.#target = undefined
    this.#used = 0
    return this.#pass(this.#shown!)
  }

  #pass(bytes: Buffer): boolean {
    return this.#socket!.push(bytes)
  }
}

interface PlainHead {
  readonly status: number
  readonly length: number
  /** The same head, of an answer without a body. */
  readonly withoutBody: Buffer
}

/** The head of an answer whose body is so many bytes as they are, by one header that leaves no doubt; undefined for any other. */
function plainHead(head: Buffer): PlainHead | undefined {
  const text = head.toString('latin1')
  const status = /^HTTP\/1\.1 (20[06]) /.exec(text)?.[1]
  const lengths = [...text.matchAll(/\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*(?=\r\n)/gi)]
  const isDoubtful = /\r\n(transfer-encoding|upgrade|[ \t])|(?<!\r)\n|\r(?!\n)|content-length.*content-length/is.test(
    text,
  )
  const length = Number(lengths[0]?.[1] ?? 0)
  if (status === undefined || lengths.length !== 1 || isDoubtful || length === 0) return undefined
  const withoutBody = Buffer.from(text.replace(lengths[0]![0], '\r\nContent-Length: 0'), 'latin1')
  return { status: Number(status), length, withoutBody }
}
