import { parseGoDuration } from '../../../lib/durations.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { BackendRequest } from '../backend.ts'
import { connectionsOf } from '../connections.ts'

/** How an S3 store is talked to. */
export interface S3Options {
  readonly connections: number
  readonly region: string | undefined
  /** Whether the bucket stands in the host name or in the path; `auto`: in the host name at Amazon only. */
  readonly bucketLookup: 'auto' | 'dns' | 'path'
  readonly storageClass: string | undefined
  readonly listObjectsV1: boolean
  readonly isAnonymous: boolean
  readonly encryption: S3Encryption | undefined
  /** Bring archived files back when they are read; undefined: reading one fails. */
  readonly restore: S3Restore | undefined
}

/** Encryption at rest by the store, with a key it keeps for the bucket or one of its key service. */
export interface S3Encryption {
  readonly algorithm: 'AES256' | 'aws:kms'
  readonly keyId: string | undefined
}

export interface S3Restore {
  readonly days: number
  readonly tier: 'Expedited' | 'Standard' | 'Bulk'
  readonly timeoutMs: number
}

/** restic's names, and `sse` and `sse-kms-key-id`, which restic has not. */
export const s3OptionNames: readonly string[] = [
  'bucket-lookup',
  'connections',
  'enable-restore',
  'list-objects-v1',
  'region',
  'restore-days',
  'restore-tier',
  'restore-timeout',
  'sse',
  'sse-kms-key-id',
  'storage-class',
  'unsafe-anonymous-auth',
]

const DEFAULT_CONNECTIONS = 8
const DAY_MS = 24 * 60 * 60 * 1000

/** @throws HoldfastError HF_USAGE for a wrong value */
export function s3OptionsOf({ options, settings, environment }: BackendRequest): S3Options {
  const connections = options.get('connections')
  return {
    connections: connections === undefined ? DEFAULT_CONNECTIONS : connectionsOf('s3', connections),
    region:
      options.get('region') ??
      settings.region ??
      (environment.AWS_REGION || environment.AWS_DEFAULT_REGION || undefined),
    bucketLookup: oneOf(options, 'bucket-lookup', ['auto', 'dns', 'path'], 'auto'),
    storageClass: options.get('storage-class') ?? settings.storageClass,
    listObjectsV1: isTrue(options, 'list-objects-v1'),
    isAnonymous: isTrue(options, 'unsafe-anonymous-auth'),
    encryption: encryptionOf(options),
    restore: restoreOf(options),
  }
}

function encryptionOf(options: BackendRequest['options']): S3Encryption | undefined {
  const keyId = options.get('sse-kms-key-id')
  if (!options.has('sse') && keyId === undefined) return undefined
  const algorithm = oneOf(options, 'sse', ['AES256', 'aws:kms'], 'aws:kms')
  if (algorithm === 'AES256' && keyId !== undefined)
    throw new HoldfastError('HF_USAGE', 's3.sse-kms-key-id goes with s3.sse=aws:kms only')
  return { algorithm, keyId }
}

function restoreOf(options: BackendRequest['options']): S3Restore | undefined {
  const days = Number(options.get('restore-days') ?? '7')
  if (!Number.isInteger(days) || days < 1) throw wrong('restore-days', 'a number of days', options.get('restore-days')!)
  const tier = oneOf(options, 'restore-tier', ['Expedited', 'Standard', 'Bulk'], 'Standard')
  const timeout = options.get('restore-timeout')
  const timeoutMs = timeout === undefined ? DAY_MS : durationOf(timeout)
  return isTrue(options, 'enable-restore') ? { days, tier, timeoutMs } : undefined
}

function durationOf(text: string): number {
  try {
    return Number(parseGoDuration(text) / 1_000_000n)
  } catch {
    throw wrong('restore-timeout', 'a time like 12h or 90m', text)
  }
}

function isTrue(options: BackendRequest['options'], name: string): boolean {
  return oneOf(options, name, ['true', 'false', '1', '0'], 'false').match(/^(true|1)$/) !== null
}

function oneOf<T extends string>(options: BackendRequest['options'], name: string, values: readonly T[], usual: T): T {
  const value = options.get(name)
  if (value === undefined) return usual
  const found = values.find((known) => known.toLowerCase() === value.toLowerCase())
  if (found === undefined) throw wrong(name, `one of ${values.join(', ')}`, value)
  return found
}

const wrong = (name: string, what: string, value: string): HoldfastError =>
  new HoldfastError('HF_USAGE', `s3.${name} is ${what}, not ${JSON.stringify(value)}`)
