import { type ErrorCode, HoldfastError, type HoldfastErrorOptions, systemErrorCode } from '../../../lib/errors.ts'
import { handshakeFailure, networkFailure } from '../network-error.ts'

/** What was asked of the store, for messages. */
export interface S3Call {
  /** Completes "cannot": `read`, `write`. */
  readonly doing: string
  /** `data/ab12cd34`, `the index files`, `the bucket`. */
  readonly object: string
  /** The permission it takes, as policies name it: `s3:GetObject`. */
  readonly permission: string
}

export interface S3Target {
  /** For people. */
  readonly location: string
  readonly bucket: string
}

type Failure = readonly [code: ErrorCode, words: string, options?: Pick<HoldfastErrorOptions, 'hint' | 'retry'>]

const KEYS = 'Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile that they come from.'
const ADDRESS = 'Check the name of the server, and whether this machine reaches it.'
const LATER: Pick<HoldfastErrorOptions, 'retry'> = { retry: 'later' }

/** Names of errors as S3 and compatible stores send them. */
const byName: Readonly<Record<string, (target: S3Target, call: S3Call) => Failure>> = {
  NoSuchKey: () => ['HF_STORAGE_NOT_FOUND', 'there is no such file'],
  NotFound: () => ['HF_STORAGE_NOT_FOUND', 'there is no such file'],
  NoSuchVersion: () => ['HF_STORAGE_NOT_FOUND', 'there is no such version'],
  NoSuchBucket: ({ bucket }) => [
    'HF_STORAGE_NOT_FOUND',
    `the bucket ${JSON.stringify(bucket)} does not exist`,
    {
      hint: `The bucket ${JSON.stringify(bucket)} does not exist: check its name and the endpoint; "holdfast init" makes it where it may.`,
    },
  ],
  PreconditionFailed: () => ['HF_STORAGE_EXISTS', 'it exists already'],
  AccessDenied: (_, { permission }) => [
    'HF_STORAGE_DENIED',
    `access is denied; it takes the permission ${permission}`,
    { hint: 'See deploy/policies for what each task needs; the policy of the bucket may deny it, too.' },
  ],
  InvalidAccessKeyId: () => ['HF_STORAGE_DENIED', 'the store does not know the access key', { hint: KEYS }],
  InvalidClientTokenId: () => ['HF_STORAGE_DENIED', 'the store does not know the access key', { hint: KEYS }],
  SignatureDoesNotMatch: () => [
    'HF_STORAGE_DENIED',
    'the signature is wrong: the secret key does not belong to the access key',
    { hint: KEYS },
  ],
  ExpiredToken: () => ['HF_STORAGE_DENIED', 'the session token has expired', { hint: 'Get new credentials.' }],
  ExpiredTokenException: () => ['HF_STORAGE_DENIED', 'the session token has expired', { hint: 'Get new credentials.' }],
  TokenRefreshRequired: () => [
    'HF_STORAGE_DENIED',
    'the session token must be renewed',
    { hint: 'Get new credentials.' },
  ],
  InvalidToken: () => ['HF_STORAGE_DENIED', 'the session token is wrong', { hint: 'Check AWS_SESSION_TOKEN.' }],
  InvalidTokenId: () => ['HF_STORAGE_DENIED', 'the session token is wrong', { hint: 'Check AWS_SESSION_TOKEN.' }],
  RequestTimeTooSkewed: () => [
    'HF_STORAGE_DENIED',
    "this machine's clock and that of the store differ too much",
    { hint: 'Set the clock of this machine.' },
  ],
  CredentialsProviderError: () => [
    'HF_STORAGE_DENIED',
    'there are no credentials',
    {
      hint: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; -o s3.unsafe-anonymous-auth=true does without.',
    },
  ],
  InvalidObjectState: () => [
    'HF_STORAGE_ARCHIVED',
    'it lies in an archive',
    {
      hint: 'Add -o s3.enable-restore=true to have it brought back and wait: 3 to 5 hours from GLACIER, 12 from DEEP_ARCHIVE. For many packs bring all back first, with the tools of the store.',
    },
  ],
  ObjectLocked: () => ['HF_STORAGE_RETAINED', 'the store retains it'],
  ObjectLockConfigurationNotFoundError: ({ bucket }) => noObjectLock(bucket),
  InvalidBucketState: ({ bucket }) => noObjectLock(bucket),
  InvalidBucketName: ({ bucket }) => [
    'HF_STORAGE_LOCATION',
    `${JSON.stringify(bucket)} is no name of a bucket`,
    { hint: 'Names of buckets have 3 to 63 lower-case letters, digits, dots and hyphens.' },
  ],
  QuotaExceeded: () => full(),
  XMinioAdminBucketQuotaExceeded: () => full(),
  XMinioStorageFull: () => full(),
  InsufficientStorage: () => full(),
  SlowDown: () => throttled(),
  SlowDownRead: () => throttled(),
  SlowDownWrite: () => throttled(),
  TooManyRequests: () => throttled(),
  TooManyRequestsException: () => throttled(),
  Throttling: () => throttled(),
  ThrottlingException: () => throttled(),
  RequestLimitExceeded: () => throttled(),
  ServiceUnavailable: () => throttled(),
  Busy: () => throttled(),
  RequestTimeout: () => ['HF_STORAGE_IO', 'the store waited too long for the rest of the request', LATER],
  BadDigest: () => ['HF_STORAGE_IO', 'what arrived is not what was sent', LATER],
  XAmzContentSHA256Mismatch: () => ['HF_STORAGE_IO', 'what arrived is not what its name says', LATER],
  IncompleteBody: () => ['HF_STORAGE_IO', 'only a part of it arrived', LATER],
  ConditionalRequestConflict: () => ['HF_STORAGE_IO', 'somebody else writes it at the same time', LATER],
  OperationAborted: () => ['HF_STORAGE_IO', 'somebody else changes it at the same time', LATER],
}

