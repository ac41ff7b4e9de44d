import { type HoldfastErrorOptions, systemErrorCode } from '../../lib/errors.ts'

/** Why nothing came back from a server. */
export interface NetworkFailure {
  /** The system's name for it: ECONNREFUSED. */
  readonly code: string
  readonly words: string
  readonly options: Pick<HoldfastErrorOptions, 'retry' | 'hint'>
}

const address = 'Check the name of the server or account, and whether this machine reaches it.'
const trust =
  'Let this machine trust the authority that signed it, for instance with NODE_EXTRA_CA_CERTS; then check its name and time.'

const failures: Readonly<Record<string, readonly [words: string, NetworkFailure['options']]>> = {
  ENOTFOUND: ['there is no host of that name', { retry: 'after-fix', hint: address }],
  EAI_AGAIN: ['its name cannot be looked up now', {}],
  ECONNREFUSED: ['the connection was refused', {}],
  ECONNRESET: ['the connection was cut', {}],
  ECONNABORTED: ['the connection was cut', {}],
  EPIPE: ['the connection was cut', {}],
  UND_ERR_SOCKET: ['the connection was cut', {}],
  PARSE_ERROR: ['what came back is no answer', {}],
  HPE_INVALID_CONSTANT: ['what came back is no HTTP', { retry: 'after-fix', hint: address }],
  ERR_STREAM_PREMATURE_CLOSE: ['the connection was cut', {}],
  REQUEST_SEND_ERROR: ['the connection was cut', {}],
  ETIMEDOUT: ['it did not answer in time', {}],
  UND_ERR_CONNECT_TIMEOUT: ['it did not answer in time', {}],
  UND_ERR_HEADERS_TIMEOUT: ['it did not answer in time', {}],
  UND_ERR_BODY_TIMEOUT: ['it stopped in the middle of an answer', {}],
  EHOSTUNREACH: ['no way leads to it', {}],
  ENETUNREACH: ['no way leads to it', {}],
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
  EPROTO: ['it speaks no TLS there', { retry: 'after-fix', hint: 'Check the port, and https or http.' }],
  ERR_SSL_WRONG_VERSION_NUMBER: [
    'it speaks no TLS there',
    { retry: 'after-fix', hint: 'Check the port, and https or http.' },
  ],
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
    }
  }
  return undefined
}
