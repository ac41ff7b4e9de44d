import { HoldfastError, type HoldfastErrorOptions, systemErrorCode } from '../../lib/errors.ts'

/** Why nothing came back from a server. */
export interface NetworkFailure {
  /** The system's name for it: ECONNREFUSED. */
  readonly code: string
  readonly words: string
  readonly options: Pick<HoldfastErrorOptions, 'retry' | 'hint'>
}

const address = 'Check the name of the server or account, and whether this machine reaches it.'
const port = 'Check the host and the port, and that the server runs.'
const trust =
  'Let this machine trust the authority that signed it, for instance with NODE_EXTRA_CA_CERTS; then check its name and time.'

const failures: Readonly<Record<string, readonly [words: string, NetworkFailure['options']]>> = {
  ENOTFOUND: ['there is no host of this name', { retry: 'after-fix', hint: address }],
  EAI_AGAIN: ['its name cannot be looked up now', { hint: address }],
  ECONNREFUSED: ['nothing listens at its address', { hint: port }],
  ECONNRESET: ['the connection was cut', {}],
  ECONNABORTED: ['the connection was cut', {}],
  EPIPE: ['the connection was cut', {}],
  UND_ERR_SOCKET: ['the connection was cut', {}],
  PARSE_ERROR: ['what came back is no answer', {}],
  HPE_INVALID_CONSTANT: ['what came back is no HTTP', { retry: 'after-fix', hint: address }],
  ERR_STREAM_PREMATURE_CLOSE: ['the connection was cut', {}],
  REQUEST_SEND_ERROR: ['the connection was cut', {}],
  ETIMEDOUT: ['it did not answer in time', { hint: address }],
  UND_ERR_CONNECT_TIMEOUT: ['it did not answer in time', { hint: address }],
  UND_ERR_HEADERS_TIMEOUT: ['it did not answer in time', {}],
  UND_ERR_BODY_TIMEOUT: ['it stopped in the middle of an answer', {}],
  EHOSTUNREACH: ['no way leads to it', { hint: address }],
  ENETUNREACH: ['no way leads to it', { hint: address }],
  CERT_HAS_EXPIRED: ['its certificate has expired', { retry: 'after-fix', hint: trust }],
  CERT_NOT_YET_VALID: [
    'its certificate is not valid yet',
    { retry: 'after-fix', hint: 'Check the clock of this machine.' },
  ],
  ERR_TLS_CERT_ALTNAME_INVALID: ['its certificate is for another name', { retry: 'after-fix', hint: trust }],
  DEPTH_ZERO_SELF_SIGNED_CERT: ['its certificate is not trusted', { retry: 'after-fix', hint: trust }],
  SELF_SIGNED_CERT_IN_CHAIN: ['its certificate is not trusted', { retry: 'after-fix', hint: trust }],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ['its certificate is not trusted', { retry: 'after-fix', hint: trust }],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ['its certificate is not trusted', { retry: 'after-fix', hint: trust }],
}

/** What OpenSSL could not make of the other side; undefined for other failures. Its reason stands in the code or, when sending failed first, in the text. */
export function handshakeFailure(code: string, error: unknown): 'no TLS' | 'refused' | undefined {
  if (!/^EPROTO$|^ERR_SSL/.test(code)) return undefined
  const reason = `${code} ${error instanceof Error ? error.message : ''}`
  return /wrong.version.number|packet.length.too.long|http.request/i.test(reason) ? 'no TLS' : 'refused'
}

/** When a server breaks off the handshake. */
export const clientCertificateHint = 'Does the server ask for a certificate of ours (--tls-client-cert)?'

function handshakeWords(code: string, error: unknown): NetworkFailure | undefined {
  const failure = handshakeFailure(code, error)
  if (failure === undefined) return undefined
  const isTls = failure !== 'no TLS'
  return {
    code,
    words: isTls ? 'no encrypted connection can be made' : 'it speaks no TLS there',
    options: { retry: 'after-fix', hint: isTls ? clientCertificateHint : 'Check the port, and https or http.' },
  }
}

/** What the system says about a call that got no answer, looking through wrapped errors too; undefined when it says nothing known. */
export function networkFailure(error: unknown): NetworkFailure | undefined {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    // A host with several addresses fails with the errors of all of them.
    const parts = at instanceof AggregateError ? [at, ...at.errors] : [at]
    for (const part of parts) {
      const code = systemErrorCode(part)
      const found = code === undefined ? undefined : failures[code]
      if (found !== undefined) return { code: code!, words: found[0], options: found[1] }
      const handshake = code === undefined ? undefined : handshakeWords(code, part)
      if (handshake !== undefined) return handshake
    }
  }
  return undefined
}

/** Of connections to a socket of this machine; elsewhere these are names and permissions of files. */
const socketFailures: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket',
  EACCES: 'the socket may not be used by this user',
}

/** Nothing was ever connected, rather than cut. */
const NOT_MADE: readonly string[] = ['ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH']

export interface FailedConnection {
  /** `cannot read config in rest:http://host/`. */
  readonly sentence: string
  /** The server has answered before: it went away, rather than never having been there. */
  readonly wasReached: boolean
  readonly context: HoldfastError['context']
}

/** HF_STORAGE_UNREACHABLE for a connection of ours that could not be made, or broke. */
export function unreachableError(cause: unknown, { sentence, wasReached, context }: FailedConnection): HoldfastError {
  const systemCode = systemErrorCode(cause)
  const known = networkFailure(cause)
  const notMade = known !== undefined && NOT_MADE.includes(known.code) ? known.words : undefined
  const why = notMade ?? socketFailures[systemCode ?? '']
  const options = { cause, context: { ...context, systemCode } }
  if (why === undefined) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    return new HoldfastError('HF_STORAGE_UNREACHABLE', `${sentence}: the connection broke: ${reason}`, options)
  }
  return new HoldfastError('HF_STORAGE_UNREACHABLE', `${sentence}: ${why}`, {
    ...options,
    // A server that was there a moment ago is being started anew; one that never was is a mistake in the location.
    retry: wasReached ? 'later' : 'after-fix',
    hint: 'Check the location, and that the server runs.',
  })
}
