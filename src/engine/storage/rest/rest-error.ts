import { type ErrorCode, HoldfastError, type HoldfastErrorOptions, systemErrorCode } from '../../../lib/errors.ts'
import { interruption } from '../interruption.ts'
import { clientCertificateHint, handshakeFailure, unreachableError } from '../network-error.ts'
import type { HttpReply } from './http-connection.ts'

/** What was tried: "cannot write data/ab12cd34 in rest:http://host/". */
export interface Attempted {
  readonly doing: 'make' | 'write' | 'read' | 'look at' | 'list' | 'remove'
  readonly object: string
  readonly location: string
}

type Failure = readonly [code: ErrorCode, words: string, options: Pick<HoldfastErrorOptions, 'hint' | 'retry'>]

const credentials = 'Give user and password in the location, or in RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD.'
const noServer = 'Check the location: is this the address of a REST server for restic repositories?'

/** @param text the beginning of what the server sent with its status */
export function statusError(
  attempted: Attempted,
  { status, headers }: Pick<HttpReply, 'status' | 'headers'>,
  text: Uint8Array,
): HoldfastError {
  const [code, words, options] = failureOf(attempted, status)
  const said = printable(text)
  const retryAfterMs = code === 'HF_STORAGE_THROTTLED' ? retryAfter(headers['retry-after']) : undefined
  return new HoldfastError(code, `${sentence(attempted)}: ${words}${said && ` (${said})`}`, {
    ...options,
    context: { object: attempted.object, location: attempted.location, status, retryAfterMs },
  })
}

function failureOf({ doing }: Attempted, status: number): Failure {
  switch (status) {
    case 401:
      return ['HF_STORAGE_DENIED', 'the server does not accept this user and password', { hint: credentials }]
    case 403:
      return doing === 'remove'
        ? [
            'HF_STORAGE_DENIED',
            'the server refuses to remove it: it takes new files only (append-only)',
            { hint: 'Remove snapshots where the server allows it, for instance on its own machine.' },
          ]
        : ['HF_STORAGE_DENIED', 'the server forbids it', { hint: 'Check what this user may do there.' }]
    case 404:
      return ['HF_STORAGE_NOT_FOUND', 'there is no such file', {}]
    case 413:
      return ['HF_STORAGE_IO', 'it is larger than the server takes', { retry: 'never', hint: 'Use smaller packs.' }]
    case 429:
    case 503:
      return ['HF_STORAGE_THROTTLED', `the server asks for patience: status ${status}`, {}]
    case 507:
      return ['HF_STORAGE_FULL', 'no space is left on the server, or its quota is used up', {}]
    case 405:
    case 501:
      return [
        'HF_STORAGE_LOCATION',
        `the server does not know this kind of request: status ${status}`,
        { hint: noServer },
      ]
    default:
      if (status >= 300 && status < 400)
        return ['HF_STORAGE_LOCATION', `the server sends us elsewhere: status ${status}`, { hint: noServer }]
      if (status >= 500 || status === 408) return ['HF_STORAGE_IO', `the server failed: status ${status}`, {}]
      return ['HF_STORAGE_IO', `the server refused it: status ${status}`, { retry: 'never', hint: noServer }]
  }
}

/** Seconds or a date, as milliseconds from now. */
function retryAfter(header: string | readonly string[] | undefined): number | undefined {
  return typeof header === 'string' && /^[0-9]{1,6}$/.test(header) ? Number(header) * 1000 : undefined
}

const LARGEST_TEXT = 120

/** What a server says about a failure, when it is a line of plain text. */
function printable(text: Uint8Array): string {
  const line = new TextDecoder().decode(text.subarray(0, LARGEST_TEXT)).trim()
  return /^[\x20-\x7e]*$/.test(line) && !line.startsWith('<') ? line : ''
}

/** How far a connection had come when it failed, which decides whether trying again is of use. */
export interface ConnectionState {
  readonly signal?: AbortSignal | undefined
  /** The server has answered before: it went away, rather than never having been there. */
  readonly wasReached: boolean
}

const untrusted = 'the certificate of the server is not trusted'
const wrongName = 'the certificate of the server is for another name'
const trustHint = 'Give the certificate of its authority with --cacert (RESTIC_CACERT).'

const tlsFailures: Readonly<Record<string, readonly [words: string, hint: string]>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: [untrusted, trustHint],
  SELF_SIGNED_CERT_IN_CHAIN: [untrusted, trustHint],
  UNABLE_TO_GET_ISSUER_CERT: [untrusted, trustHint],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: [untrusted, trustHint],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: [untrusted, trustHint],
  CERT_UNTRUSTED: [untrusted, trustHint],
  ERR_TLS_CERT_ALTNAME_INVALID: [wrongName, 'Use the name that the certificate is for.'],
  CERT_HAS_EXPIRED: ['the certificate of the server has expired', 'Renew it, or set the clock of this machine.'],
  CERT_NOT_YET_VALID: ['the certificate of the server is not valid yet', 'Set the clock of this machine.'],
  CERT_REVOKED: ['the certificate of the server was revoked', 'Ask who runs the server.'],
}

/** A connection that could not be made, or broke. */
export function connectionError(attempted: Attempted, cause: unknown, state: ConnectionState): HoldfastError {
  if (state.signal?.aborted) return interruption(state.signal)
  if (cause instanceof HoldfastError) return cause
  const systemCode = systemErrorCode(cause) ?? ''
  const options = { cause, context: { object: attempted.object, location: attempted.location, systemCode } }
  const failed = (code: ErrorCode, words: string, more: Failure[2]): HoldfastError =>
    new HoldfastError(code, `${sentence(attempted)}: ${words}`, { ...options, ...more })

  const [words, hint] = tlsFailures[systemCode] ?? []
  if (words !== undefined) return failed('HF_STORAGE_UNTRUSTED', words, { hint: hint! })
  const handshake = handshakeFailure(systemCode, cause)
  if (handshake === 'no TLS')
    return failed('HF_STORAGE_UNTRUSTED', 'the server does not speak TLS', {
      hint: 'Is it http: and not https:? Then what is sent can be seen on the way; the repository itself is encrypted.',
    })
  if (handshake === 'refused')
    return failed('HF_STORAGE_UNTRUSTED', `no encrypted connection can be made: ${reasonOf(cause)}`, {
      hint: clientCertificateHint,
    })
  if (systemCode.startsWith('HPE_'))
    return failed('HF_STORAGE_LOCATION', 'what answers there does not speak HTTP', { hint: noServer })
  const { object, location } = attempted
  const { wasReached } = state
  return unreachableError(cause, { sentence: sentence(attempted), wasReached, context: { object, location } })
}

const sentence = ({ doing, object, location }: Attempted): string => `cannot ${doing} ${object} in ${location}`

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
