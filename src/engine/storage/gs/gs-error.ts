import { type ErrorCode, HoldfastError, type HoldfastErrorOptions } from '../../../lib/errors.ts'
import { networkFailure } from '../network-error.ts'
import type { GsAccount } from './gs-account.ts'
import { GsAnswerError, GsIdentityError } from './gs-client.ts'

/** What a call was about. */
export interface GsCall {
  /** "cannot write data/ab12cd34 in gs:backups:/shop". */
  readonly what: string
  /** The permission it takes: `storage.objects.create`. */
  readonly needs: string
  readonly account: GsAccount
  readonly bucket: string
  /** Whether an answer of 404 means the bucket. */
  readonly isAboutBucket: boolean
  /** Of this machine, since 1970. */
  readonly nowMs: number
}

type Failure = readonly [code: ErrorCode, words: string, options?: Pick<HoldfastErrorOptions, 'hint' | 'retry'>]

/** By Google's name of the error. */
const failures: Readonly<Record<string, Failure>> = {
  conditionNotMet: ['HF_STORAGE_EXISTS', 'it exists already'],
  retentionPolicyNotMet: [
    'HF_STORAGE_RETAINED',
    'its retention time has not come',
    { hint: 'It can be removed when the time is over.' },
  ],
  objectUnderActiveHold: ['HF_STORAGE_RETAINED', 'somebody holds it', { hint: 'The hold must be taken off first.' }],
  rateLimitExceeded: ['HF_STORAGE_THROTTLED', 'the bucket is asked too much'],
  userRateLimitExceeded: ['HF_STORAGE_THROTTLED', 'the project is asked too much'],
  quotaExceeded: [
    'HF_STORAGE_FULL',
    'a quota of the project is used up',
    { hint: 'Look at the quotas of the project.' },
  ],
  accountDisabled: ['HF_STORAGE_DENIED', 'the account of the project is disabled', { hint: 'Look at its billing.' }],
  userProjectMissing: [
    'HF_STORAGE_DENIED',
    'the bucket wants whoever reads to pay',
    { hint: 'Turn "requester pays" off for this bucket.' },
  ],
  invalidBucketName: ['HF_STORAGE_LOCATION', 'that is no name for a bucket'],
}

const SKEW_MS = 10 * 60_000

/** What went wrong with a call to Google, as a HoldfastError. The original is not attached: it may hold a token. */
export function gsError(error: unknown, call: GsCall): HoldfastError {
  if (error instanceof HoldfastError) return error
  const [code, words, options] = failureOf(error, call)
  const { status, reason } = error instanceof GsAnswerError ? error : {}
  return new HoldfastError(code, `${call.what}: ${words}`, {
    ...options,
    context: { status, googleReason: reason, bucket: call.bucket },
  })
}

function failureOf(error: unknown, call: GsCall): Failure {
  const network = networkFailure(error)
  if (network !== undefined) return ['HF_STORAGE_UNREACHABLE', network.words, network.options]
  if (error instanceof GsIdentityError) return skewed(error.serverDateMs, call) ?? noIdentity(call)
  if (error instanceof GsAnswerError) return refusalOf(error, call)
  return ['HF_STORAGE_IO', `it failed with ${error instanceof Error ? error.name : typeof error}`]
}

function refusalOf({ status, reason, serverDateMs }: GsAnswerError, call: GsCall): Failure {
  const known = failures[reason ?? '']
  if (known !== undefined) return known
  const words = `the service answered ${status}${reason === undefined ? '' : ` (${reason})`}`
  if (status === 404 && !call.isAboutBucket) return ['HF_STORAGE_NOT_FOUND', 'there is no such object']
  if (status === 404) return noBucket(call)
  if (status === 401) return skewed(serverDateMs, call) ?? notAccepted(call)
  if (status === 403)
    return (
      skewed(serverDateMs, call) ?? [
        'HF_STORAGE_DENIED',
        'the permission is missing',
        { hint: `It takes ${call.needs} on the bucket.` },
      ]
    )
  if (status === 412) return ['HF_STORAGE_EXISTS', 'it exists already']
  if (status === 429 || status === 503) return ['HF_STORAGE_THROTTLED', words]
  if (status === 507) return ['HF_STORAGE_FULL', words]
  return ['HF_STORAGE_IO', words, { retry: status >= 500 || status === 408 ? 'later' : 'never' }]
}

function noBucket({ bucket, needs }: GsCall): Failure {
  const hint = `There is no bucket ${JSON.stringify(bucket)}; "holdfast init" makes it in the project of GOOGLE_PROJECT_ID.`
  const isWrite = needs === 'storage.objects.create'
  return [isWrite ? 'HF_REPO_NOT_FOUND' : 'HF_STORAGE_NOT_FOUND', 'there is no such bucket', { hint }]
}

function notAccepted({ account }: GsCall): Failure {
  if (account.credential.kind === 'token')
    return [
      'HF_STORAGE_DENIED',
      'the access token is not accepted; such tokens last an hour',
      { hint: 'Put a new one into GOOGLE_ACCESS_TOKEN, or use GOOGLE_APPLICATION_CREDENTIALS.' },
    ]
  return [
    'HF_STORAGE_DENIED',
    'the credentials are not accepted',
    { hint: 'Check GOOGLE_APPLICATION_CREDENTIALS: the key may have been removed.' },
  ]
}

function noIdentity({ account }: GsCall): Failure {
  if (account.credential.kind === 'key file')
    return [
      'HF_STORAGE_DENIED',
      `the file of GOOGLE_APPLICATION_CREDENTIALS cannot be used, or Google does not accept its key`,
      {
        hint: `Check ${account.credential.path}: it is the JSON file of a key of a service account, and the key still exists.`,
      },
    ]
  return [
    'HF_STORAGE_DENIED',
    'no credentials were found on this machine',
    { hint: 'Set GOOGLE_APPLICATION_CREDENTIALS, or log in with "gcloud auth application-default login".' },
  ]
}

/** Tokens are asked for with a signed time. */
function skewed(serverDateMs: number, { nowMs }: GsCall): Failure | undefined {
  const skewMs = nowMs - serverDateMs
  if (!(Math.abs(skewMs) > SKEW_MS)) return undefined
  return [
    'HF_STORAGE_DENIED',
    `the clock of this machine is ${Math.round(Math.abs(skewMs) / 60_000)} minutes ${skewMs > 0 ? 'fast' : 'slow'}`,
    { hint: 'Set the clock.' },
  ]
}
