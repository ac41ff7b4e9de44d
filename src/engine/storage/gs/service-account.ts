import { sign } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { readBounded } from '../read-body.ts'
import type { HttpConnections } from './gs-http.ts'

/** What a key file of a service account holds. */
export interface ServiceAccountKey {
  readonly email: string
  /** PEM. */
  readonly privateKey: string
  readonly keyId: string | undefined
  readonly tokenUrl: URL
}

export interface AccessToken {
  readonly token: string
  /** Since 1970. */
  readonly untilMs: number
}

const SCOPE = 'https://www.googleapis.com/auth/devstorage.full_control'
const HOUR_S = 3600
const ANSWER_BYTES = 64 << 10

/** The key in a file; undefined when the file is for another way of logging in. @throws Error for a file that cannot be read */
export async function readServiceAccount(path: string): Promise<ServiceAccountKey | undefined> {
  const fields: Record<string, unknown> = JSON.parse(await readFile(path, 'utf8'))
  const { type, client_email: email, private_key: privateKey, private_key_id: keyId } = fields
  if (type !== 'service_account') return undefined
  const tokenUrl = fields.token_uri ?? 'https://oauth2.googleapis.com/token'
  if (typeof email !== 'string' || typeof privateKey !== 'string' || typeof tokenUrl !== 'string')
    throw new Error('the file lacks client_email, private_key or token_uri')
  return { email, privateKey, keyId: typeof keyId === 'string' ? keyId : undefined, tokenUrl: new URL(tokenUrl) }
}

/** A refusal of the token server. */
export class TokenRefusedError extends Error {
  readonly response: { readonly headers: Headers }

  constructor(status: number, date: string | undefined) {
    super(`the token server answered ${status}`)
    this.name = 'TokenRefusedError'
    this.response = { headers: new Headers(date === undefined ? {} : { date }) }
  }
}

/**
 * Gets an access token for a service account: a statement signed with its key is exchanged for one (RFC 7523).
 * @throws TokenRefusedError, errors of the network and of a key that is none
 */
export async function fetchToken(
  key: ServiceAccountKey,
  connections: HttpConnections,
  nowMs: number,
  signal: AbortSignal,
): Promise<AccessToken> {
  const iat = Math.floor(nowMs / 1000)
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')
  const head = encode({ alg: 'RS256', typ: 'JWT', kid: key.keyId })
  const claims = encode({ iss: key.email, scope: SCOPE, aud: key.tokenUrl.href, iat, exp: iat + HOUR_S })
  const signature = sign('RSA-SHA256', Buffer.from(`${head}.${claims}`), key.privateKey).toString('base64url')
  const form = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    assertion: `${head}.${claims}.${signature}`,
  })
  const answer = await connections.send({
    method: 'POST',
    url: key.tokenUrl,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: Buffer.from(form.toString()),
    signal,
  })
  const text = Buffer.from(await readBounded(answer, ANSWER_BYTES)).toString('utf8')
  if (answer.statusCode !== 200) throw new TokenRefusedError(answer.statusCode ?? 0, answer.headers.date)
  const { access_token: token, expires_in: seconds } = JSON.parse(text) as {
    access_token?: unknown
    expires_in?: unknown
  }
  if (typeof token !== 'string') throw new TokenRefusedError(200, answer.headers.date)
  return { token, untilMs: nowMs + (typeof seconds === 'number' ? seconds : HOUR_S) * 1000 }
}
