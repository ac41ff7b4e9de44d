import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto'

/** What a server keeps of a password: enough to check it, and to prove that it knows it too (RFC 5802, RFC 7677). */
export interface ScramCredentials {
  readonly iterationCount: number
  readonly salt: string
  readonly storedKey: string
  readonly serverKey: string
}

const KEY_BYTES = 32
const DEFAULT_ITERATIONS = 15_000

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest()

/** Credentials of a password of ASCII letters. */
export function makeCredentials(password: string, iterationCount: number = DEFAULT_ITERATIONS): ScramCredentials {
  const salt = randomBytes(28)
  const salted = pbkdf2Sync(password, salt, iterationCount, KEY_BYTES, 'sha256')
  return {
    iterationCount,
    salt: salt.toString('base64'),
    storedKey: sha256(hmac(salted, 'Client Key')).toString('base64'),
    serverKey: hmac(salted, 'Server Key').toString('base64'),
  }
}

/** The server's side of a SCRAM-SHA-256 login. */
export class ScramConversation {
  readonly #credentialsOf: (user: string) => ScramCredentials | undefined
  #nonce = ''
  #messages = ''
  #credentials: ScramCredentials | undefined
  user = ''

  constructor(credentialsOf: (user: string) => ScramCredentials | undefined) {
    this.#credentialsOf = credentialsOf
  }

  /** Answers the client's first message; undefined when there is no such user. */
  start(message: string): string | undefined {
    const bare = message.replace(/^n,[^,]*,/, '')
    const parts = attributes(bare)
    this.user = (parts.get('n') ?? '').replaceAll('=2C', ',').replaceAll('=3D', '=')
    this.#credentials = this.#credentialsOf(this.user)
    if (this.#credentials === undefined) return undefined
    this.#nonce = `${parts.get('r')}${randomBytes(18).toString('base64')}`
    const { salt, iterationCount } = this.#credentials
    const reply = `r=${this.#nonce},s=${salt},i=${iterationCount}`
    this.#messages = `${bare},${reply}`
    return reply
  }

  /** Answers the client's proof; undefined when it is wrong. */
  finish(message: string): string | undefined {
    const parts = attributes(message)
    const { storedKey, serverKey } = this.#credentials!
    if (parts.get('r') !== this.#nonce) return undefined
    const signed = `${this.#messages},${message.slice(0, message.lastIndexOf(',p='))}`
    const signature = hmac(Buffer.from(storedKey, 'base64'), signed)
    const proof = Buffer.from(parts.get('p') ?? '', 'base64')
    if (proof.length !== signature.length) return undefined
    const clientKey = Buffer.from(proof.map((byte, position) => byte ^ signature[position]!))
    if (!timingSafeEqual(sha256(clientKey), Buffer.from(storedKey, 'base64'))) return undefined
    return `v=${hmac(Buffer.from(serverKey, 'base64'), signed).toString('base64')}`
  }
}

function attributes(message: string): ReadonlyMap<string, string> {
  return new Map(message.split(',').map((part) => [part.slice(0, 1), part.slice(2)]))
}
