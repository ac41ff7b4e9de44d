import type { KMSClient, KMSClientConfig } from '@aws-sdk/client-kms'
import { fromUtf8, utf8 } from '../../../lib/bytes.ts'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { WrappedPassword } from '../../repository/key-envelope.ts'
import { keyUnavailable } from '../key-failure.ts'
import type { PasswordKey, SealingContext } from '../password-key.ts'
import { withTimeLimit } from '../time-limit.ts'
import { kmsFailure } from './kms-failure.ts'

export interface KmsKeyOptions {
  /** Of a key or an alias. */
  readonly arn: string
  /** Where credentials and the endpoint are looked for first, under the names the AWS command line knows. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly timeoutMs?: number | undefined
}

/** The name of the part of the encryption context that holds the id of the repository. Key policies may ask for it. */
export const KMS_CONTEXT_NAME = 'holdfast:repository'

const CONNECT_TIMEOUT_MS = 3000
const REQUEST_TIMEOUT_MS = 4000
/** A passing fault gets a second try; more would keep the next key waiting. */
const TRIES = 2

/** A key of AWS KMS, or of a service with its interface. Nothing is connected to before it is used. */
export function kmsKey({ arn, environment, timeoutMs }: KmsKeyOptions): PasswordKey {
  const title = `kms ${arn}`
  const isAlias = arn.includes(':alias/')
  let client: Promise<KMSClient> | undefined
  const call = <T>(
    { signal }: SealingContext,
    work: (client: KMSClient, options: { readonly abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> =>
    withTimeLimit(title, { signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, async (limited) => {
      try {
        client ??= connect(regionOf(arn), environment)
        return await work(await client, { abortSignal: limited })
      } catch (cause) {
        throw isHoldfastError(cause) ? cause : kmsFailure(title, cause)
      }
    })

  return {
    type: 'kms',
    title,
    canOpen: true,
    // What an alias stands for is known to the service only.
    matches: ({ type, key }) => type === 'kms' && (isAlias || isSameKey(key, arn)),
    seal: (password, context) =>
      call(context, async (kms, options) => {
        const { EncryptCommand } = await import('@aws-sdk/client-kms')
        const { CiphertextBlob, KeyId } = await kms.send(
          new EncryptCommand({ KeyId: arn, Plaintext: utf8(password), EncryptionContext: contextFor(context) }),
          options,
        )
        return wrapped(title, KeyId, CiphertextBlob)
      }),
    open: (sealed, context) =>
      call(context, async (kms, options) => {
        const { DecryptCommand } = await import('@aws-sdk/client-kms')
        const { Plaintext } = await kms.send(
          // The key is named, so that a ciphertext of somebody else's key is refused even where we may use that.
          new DecryptCommand({
            KeyId: arn,
            CiphertextBlob: sealed.ciphertext,
            EncryptionContext: contextFor(context),
          }),
          options,
        )
        if (Plaintext === undefined) throw answerless(title)
        return fromUtf8(Plaintext)
      }),
    reseal: async (sealed, context) => {
      // ReEncrypt works within one region.
      if (regionOf(sealed.key) !== regionOf(arn)) return undefined
      return await call(context, async (kms, options) => {
        const { ReEncryptCommand } = await import('@aws-sdk/client-kms')
        const { CiphertextBlob, KeyId } = await kms.send(
          new ReEncryptCommand({
            CiphertextBlob: sealed.ciphertext,
            SourceKeyId: sealed.key,
            SourceEncryptionContext: contextFor(context),
            DestinationKeyId: arn,
            DestinationEncryptionContext: contextFor(context),
          }),
          options,
        )
        return wrapped(title, KeyId, CiphertextBlob)
      })
    },
  }
}

const contextFor = ({ repository }: SealingContext): Record<string, string> => ({ [KMS_CONTEXT_NAME]: repository })

function wrapped(title: string, key: string | undefined, ciphertext: Uint8Array | undefined): WrappedPassword {
  if (key === undefined || ciphertext === undefined) throw answerless(title)
  return { type: 'kms', key, ciphertext }
}

const answerless = (title: string): HoldfastError =>
  keyUnavailable(title, 'unreachable', 'the key service answered without what was asked for')

/** Keys of several regions with one key material have one id, which begins with `mrk-`. */
function isSameKey(one: string, other: string): boolean {
  const idOf = (arn: string): string => arn.slice(arn.lastIndexOf(':') + 1)
  return one === other || (idOf(one) === idOf(other) && idOf(one).startsWith('key/mrk-'))
}

const regionOf = (arn: string): string | undefined => arn.split(':')[3]

async function connect(
  region: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<KMSClient> {
  const { KMSClient } = await import('@aws-sdk/client-kms')
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN } = environment
  const endpoint = environment.AWS_ENDPOINT_URL_KMS || environment.AWS_ENDPOINT_URL
  requireSafeEndpoint(endpoint)
  const settings: KMSClientConfig = {
    maxAttempts: TRIES,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      // Else it only prints a warning, to our standard error.
      throwOnRequestTimeout: true,
    },
    ...(region === undefined ? {} : { region }),
    ...(endpoint ? { endpoint } : {}),
    // Else the client looks in its own places: profiles, the service of the machine, web identities.
    ...(accessKeyId && secretAccessKey
      ? {
          credentials: {
            accessKeyId,
            secretAccessKey,
            ...(AWS_SESSION_TOKEN ? { sessionToken: AWS_SESSION_TOKEN } : {}),
          },
        }
      : {}),
  }
  return new KMSClient(settings)
}

/** Decrypt answers with the password itself: never in clear beyond this machine. */
function requireSafeEndpoint(endpoint: string | undefined): void {
  if (!endpoint || !URL.canParse(endpoint)) return
  const { protocol, hostname } = new URL(endpoint)
  const isLoopback = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
  if (protocol === 'https:' || isLoopback) return
  throw new HoldfastError('HF_KEY_UNAVAILABLE', `the endpoint of the key service is not encrypted: ${hostname}`, {
    hint: 'use https: in AWS_ENDPOINT_URL_KMS; http: is for this machine only',
    context: { reason: 'invalid' },
  })
}
