import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { systemErrorCode } from '../../../lib/errors.ts'
import { type NetworkSettings, tlsOptions } from '../network.ts'
import { type HttpConnection, type HttpReply, type HttpRequest, stuckError } from './http-connection.ts'

export interface HttpServerAddress {
  readonly isTls: boolean
  readonly host: string
  readonly port: number
  /** Instead of host and port, which then are for the `Host` header only. */
  readonly socketPath?: string | undefined
}

/** A server asks for the body of a longer upload (`100 Continue`) or refuses it unsent; without an answer it is sent after a while. */
const ASK_BEFORE_BYTES = 256 << 10
const UNASKED_AFTER_MS = 2000
/** A server's end of an idle connection closes some time; ours goes first. */
const IDLE_MS = 30_000

const untrusted: ReadonlySet<string | undefined> = new Set([
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
])

/** HTTP/1.1 over connections that are kept, by TCP, TLS or a unix socket. @throws HoldfastError HF_USAGE for certificates that cannot be read */
export function openHttp1(address: HttpServerAddress, network: NetworkSettings): HttpConnection {
  return new Http1Connection(address, network)
}

class Http1Connection implements HttpConnection {
  readonly #address: HttpServerAddress
  readonly #network: NetworkSettings
  #trustsSystem = false
  #agent: HttpAgent

  constructor(address: HttpServerAddress, network: NetworkSettings) {
    this.#address = address
    this.#network = network
    this.#agent = this.#newAgent()
  }

  async send(request: HttpRequest): Promise<HttpReply> {
    const agent = this.#agent
    try {
      return await this.#attempt(request)
    } catch (error) {
      if (request.signal?.aborted) throw error
      if (this.#mayTrustMore(error)) {
        // Another call may have done it meanwhile.
        if (agent === this.#agent) this.#trustSystem()
        return await this.#attempt(request)
      }
      // The server closed an idle connection in the very moment it was taken again. An upload may have been done all the same.
      if (error instanceof IdleConnectionLost && request.method !== 'POST') return await this.#attempt(request)
      throw error instanceof IdleConnectionLost ? error.cause : error
    }
  }

  async close(): Promise<void> {
    this.#agent.destroy()
  }

  #newAgent(): HttpAgent {
    const options = { keepAlive: true, timeout: IDLE_MS, scheduling: 'lifo' as const }
    return this.#address.isTls
      ? new HttpsAgent({ ...options, ...tlsOptions(this.#network, this.#trustsSystem) })
      : new HttpAgent(options)
  }

  #mayTrustMore(error: unknown): boolean {
    return !this.#trustsSystem && this.#network.caFiles.length === 0 && untrusted.has(systemErrorCode(error))
  }

  #trustSystem(): void {
    this.#trustsSystem = true
    this.#agent.destroy()
    this.#agent = this.#newAgent()
  }

  #attempt({ method, path, headers, body, signal }: HttpRequest): Promise<HttpReply> {
    const { isTls, host, port, socketPath } = this.#address
    const asks = body !== undefined && body.length >= ASK_BEFORE_BYTES
    const { promise, resolve, reject } = Promise.withResolvers<HttpReply>()
    const outgoing: ClientRequest = (isTls ? httpsRequest : httpRequest)({
      ...(socketPath === undefined ? { host, port } : { socketPath, host }),
      agent: this.#agent,
      method,
      path,
      signal,
      headers: {
        ...headers,
        ...(body === undefined ? {} : { 'Content-Length': body.length }),
        ...(asks ? { Expect: '100-continue' } : {}),
      },
    })
    outgoing.setTimeout(this.#network.stuckRequestTimeoutMs, () => outgoing.destroy(stuckError(this.#network)))
    outgoing.once('response', (incoming: IncomingMessage) =>
      resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: incoming }),
    )
    outgoing.on('error', (error) => {
      const isIdleLost = outgoing.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(systemErrorCode(error) ?? '')
      reject(isIdleLost ? new IdleConnectionLost(error.message, { cause: error }) : error)
    })
    if (!asks) {
      outgoing.end(body)
      return promise
    }
    const send = (): void => {
      clearTimeout(timer)
      if (!outgoing.writableEnded) outgoing.end(body)
    }
    const timer = setTimeout(send, UNASKED_AFTER_MS)
    outgoing.once('continue', send)
    outgoing.once('response', () => {
      clearTimeout(timer)
      // Refused before the body was sent: what was promised never comes, so this connection is of no more use.
      if (!outgoing.writableEnded) outgoing.once('close', () => outgoing.destroy())
    })
    outgoing.once('close', () => clearTimeout(timer))
    outgoing.flushHeaders()
    return promise
  }
}

class IdleConnectionLost extends Error {}