const full = (): Failure => [
  'HF_STORAGE_FULL',
  'the store has no room left, or its quota is used up',
  { hint: 'Raise the quota, or remove old snapshots with "forget --prune".' },
]
const throttled = (): Failure => ['HF_STORAGE_THROTTLED', 'the store asks for fewer calls']
const noObjectLock = (bucket: string): Failure => [
  'HF_STORAGE_CONTRACT',
  `the bucket ${JSON.stringify(bucket)} has no Object Lock, which "lock" needs`,
  {
    hint: 'Object Lock is turned on when a bucket is made; "holdfast init" makes one that has it. Or take "lock" away.',
  },
]

/** Errors of connections that mean something of their own here, by the codes of the system and of TLS. */
const byConnection: Readonly<Record<string, Failure>> = {
  ECONNRESET: ['HF_STORAGE_IO', 'the connection broke', LATER],
  EPIPE: ['HF_STORAGE_IO', 'the connection broke', LATER],
}

const CERTIFICATE = /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(GET|VERIFY)|HOSTNAME_MISMATCH)/

/** What an exception of the SDK is made of; none of it is certain. */
interface SdkError {
  readonly name?: string
  readonly message?: string
  readonly Code?: string
  readonly Region?: string
  readonly $metadata?: { readonly httpStatusCode?: number }
}

export const statusOf = (error: unknown): number | undefined => (error as SdkError | null)?.$metadata?.httpStatusCode

export const nameOf = (error: unknown): string => {
  const { Code, name } = (error ?? {}) as SdkError
  return Code ?? name ?? ''
}

/** The region that a store says it is of, when it refuses a request for another. */
export function expectedRegion(error: unknown): string | undefined {
  const isOfRegion = ['AuthorizationHeaderMalformed', 'PermanentRedirect', 'IllegalLocationConstraintException']
  if (!isOfRegion.includes(nameOf(error))) return undefined
  const { Region, message = '' } = error as SdkError
  return Region ?? /expecting '([a-z0-9-]+)'/.exec(message)?.[1]
}

/** The answer to HEAD has no body, so nothing says what is wrong. */
export const isNameless = (error: unknown): boolean =>
  [301, 307, 400, 403].includes(statusOf(error) ?? 0) &&
  !(nameOf(error) in byName) &&
  expectedRegion(error) === undefined

/** A refusal that is about retention, whatever it is called. */
const isRetained = (error: SdkError): boolean =>
  /object[ -]lock|WORM protected|legal hold/i.test(error.message ?? '') &&
  !/configuration|not enabled/i.test(error.message ?? '')

/**
 * What went wrong, as a HoldfastError; those pass through. Nothing of the request gets into it, so no key does: errors of the SDK carry
 * parts of what was sent.
 */
