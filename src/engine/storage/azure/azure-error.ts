import { type ErrorCode, HoldfastError, type HoldfastErrorOptions } from '../../../lib/errors.ts'
import { networkFailure } from '../network-error.ts'
import type { AzureAccount } from './azure-account.ts'

export type AzureRight = 'read' | 'write' | 'delete' | 'list' | 'create container' | 'examine' | 'immutability'

/** What a call was about. */
export interface AzureCall {
  /** "cannot write data/ab12cd34 in azure:backups:/shop". */
  readonly what: string
  readonly needs: AzureRight
  readonly account: AzureAccount
  readonly container: string
  /** Of this machine, since 1970. */
  readonly nowMs: number
}

type Failure = readonly [code: ErrorCode, words: string, options?: Pick<HoldfastErrorOptions, 'hint' | 'retry'>]

/** Letters of a shared access signature, and actions of roles. */
const rights: Readonly<Record<AzureRight, string>> = {
  read: '"r" of a SAS, or the role Storage Blob Data Reader',
  write: '"c" and "w" of a SAS, or the role Storage Blob Data Contributor',
  delete: '"d" (and "x" for versions) of a SAS, or the role Storage Blob Data Contributor',
  list: '"l" of a SAS for the container, or the role Storage Blob Data Reader',
  'create container': '"c" of a SAS for the account, or the role Storage Blob Data Contributor',
  examine: '"r" of a SAS for the service and its containers, or the account key',
  immutability: '"i" of a SAS, or the role Storage Blob Data Owner',
}

const retained = 'Its time, or the hold on it, must end first.'

/** By Azure's name of the error. */
const failures: Readonly<Record<string, Failure>> = {
  BlobNotFound: ['HF_STORAGE_NOT_FOUND', 'there is no such blob'],
  BlobAlreadyExists: ['HF_STORAGE_EXISTS', 'it exists already'],
  ContainerBeingDeleted: ['HF_STORAGE_IO', 'the container is being deleted'],
  BlobArchived: [
    'HF_STORAGE_ARCHIVED',
    'it lies in the archive tier',
    { hint: 'Ask for it with another access tier; it takes up to 15 hours to come.' },
  ],
  BlobBeingRehydrated: [
    'HF_STORAGE_ARCHIVED',
    'it is on its way out of the archive tier',
    { hint: 'Wait; it takes up to 15 hours.' },
  ],
  BlobImmutableDueToPolicy: [
    'HF_STORAGE_RETAINED',
    'an immutability policy or legal hold keeps it',
    { hint: retained },
  ],
  ContainerImmutableDueToPolicy: ['HF_STORAGE_RETAINED', 'an immutability policy keeps it', { hint: retained }],
  ServerBusy: ['HF_STORAGE_THROTTLED', 'the account is asked too much'],
  OperationTimedOut: ['HF_STORAGE_THROTTLED', 'the service did not get it done in time'],
  Md5Mismatch: ['HF_STORAGE_IO', 'it was damaged on the way'],
  AccountIsDisabled: ['HF_STORAGE_DENIED', 'the account is disabled', { hint: 'Look at its subscription.' }],
  KeyBasedAuthenticationNotPermitted: [
    'HF_STORAGE_DENIED',
    'the account takes no keys and no signatures made with them',
    { hint: 'Use an identity: leave AZURE_ACCOUNT_KEY and AZURE_ACCOUNT_SAS unset.' },
  ],
  AuthorizationSourceIPMismatch: [
    'HF_STORAGE_DENIED',
    'the signature is not for the address of this machine',
    { hint: 'Make a SAS for this address.' },
  ],
  AuthorizationProtocolMismatch: ['HF_STORAGE_DENIED', 'the signature is for https only', { hint: 'Use https.' }],
  InvalidResourceName: ['HF_STORAGE_LOCATION', 'that is no name for a container'],
  AccountBeingCreated: ['HF_STORAGE_IO', 'the account is being made'],
  InvalidUri: ['HF_STORAGE_LOCATION', 'that is no address of a container'],
  LeaseIdMissing: [
    'HF_STORAGE_DENIED',
    'somebody holds a lease on it',
    { hint: 'Break the lease, or wait for its end.' },
  ],
  FeatureVersionMismatch: ['HF_UNSUPPORTED', 'this account cannot do it'],
  APINotImplemented: ['HF_UNSUPPORTED', 'this server cannot do it'],
}

const missingPermission = new Set([
  'AuthorizationPermissionMismatch',
  'AuthorizationResourceTypeMismatch',
  'AuthorizationServiceMismatch',
  'InsufficientAccountPermissions',
])

/** More than the quarter of an hour that Azure lets clocks differ. */
const SKEW_MS = 14 * 60_000

/**
 * What went wrong with a call to Azure, as a HoldfastError. The original is not attached: it holds the request, and that the signature.
 */
