import type { HoldfastError } from '../../../lib/errors.ts'
import { type KeyFailureReason, keyMismatch, keyUnavailable } from '../key-failure.ts'

interface Cause {
  readonly reason: KeyFailureReason | 'mismatch'
  readonly what: string
}

/** What AWS KMS calls its failures, https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html and those of Decrypt. */
const byName: Readonly<Record<string, Cause>> = {
  AccessDeniedException: { reason: 'denied', what: 'the key service denies the use of the key' },
  AccessDenied: { reason: 'denied', what: 'the key service denies the use of the key' },
  NotAuthorized: { reason: 'denied', what: 'the key service denies the use of the key' },
  DisabledException: { reason: 'disabled', what: 'the key is disabled' },
  KMSInvalidStateException: { reason: 'disabled', what: 'the key is about to be deleted, or not ready' },
  KeyUnavailableException: { reason: 'unreachable', what: 'the key is not available at the moment' },
  NotFoundException: { reason: 'missing', what: 'there is no such key' },
  InvalidArnException: { reason: 'missing', what: 'there is no such key' },
  InvalidKeyUsageException: { reason: 'invalid', what: 'the key is not one for encrypting and decrypting' },
  InvalidCiphertextException: {
    reason: 'mismatch',
    what: 'refuses the sealed password: it is of another repository, or damaged',
  },
  IncorrectKeyException: { reason: 'mismatch', what: 'the password was sealed with another key' },
  ExpiredTokenException: { reason: 'credentials', what: 'the credentials have expired' },
  ExpiredToken: { reason: 'credentials', what: 'the credentials have expired' },
  UnrecognizedClientException: { reason: 'credentials', what: 'the key service does not know the credentials' },
  InvalidClientTokenId: { reason: 'credentials', what: 'the key service does not know the credentials' },
  InvalidSignatureException: { reason: 'credentials', what: 'the key service refuses the signature' },
  SignatureDoesNotMatch: { reason: 'credentials', what: 'the key service refuses the signature' },
  IncompleteSignature: { reason: 'credentials', what: 'the key service refuses the signature' },
  MissingAuthenticationToken: { reason: 'credentials', what: 'no credentials were sent' },
  CredentialsProviderError: { reason: 'credentials', what: 'there are no credentials for the key service' },
}

/** What the client threw, as one of our errors. */
export function kmsFailure(title: string, cause: unknown): HoldfastError {
  const { name, code, $metadata } = cause as {
    readonly name?: string
    readonly code?: unknown
    readonly $metadata?: { readonly httpStatusCode?: number }
  }
  const known = name !== undefined && Object.hasOwn(byName, name) ? byName[name] : undefined
  if (known?.reason === 'mismatch') return keyMismatch(title, known.what, cause)
  if (known !== undefined) return keyUnavailable(title, known.reason as KeyFailureReason, known.what, { cause })
  const status = $metadata?.httpStatusCode
  if (status === 403) return keyUnavailable(title, 'denied', 'the key service denies the use of the key', { cause })
  const why = typeof code === 'string' ? code : status === undefined ? name : `HTTP ${status}`
  return keyUnavailable(title, 'unreachable', `the key service cannot be reached (${why ?? 'no reason given'})`, {
    cause,
  })
}
