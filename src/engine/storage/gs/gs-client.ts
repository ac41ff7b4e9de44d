import type { Storage } from '@google-cloud/storage'
import { readBounded } from '../read-body.ts'
import type { GsAccount } from './gs-account.ts'

export interface GsRequest {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Below the endpoint, its parts encoded: `/storage/v1/b/bucket`. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array<ArrayBuffer> | object
  readonly signal: AbortSignal
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

/**
 * The JSON API of Google Cloud Storage: one attempt for each request, which ends with its signal. Google's library finds the credentials
 * and gets tokens for them; its own calls cannot be cancelled, and so are not used.
 */
export class GsClient {
  readonly #account: GsAccount
  #auth: Promise<Storage['authClient']> | undefined

  constructor(account: GsAccount) {
    this.#account = account
  }

  /** The answer, whose body has not been read. @throws GsAnswerError, GsIdentityError, errors of the network */
  async send({ method = 'GET', path, query = {}, headers = {}, body, signal }: GsRequest): Promise<Response> {
    const url = new URL(`${this.#account.endpoint}${path}`)
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, String(value))
    const isJson = body !== undefined && !(body instanceof Uint8Array)
    const answer = await fetch(url, {
      method,
      signal,
      redirect: 'error',
      headers: {
        'accept-encoding': 'identity',
        ...(isJson ? { 'content-type': 'application/json' } : {}),
        ...headers,
        ...(await this.#authorization()),
      },
      body: body === undefined ? null : body instanceof Uint8Array ? body : JSON.stringify(body),
    })
    if (answer.ok) return answer
    const serverDateMs = Date.parse(answer.headers.get('date') ?? '')
    throw new GsAnswerError(answer.status, await reasonOf(answer), serverDateMs)
  }

  /** What the answer says as JSON. */
  async ask<T>(request: GsRequest): Promise<T> {
    const answer = await this.send(request)
    return JSON.parse(Buffer.from(await readBounded(answer.body, JSON_BYTES)).toString('utf8'))
  }

  /** For requests whose answer says nothing. */
  async tell(request: GsRequest): Promise<void> {
    const answer = await this.send(request)
    await answer.body?.cancel()
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

  async #authorization(): Promise<Record<string, string>> {
    const { credential } = this.#account
    if (credential.kind === 'nobody') return {}
    if (credential.kind === 'token') return { authorization: `Bearer ${credential.token}` }
    try {
      const headers = await (await this.#library()).getRequestHeaders()
      return Object.fromEntries(new Headers(headers).entries())
    } catch (error) {
      throw new GsIdentityError(error)
    }
  }

  #library(): Promise<Storage['authClient']> {
    const { credential } = this.#account
    this.#auth ??= import('@google-cloud/storage').then(
      ({ Storage }) => new Storage(credential.kind === 'key file' ? { keyFilename: credential.path } : {}).authClient,
    )
    return this.#auth
  }
}

/** Google's name of the error; undefined when the answer does not hold one. */
async function reasonOf(answer: Response): Promise<string | undefined> {
  try {
    const text = Buffer.from(await readBounded(answer.body, ERROR_BYTES)).toString('utf8')
    const reason: unknown = JSON.parse(text)?.error?.errors?.[0]?.reason
    return typeof reason === 'string' && /^[A-Za-z0-9]+$/.test(reason) ? reason : undefined
  } catch {
    return undefined
  }
}