export function azureError(error: unknown, call: AzureCall): HoldfastError {
  if (error instanceof HoldfastError) return error
  const { status, name, requestId, serverDate, code: library } = partsOf(error)
  const fail = ([code, words, options]: Failure): HoldfastError =>
    new HoldfastError(code, `${call.what}: ${words}`, {
      ...options,
      context: { status, azureError: name, requestId, account: call.account.name, container: call.container },
    })
  if (status === undefined) {
    const network = networkFailure(error)
    if (network !== undefined) return fail(['HF_STORAGE_UNREACHABLE', network.words, network.options])
    if (isIdentityError(error))
      return fail([
        'HF_STORAGE_DENIED',
        'no identity was found, or Azure did not accept it',
        {
          hint: 'Set AZURE_ACCOUNT_KEY or AZURE_ACCOUNT_SAS, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or log in with "az login".',
        },
      ])
    return fail(['HF_STORAGE_IO', `it failed with ${library ?? nameOf(error)}`])
  }
  if (name === 'ContainerNotFound') return fail(noContainer(call))
  const known = failures[name ?? '']
  if (known !== undefined) return fail(known)
  if (missingPermission.has(name ?? ''))
    return fail(['HF_STORAGE_DENIED', 'the permission is missing', { hint: `It takes ${rights[call.needs]}.` }])
  if (status === 401 || status === 403) return fail(refusal(call, name, serverDate))
  return fail(byStatus(status, name))
}

function noContainer({ needs, account, container }: AzureCall): Failure {
  const hint = `There is no container ${JSON.stringify(container)} in the account ${account.name}; "holdfast init" makes it.`
  const isWrite = needs === 'write'
  return [isWrite ? 'HF_REPO_NOT_FOUND' : 'HF_STORAGE_NOT_FOUND', 'there is no such container', { hint }]
}

/** A refusal whose name does not say why: it is worked out from the signature and the clocks. */
function refusal({ account, nowMs, needs }: AzureCall, name: string | undefined, serverDate: number): Failure {
  const { credential } = account
  const skewMs = nowMs - serverDate
  if (Math.abs(skewMs) > SKEW_MS)
    return [
      'HF_STORAGE_DENIED',
      `the clock of this machine is ${Math.round(Math.abs(skewMs) / 60_000)} minutes ${skewMs > 0 ? 'fast' : 'slow'}`,
      { hint: 'Set the clock; Azure accepts a difference of 15 minutes.' },
    ]
  if (credential.kind === 'sas' && credential.expiresMs !== undefined && credential.expiresMs <= nowMs)
    return [
      'HF_STORAGE_DENIED',
      `the shared access signature expired at ${new Date(credential.expiresMs).toISOString()}`,
      { hint: 'Make a new one.' },
    ]
  if (credential.kind === 'key')
    return [
      'HF_STORAGE_DENIED',
      `the account ${account.name} does not accept the key`,
      {
        hint: "Check the account key: it may have been rotated, or be of another account; and the account's network rules.",
      },
    ]
  if (credential.kind === 'sas')
    return [
      'HF_STORAGE_DENIED',
      'the shared access signature is not accepted',
      { hint: `Check that it was copied whole, with ${rights[needs]}.` },
    ]
  return [
    'HF_STORAGE_DENIED',
    `the identity is not accepted (${name ?? 'refused'})`,
    { hint: `It takes ${rights[needs]}.` },
  ]
}

function byStatus(status: number, name: string | undefined): Failure {
  const words = `the service answered ${status}${name === undefined ? '' : ` (${name})`}`
  if (status < 400) return ['HF_STORAGE_IO', 'what it answered makes no sense']
  if (status === 404) return ['HF_STORAGE_NOT_FOUND', words]
  if (status === 412) return ['HF_STORAGE_EXISTS', words]
  if (status === 429 || status === 503) return ['HF_STORAGE_THROTTLED', words]
  if (status === 507) return ['HF_STORAGE_FULL', words]
  return ['HF_STORAGE_IO', words, { retry: status >= 500 || status === 408 ? 'later' : 'never' }]
}

interface Parts {
  readonly status: number | undefined
  /** Azure's name of the error. */
  readonly name: string | undefined
  readonly requestId: string | undefined
  /** Since 1970; NaN when the server did not tell. */
  readonly serverDate: number
  /** The client library's own name of the error. */
  readonly code: string | undefined
}

/** What of a RestError may be shown. */
function partsOf(error: unknown): Parts {
  const { statusCode, code, response, details } = (error ?? {}) as {
    statusCode?: number
    code?: string
    details?: { errorCode?: string }
    response?: { headers?: { get(name: string): string | undefined } }
  }
  const header = (name: string): string | undefined => response?.headers?.get(name)
  const name = header('x-ms-error-code') ?? details?.errorCode ?? code
  return {
    status: statusCode,
    name: name !== undefined && /^[A-Za-z0-9]+$/.test(name) ? name : undefined,
    requestId: header('x-ms-request-id'),
    serverDate: Date.parse(header('date') ?? ''),
    code: typeof code === 'string' ? code : undefined,
  }
}

const isIdentityError = (error: unknown): boolean =>
  /^(AggregateAuthenticationError|AuthenticationError|AuthenticationRequiredError|CredentialUnavailableError)$/.test(
    nameOf(error),
  )

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : typeof error)
