import { type IncomingHttpHeaders, Agent as PlainAgent, request as plainRequest } from 'node:http'
import { Agent as SecureAgent, request as secureRequest } from 'node:https'
import { type NetworkSettings, tlsOptions } from '../network.ts'

export interface HttpRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
  readonly signal: AbortSignal
}

/** An answer whose body has not been read: read it, or destroy it. */
export interface HttpAnswer extends AsyncIterable<Uint8Array> {
  readonly statusCode?: number | undefined
  readonly headers: IncomingHttpHeaders
  destroy(): void
}

/** Makes requests over connections that are kept for the next ones. */
export class HttpConnections {
  readonly #network: NetworkSettings
  #plain: PlainAgent | undefined
  #secure: SecureAgent | undefined

  constructor(network: NetworkSettings) {
    this.#network = network
  }

  /** @throws errors of the network */
  send({ method, url, headers, body, signal }: HttpRequest): Promise<HttpAnswer> {
    const { userAgent, stuckRequestTimeoutMs } = this.#network
    const isSecure = url.protocol === 'https:'
    const agent = isSecure ? this.#secureAgent() : this.#plainAgent()
    const length = body === undefined ? {} : { 'content-length': String(body.length) }
    const named = userAgent === undefined ? {} : { 'user-agent': userAgent }
    return new Promise((resolve, reject) => {
      const asking = (isSecure ? secureRequest : plainRequest)(
        url,
        { method, agent, signal, headers: { ...named, ...headers, ...length }, timeout: stuckRequestTimeoutMs },
        (answer) => {
          // Also when it breaks before somebody reads it.
          answer.on('error', () => undefined)
          resolve(answer)
        },
      )
      asking.on('timeout', () =>
        asking.destroy(Object.assign(new Error('it makes no progress'), { code: 'ETIMEDOUT' })),
      )
      asking.on('error', reject)
      asking.end(body)
    })
  }

  close(): void {
    this.#plain?.destroy()
    this.#secure?.destroy()
  }

  #plainAgent(): PlainAgent {
    this.#plain ??= new PlainAgent({ keepAlive: true })
    return this.#plain
  }

  #secureAgent(): SecureAgent {
    this.#secure ??= new SecureAgent({ keepAlive: true, ...tlsOptions(this.#network) })
    return this.#secure
  }
}
