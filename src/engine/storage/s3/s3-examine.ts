import type { S3 } from '@aws-sdk/client-s3'
import type { Clock } from '../../../lib/clock.ts'
import { type HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import type { StoreFinding } from '../features.ts'
import { throwIfInterrupted } from '../interruption.ts'
import type { CallOptions } from '../storage.ts'
import type { LockSettings } from '../store-settings.ts'
import type { RequestOptions } from './s3-client.ts'
import type { S3Objects } from './s3-objects.ts'
import { nowMs } from './s3-put.ts'

export interface ExamineSettings {
  readonly lock: LockSettings | undefined
  readonly isPlain: boolean
  readonly clock: Clock
}

type Look = (objects: S3Objects, settings: ExamineSettings, options: CallOptions | undefined) => Promise<StoreFinding[]>

/** Looks at everything that a careful owner of the bucket wants to know; what the store does not tell is `unknown`, never good. */
export async function examineS3(
  objects: S3Objects,
  settings: ExamineSettings,
  options?: CallOptions,
): Promise<readonly StoreFinding[]> {
  const findings: StoreFinding[] = []
  for (const { what, look } of looks) {
    throwIfInterrupted(options?.signal)
    try {
      findings.push(...(await look(objects, settings, options)))
    } catch (error) {
      if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
      findings.push({ what, state: 'unknown', text: error.message })
    }
  }
  return findings
}

const lookAtTransport: Look = async (_, { isPlain }) => [
  isPlain
    ? { what: 'transport', state: 'bad', text: 'requests cross the network in clear', remedy: 'Use https://.' }
    : { what: 'transport', state: 'good', text: 'requests are encrypted on their way, or stay on this machine' },
]

/** What a stranger can do is tried, and what the policy and the access list say is read: each sees what the other does not. */
const lookAtAccess: Look = async (objects, _, options) => {
  const remedy =
    'Take public access away in the policy and the access list of the bucket, and block it for the account.'
  const bad = (text: string): StoreFinding => ({ what: 'access', state: 'bad', text, remedy })
  const { client, keys } = objects
  const findings: StoreFinding[] = []
  if (await client.isAllowedToStrangers({ Prefix: keys.root }, options))
    findings.push(bad('anybody can list the files'))
  if (await client.isAllowedToStrangers({ Key: keys.of({ kind: 'config' }) }, options))
    findings.push(bad('anybody can read the files'))
  const policy = await ask(objects, 's3:GetBucketPolicyStatus', options, (s3, target, request) =>
    s3.getBucketPolicyStatus(target, request),
  )
  if (policy !== 'unset' && policy.PolicyStatus?.IsPublic) findings.push(bad('the policy of the bucket is public'))
  const acl = await ask(objects, 's3:GetBucketAcl', options, (s3, target, request) => s3.getBucketAcl(target, request))
  const isOpen =
    acl !== 'unset' &&
    acl.Grants?.some(({ Grantee }) => /\/global\/(AllUsers|AuthenticatedUsers)$/.test(Grantee?.URI ?? ''))
  if (isOpen) findings.push(bad('the access list of the bucket is public'))
  if (findings.length > 0) return findings
  return [{ what: 'access', state: 'good', text: 'nobody without credentials can list or read' }]
}

const lookAtVersions: Look = async (objects, { lock }, options) => {
  const versioning = await ask(objects, 's3:GetBucketVersioning', options, (s3, target, request) =>
    s3.getBucketVersioning(target, request),
  )
  if (versioning !== 'unset' && versioning.Status === 'Enabled')
    return [{ what: 'versions', state: 'good', text: 'versions are kept' }]
  const remedy = 'Turn versioning on, and let old versions expire by a rule of the bucket.'
  const text = 'versions are not kept: what is deleted or overwritten is gone'
  return [{ what: 'versions', state: lock === undefined ? 'note' : 'bad', text, remedy }]
}

const lookAtRetention: Look = async (objects, { lock }, options) => {
  const found = await ask(objects, 's3:GetBucketObjectLockConfiguration', options, (s3, target, request) =>
    s3.getObjectLockConfiguration(target, request),
  )
  const configuration = found === 'unset' ? undefined : found.ObjectLockConfiguration
  if (configuration?.ObjectLockEnabled !== 'Enabled') {
    const text = 'the bucket has no Object Lock'
    if (lock === undefined) return [{ what: 'retention', state: 'note', text }]
    return [
      { what: 'retention', state: 'bad', text, remedy: 'Make a bucket that has it, and copy the repository there.' },
    ]
  }
  const findings: StoreFinding[] = []
  if (configuration.Rule?.DefaultRetention !== undefined)
    findings.push({
      what: 'retention',
      state: 'bad',
      text: 'the bucket retains all that is written, also the locks of repositories, which pile up as hidden versions',
      remedy: 'Take the default retention away, and set "lock" for the repository.',
    })
  if (lock === undefined)
    findings.push({
      what: 'retention',
      state: 'note',
      text: 'the bucket has Object Lock, and "lock" is not set: files are not retained',
    })
  else if (findings.length === 0)
    findings.push({
      what: 'retention',
      state: 'good',
      text: `files are retained (${lock.mode}) for ${lock.forMs / 3_600_000} hours`,
    })
  return findings
}

const lookAtEncryption: Look = async (objects, _, options) => {
  const found = await ask(objects, 's3:GetEncryptionConfiguration', options, (s3, target, request) =>
    s3.getBucketEncryption(target, request),
  )
  const rule = found === 'unset' ? undefined : found.ServerSideEncryptionConfiguration?.Rules?.[0]
  const algorithm = rule?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm
  const text = algorithm === undefined ? 'the store encrypts nothing by itself' : `the store encrypts with ${algorithm}`
  return [{ what: 'encryption', state: 'note', text: `${text}; the repository is encrypted in any case` }]
}

const lookAtLocation: Look = async (objects, _, options) => {
  const found = await ask(objects, 's3:GetBucketLocation', options, (s3, target, request) =>
    s3.getBucketLocation(target, request),
  )
  const region = (found === 'unset' ? undefined : found.LocationConstraint) || 'us-east-1'
  return [{ what: 'location', state: 'note', text: region }]
}

const DAY_MS = 24 * 60 * 60 * 1000

/** How far copies in other regions are behind, told by the newest index file: a snapshot is of use there when its index is. */
const lookAtReplication: Look = async (objects, { clock }, options) => {
  const rules = await ask(objects, 's3:GetReplicationConfiguration', options, (s3, target, request) =>
    s3.getBucketReplication(target, request),
  )
  if (rules === 'unset' || !rules.ReplicationConfiguration?.Rules?.some(({ Status }) => Status === 'Enabled'))
    return [{ what: 'replication', state: 'note', text: 'the bucket is not replicated' }]
  let oldestMs: number | undefined
  let isFailed = false
  for await (const version of objects.versions(objects.keys.folder('index'), options)) {
    const name = objects.keys.nameOf('index', version.key)
    if (name === undefined || !version.isLatest || version.content === undefined) continue
    const { replication } = await objects.head({ kind: 'index', name }, options)
    if (replication === 'FAILED') isFailed = true
    if (replication === 'PENDING') oldestMs = Math.min(oldestMs ?? Number.POSITIVE_INFINITY, version.changedMs ?? 0)
  }
  if (isFailed) return [{ what: 'replication', state: 'bad', text: 'some index files could not be replicated' }]
  if (oldestMs === undefined) return [{ what: 'replication', state: 'good', text: 'all index files are replicated' }]
  const lagMs = nowMs(clock) - oldestMs
  const text = `replication is behind by ${Math.round(lagMs / 60_000)} minutes`
  return [{ what: 'replication', state: lagMs > DAY_MS ? 'bad' : 'note', text }]
}

const looks: readonly { readonly what: StoreFinding['what']; readonly look: Look }[] = [
  { what: 'transport', look: lookAtTransport },
  { what: 'access', look: lookAtAccess },
  { what: 'versions', look: lookAtVersions },
  { what: 'retention', look: lookAtRetention },
  { what: 'encryption', look: lookAtEncryption },
  { what: 'location', look: lookAtLocation },
  { what: 'replication', look: lookAtReplication },
]

/** Asks about the bucket; `unset` when nobody has set what is asked for. */
async function ask<Output>(
  { client }: S3Objects,
  permission: string,
  options: CallOptions | undefined,
  run: (s3: S3, target: { readonly Bucket: string }, request: RequestOptions) => Promise<Output>,
): Promise<Output | 'unset'> {
  const call = { doing: 'look at', object: `the bucket ${JSON.stringify(client.bucket)}`, permission }
  try {
    return await client.call(call, options, (s3, request) => run(s3, { Bucket: client.bucket }, request))
  } catch (error) {
    if (isHoldfastError(error) && isUnset(error)) return 'unset'
    throw error
  }
}

const isUnset = ({ context }: HoldfastError): boolean =>
  /^(NoSuchBucketPolicy|ObjectLockConfigurationNotFoundError|ServerSideEncryptionConfigurationNotFoundError|ReplicationConfigurationNotFoundError)$/.test(
    String(context.error),
  )
