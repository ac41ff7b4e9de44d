import type { Storage } from '@google-cloud/storage'
import type { Clock } from '../../../lib/clock.ts'
import type { NetworkSettings } from '../network.ts'
import { networkFailure } from '../network-error.ts'
import { readBounded } from '../read-body.ts'
import type { GsAccount } from './gs-account.ts'
import { type HttpAnswer, HttpConnections } from './gs-http.ts'
import { type AccessToken, fetchToken, readServiceAccount, type ServiceAccountKey } from './service-account.ts'

export interface GsRequest {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Below the endpoint, its parts encoded: `/storage/v1/b/bucket`. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | object
  readonly signal: AbortSignal
  /** Told of the headers of an answer that says yes. */
  readonly onHeaders?: (headers: HttpAnswer['headers']) => void
}

/** An answer that says no. */
export class GsAnswerError extends Error {
  readonly status: number
  /** Google's name of the error: `rateLimitExceeded`. */
  readonly reason: string | undefined
  /** When the server answered, by its clock, since 1970; NaN when it does not say. */
  readonly serverDateMs: number

  constructor(status: number, reason: string | undefined, serverDateMs: number) {
    super(`status ${status}`)
    this.name = 'GsAnswerError'
    this.status = status
    this.reason = reason
    this.serverDateMs = serverDateMs
  }
}

/** Who asks could not be established. */
export class GsIdentityError extends Error {
  readonly serverDateMs: number

  constructor(cause: unknown) {
    super('no credentials', { cause })
    this.name = 'GsIdentityError'
    const headers = (cause as { response?: { headers?: Headers } } | undefined)?.response?.headers
    this.serverDateMs = Date.parse(headers instanceof Headers ? (headers.get('date') ?? '') : '')
  }
}

/** An answer that says no more than this about itself is cut. */
const ERROR_BYTES = 64 << 10
const JSON_BYTES = 64 << 20

/** A token is replaced when it is good for less. */
const TOKEN_MARGIN_MS = 5 * 60_000

/**
 * The JSON API of Google Cloud Storage: one attempt for each request, which ends with its signal. The calls of Google's own library cannot be
 * cancelled; what it is needed for is finding credentials that are no key of a service account.
 */
export class GsClient {
  readonly #account: GsAccount
  readonly #connections: HttpConnections
  readonly #clock: Clock
  #auth: Promise<Storage['authClient']> | undefined
  #key: Promise<ServiceAccountKey | undefined> | undefined
  #token: AccessToken | undefined
  #nextToken: Promise<AccessToken> | undefined

  constructor(account: GsAccount, network: NetworkSettings, clock: Clock) {
    this.#account = account
    this.#connections = new HttpConnections(network)
    this.#clock = clock
  }

  /** The answer, whose body has not been read. @throws GsAnswerError, GsIdentityError, errors of the network */
  async send({
    method = 'GET',
    path,
    query = {},
    headers = {},
    body,
    signal,
    onHeaders,
  }: GsRequest): Promise<HttpAnswer> {
    const url = new URL(`${this.#account.endpoint}${path}`)
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, String(value))
    const isJson = body !== undefined && !(body instanceof Uint8Array)
    const authorization = await this.#authorization(signal)
    const answer = await this.#connections.send({
      method,
      url,
      signal,
      headers: { ...(isJson ? { 'content-type': 'application/json' } : {}), ...headers, ...authorization },
      body: isJson ? Buffer.from(JSON.stringify(body)) : body,
    })
    const status = answer.statusCode ?? 0
    if (status >= 200 && status < 300) {
      onHeaders?.(answer.headers)
      return answer
    }
    const serverDateMs = Date.parse(answer.headers.date ?? '')
    throw new GsAnswerError(status, await reasonOf(answer), serverDateMs)
  }

  /** What the answer says as JSON. */
  async ask<T>(request: GsRequest): Promise<T> {
    const answer = await this.send(request)
    return JSON.parse(Buffer.from(await readBounded(answer, JSON_BYTES)).toString('utf8'))
  }

  /** For requests whose answer says nothing. */
  async tell(request: GsRequest): Promise<void> {
    await readBounded(await this.send(request), JSON_BYTES)
  }

  /** The project that is asked in. @throws GsIdentityError when nobody names one */
  async project(): Promise<string> {
    if (this.#account.project !== undefined) return this.#account.project
    if (this.#account.credential.kind === 'nobody') return 'emulated'
    try {
      return await (await this.#library()).getProjectId()
    } catch (error) {
      throw new GsIdentityError(error)
    }
  }

  close(): void {
    this.#connections.close()
  }

  async #authorization(signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
    const { credential } = this.#account
    if (credential.kind === 'nobody') return {}
    if (credential.kind === 'token') return { authorization: `Bearer ${credential.token}` }
    try {
      const key = await this.#serviceAccount()
      if (key !== undefined) return { authorization: `Bearer ${await this.#tokenFor(key, signal)}` }
      return Object.fromEntries(new Headers(await (await this.#library()).getRequestHeaders()).entries())
    } catch (error) {
      if (signal.aborted || networkFailure(error) !== undefined) throw error
      throw new GsIdentityError(error)
    }
  }

  #serviceAccount(): Promise<ServiceAccountKey | undefined> {
    const { credential } = this.#account
    if (credential.kind !== 'key file') return Promise.resolve(undefined)
    this.#key ??= readServiceAccount(credential.path)
    return this.#key
  }

  /** One token for all calls; whoever comes while it is fetched waits for it. */
  async #tokenFor(key: ServiceAccountKey, signal: AbortSignal): Promise<string> {
    const nowMs = Number(this.#clock.now() / 1_000_000n)
    if (this.#token !== undefined && this.#token.untilMs - nowMs > TOKEN_MARGIN_MS) return this.#token.token
    this.#nextToken ??= fetchToken(key, this.#connections, nowMs, signal).finally(() => {
      this.#nextToken = undefined
    })
    this.#token = await this.#nextToken
    return this.#token.token
  }

  #library(): Promise<Storage['authClient']> {
    const { credential } = this.#account
    // By itself it looks at the variable of this process alone.
    const isKnown = credential.kind !== 'key file' || credential.path === process.env.GOOGLE_APPLICATION_CREDENTIALS
    this.#auth ??= import('@google-cloud/storage').then(
      ({ Storage }) => new Storage(isKnown ? {} : { keyFilename: credential.path }).authClient,
    )
    return this.#auth
  }
}

/** Google's name of the error; undefined when the answer does not hold one. */
async function reasonOf(answer: HttpAnswer): Promise<string | undefined> {
  try {
    const text = Buffer.from(await readBounded(answer, ERROR_BYTES)).toString('utf8')
    const reason: unknown = JSON.parse(text)?.error?.errors?.[0]?.reason
    return typeof reason === 'string' && /^[A-Za-z0-9]+$/.test(reason) ? reason : undefined
  } catch {
    return undefined
  }
}