export function s3Error(error: unknown, call: S3Call, target: S3Target): HoldfastError {
  if (error instanceof HoldfastError) return error
  const name = nameOf(error)
  const status = statusOf(error)
  const [code, words, options = {}] = failureOf(error as SdkError, name, status, call, target)
  const text = `cannot ${call.doing} ${call.object} in ${target.location}: ${words}`
  const cause = new Error(
    `${name}${status === undefined ? '' : ` (HTTP ${status})`}: ${(error as SdkError).message ?? ''}`,
  )
  return new HoldfastError(code, text, {
    ...options,
    cause,
    context: { object: call.object, location: target.location, error: name, status },
  })
}

function failureOf(error: SdkError, name: string, status: number | undefined, call: S3Call, target: S3Target): Failure {
  if (status === 403 && isRetained(error)) return byName.ObjectLocked!(target, call)
  if (status === 400 && isRetained(error)) return byName.ObjectLocked!(target, call)
  if (/missing object ?lock ?configuration/i.test(error.message ?? '')) return noObjectLock(target.bucket)
  const known = Object.hasOwn(byName, name) ? byName[name]!(target, call) : undefined
  if (known !== undefined) return known
  const region = expectedRegion(error)
  if (region !== undefined || ['AuthorizationHeaderMalformed', 'PermanentRedirect'].includes(name)) {
    const words = `the bucket ${JSON.stringify(target.bucket)} is of another region${region === undefined ? '' : `: ${region}`}`
    return ['HF_STORAGE_LOCATION', words, { hint: `Set its region: -o s3.region=${region ?? 'REGION'}, or "region".` }]
  }
  if (status === undefined) return connectionFailure(error)
  if (status === 404) return byName.NoSuchKey!(target, call)
  if (status === 412) return byName.PreconditionFailed!(target, call)
  if (status === 401 || status === 403) return byName.AccessDenied!(target, call)
  if (status === 429) return throttled()
  if (status === 503) return ['HF_STORAGE_THROTTLED', 'the store is busy']
  if (status === 507) return full()
  if (status === 400 && error.message?.includes('Deserialization error'))
    return [
      'HF_STORAGE_LOCATION',
      'what answers there is no S3 store',
      { hint: 'Check the host and the port, and http or https: s3:https://HOST:PORT/BUCKET/PREFIX.' },
    ]
  const words = `the store says ${name}${error.message === undefined ? '' : `: ${oneLine(error.message)}`}`
  return ['HF_STORAGE_IO', words, { retry: status >= 500 || status < 400 ? 'later' : 'never' }]
}

function connectionFailure(error: SdkError): Failure {
  const code = systemErrorCode(error) ?? systemErrorCode((error as { cause?: unknown }).cause) ?? ''
  const known = Object.hasOwn(byConnection, code) ? byConnection[code] : undefined
  if (known !== undefined) return known
  const cause = systemErrorCode(error) === undefined ? (error as { cause?: unknown }).cause : error
  if (handshakeFailure(code, cause) === 'no TLS')
    return [
      'HF_STORAGE_UNREACHABLE',
      'it does not speak TLS',
      { retry: 'after-fix', hint: 'For a store without TLS write s3:http://HOST:PORT/BUCKET.' },
    ]
  const network = networkFailure(error)
  if (network !== undefined && !CERTIFICATE.test(code))
    return ['HF_STORAGE_UNREACHABLE', network.words, network.options]
  if (error.name === 'TimeoutError') return ['HF_STORAGE_UNREACHABLE', 'it did not answer in time', { hint: ADDRESS }]
  if (CERTIFICATE.test(code))
    return [
      'HF_STORAGE_UNREACHABLE',
      `its certificate is not to be trusted: ${code}`,
      {
        retry: 'after-fix',
        hint: 'For a private authority name a file with its certificate by --cacert or AWS_CA_BUNDLE.',
      },
    ]
  return [
    'HF_STORAGE_IO',
    `the connection broke: ${oneLine(error.message ?? error.name ?? 'for no known reason')}`,
    LATER,
  ]
}

/** What a server sends is shown short and without control characters. */
const oneLine = (text: string): string => text.replaceAll(/[\p{Cc}\s]+/gu, ' ').slice(0, 300)
