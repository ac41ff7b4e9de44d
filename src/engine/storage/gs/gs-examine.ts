import { isHoldfastError } from '../../../lib/errors.ts'
import { clockFinding } from '../clock-finding.ts'
import type { StoreFinding } from '../features.ts'
import type { CallOptions } from '../storage.ts'
import { transportFinding } from '../transport.ts'
import type { GsFeatureSettings } from './gs-features.ts'

/** What of a bucket's description matters here. */
interface Bucket {
  readonly location?: string
  readonly locationType?: string
  readonly versioning?: { readonly enabled?: boolean }
  readonly softDeletePolicy?: { readonly retentionDurationSeconds?: string }
  readonly objectRetention?: { readonly mode?: string }
  readonly retentionPolicy?: { readonly retentionPeriod?: string }
  readonly iamConfiguration?: { readonly publicAccessPrevention?: string }
  readonly encryption?: { readonly defaultKmsKeyName?: string }
  readonly rpo?: string
}

/** Looks at the bucket and who may use it; what may not be asked is `unknown`. */
export async function examineBucket(
  settings: GsFeatureSettings,
  options: CallOptions,
): Promise<readonly StoreFinding[]> {
  const { place, call, endpoint } = settings
  const path = `/storage/v1/b/${encodeURIComponent(place.bucket)}`
  const transport = transportFinding(endpoint)
  let answeredAt: Date | undefined
  try {
    const bucket = await call(
      'examine the bucket',
      'storage.buckets.get',
      options,
      (client, signal) =>
        client.ask<Bucket>({
          path,
          signal,
          onHeaders: ({ date }) => {
            answeredAt = date === undefined ? undefined : new Date(date)
          },
        }),
      { isAboutBucket: true },
    )
    return [
      transport,
      await access(settings, bucket, path, options),
      versions(settings, bucket),
      retention(settings, bucket),
      location(bucket),
      replication(bucket),
      encryption(bucket),
      clockFinding(answeredAt, settings.clock),
    ]
  } catch (error) {
    return [transport, unknown('access', error)]
  }
}

function unknown(what: StoreFinding['what'], error: unknown): StoreFinding {
  if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
  return { what, state: 'unknown', text: error.message, ...(error.hint === undefined ? {} : { remedy: error.hint }) }
}

async function access(
  { call }: GsFeatureSettings,
  { iamConfiguration }: Bucket,
  path: string,
  options: CallOptions,
): Promise<StoreFinding> {
  if (iamConfiguration?.publicAccessPrevention === 'enforced')
    return { what: 'access', state: 'good', text: 'public access is forbidden' }
  try {
    const { bindings = [] } = await call(
      'read who may use the bucket',
      'storage.buckets.getIamPolicy',
      options,
      (client, signal) =>
        client.ask<{ bindings?: readonly { readonly role: string; readonly members?: readonly string[] }[] }>({
          path: `${path}/iam`,
          signal,
        }),
    )
    const open = bindings.filter(({ members = [] }) =>
      members.some((member) => member === 'allUsers' || member === 'allAuthenticatedUsers'),
    )
    const remedy = 'Take allUsers and allAuthenticatedUsers out of its policy, and enforce public access prevention.'
    return open.length === 0
      ? {
          what: 'access',
          state: 'good',
          text: 'nobody outside has a role in the policy of the bucket',
          remedy: 'Enforce public access prevention, so that it stays so.',
        }
      : { what: 'access', state: 'bad', text: `everybody has ${open.map(({ role }) => role).join(', ')}`, remedy }
  } catch (error) {
    return unknown('access', error)
  }
}

function versions({ lock }: GsFeatureSettings, { versioning, softDeletePolicy }: Bucket): StoreFinding {
  const days = Number(softDeletePolicy?.retentionDurationSeconds ?? 0) / 86_400
  const kept = [
    ...(versioning?.enabled === true ? ['old versions are kept'] : []),
    ...(days > 0
      ? [`what is deleted can be brought back, and is paid for, for ${Math.round(days * 10) / 10} days`]
      : []),
  ]
  if (kept.length > 0) return { what: 'versions', state: 'good', text: kept.join('; ') }
  return {
    what: 'versions',
    state: lock === undefined ? 'note' : 'bad',
    text: 'neither versions nor soft delete are on: what is deleted is gone',
    remedy: 'Turn on versioning or soft delete.',
  }
}

function retention({ lock }: GsFeatureSettings, { objectRetention, retentionPolicy }: Bucket): StoreFinding {
  if (retentionPolicy?.retentionPeriod !== undefined)
    return {
      what: 'retention',
      // Locks of the repository could not be removed.
      state: 'bad',
      text: `the bucket keeps everything for ${retentionPolicy.retentionPeriod} s, the locks of the repository too`,
      remedy: "Take the bucket's retention policy away, and use retention of single objects.",
    }
  if (objectRetention?.mode === 'Enabled')
    return { what: 'retention', state: 'good', text: 'single objects can be retained' }
  if (lock === undefined) return { what: 'retention', state: 'note', text: 'objects cannot be retained here' }
  return {
    what: 'retention',
    state: 'bad',
    text: 'a lock is configured, and objects cannot be retained here',
    remedy: 'Enable object retention for the bucket.',
  }
}

const location = ({ location = 'unknown', locationType }: Bucket): StoreFinding => ({
  what: 'location',
  state: 'note',
  text: `${location.toLowerCase()}${locationType === undefined ? '' : ` (${locationType})`}`,
})

/** Google tells how far copies lag only to its monitoring. */
function replication({ locationType = 'region', rpo }: Bucket): StoreFinding {
  if (locationType === 'region') return { what: 'replication', state: 'note', text: 'it lies in one region only' }
  const text =
    rpo === 'ASYNC_TURBO'
      ? 'it lies in several regions; copies come within 15 minutes'
      : 'it lies in several regions; most copies come within an hour, all within 12'
  return { what: 'replication', state: 'note', text }
}

const encryption = ({ encryption }: Bucket): StoreFinding => ({
  what: 'encryption',
  state: 'note',
  text:
    encryption?.defaultKmsKeyName === undefined
      ? "the service encrypts with Google's keys"
      : `the service encrypts with ${encryption.defaultKmsKeyName}`,
})
