import { isHoldfastError } from '../../../lib/errors.ts'
import { clockFinding } from '../clock-finding.ts'
import type { StoreFinding } from '../features.ts'
import type { CallOptions } from '../storage.ts'
import { transportFinding } from '../transport.ts'
import type { AzureCaller } from './azure-features.ts'

/** Looks at the container, the service and the account; what may not be asked is `unknown`. */
export async function examineContainer(caller: AzureCaller, options: CallOptions): Promise<readonly StoreFinding[]> {
  return [
    transportFinding(caller.endpoint),
    ...(await container(caller, options)),
    ...(await service(caller, options)),
    ...(await place(caller, options)),
    await replication(caller, options),
  ]
}

const unknown = (what: StoreFinding['what'], error: unknown): StoreFinding => {
  if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
  return { what, state: 'unknown', text: error.message, ...(error.hint === undefined ? {} : { remedy: error.hint }) }
}

async function container(caller: AzureCaller, options: CallOptions): Promise<readonly StoreFinding[]> {
  try {
    const found = await caller.call('examine the container', 'examine', options, (clients, abortSignal) =>
      clients.container.getProperties({ abortSignal }),
    )
    const { blobPublicAccess, isImmutableStorageWithVersioningEnabled: isImmutable } = found
    const access: StoreFinding =
      blobPublicAccess === undefined
        ? { what: 'access', state: 'good', text: 'the container is private' }
        : {
            what: 'access',
            state: 'bad',
            text: `everybody may read the container (public access: ${blobPublicAccess})`,
            remedy: 'Set the access level of the container to private, and forbid public access for the account.',
          }
    const encryption: StoreFinding = {
      what: 'encryption',
      state: 'note',
      text: `the service encrypts with ${found.defaultEncryptionScope?.startsWith('$') === false ? `the scope ${found.defaultEncryptionScope}` : "the account's key"}`,
    }
    return [access, encryption, ...retention(caller, isImmutable === true), clockFinding(found.date, caller.clock)]
  } catch (error) {
    return [unknown('access', error), ...(caller.lock === undefined ? [] : [unknown('retention', error)])]
  }
}

function retention({ lock }: AzureCaller, isImmutable: boolean): readonly StoreFinding[] {
  if (isImmutable) return [{ what: 'retention', state: 'good', text: 'single versions of blobs can be made immutable' }]
  if (lock === undefined) return [{ what: 'retention', state: 'note', text: 'blobs cannot be made immutable here' }]
  return [
    {
      what: 'retention',
      state: 'bad',
      text: 'a lock is configured, and blobs cannot be made immutable here',
      remedy: 'Enable version-level immutability of the container; for one that exists it is a migration.',
    },
  ]
}

async function service(caller: AzureCaller, options: CallOptions): Promise<readonly StoreFinding[]> {
  try {
    const { deleteRetentionPolicy } = await caller.call(
      'examine the service',
      'examine',
      options,
      (clients, abortSignal) => clients.service.getProperties({ abortSignal }),
    )
    const days = deleteRetentionPolicy?.enabled ? deleteRetentionPolicy.days : undefined
    return [
      days === undefined
        ? {
            what: 'versions',
            state: caller.lock === undefined ? 'note' : 'bad',
            text: 'soft delete is off: what is deleted is gone',
            remedy: 'Turn on soft delete for blobs, and versioning.',
          }
        : { what: 'versions', state: 'good', text: `what is deleted can be brought back for ${days} days` },
    ]
  } catch (error) {
    return [unknown('versions', error)]
  }
}

async function place(caller: AzureCaller, options: CallOptions): Promise<readonly StoreFinding[]> {
  try {
    const { skuName } = await caller.call('examine the account', 'examine', options, (clients, abortSignal) =>
      clients.container.getAccountInfo({ abortSignal }),
    )
    const text = `the account is of kind ${skuName ?? 'unknown'}; Azure tells its region only to its owner`
    return [{ what: 'location', state: 'note', text }]
  } catch (error) {
    return [unknown('location', error)]
  }
}

/** How far the copy in the second region lags, where there is one that can be asked. */
async function replication(caller: AzureCaller, options: CallOptions): Promise<StoreFinding> {
  try {
    const { geoReplication } = await caller.call('ask the second region', 'examine', options, (clients, abortSignal) =>
      clients.second.getStatistics({ abortSignal }),
    )
    if (geoReplication?.lastSyncOn === undefined)
      return { what: 'replication', state: 'note', text: 'there is no second region that can be read' }
    const since = geoReplication.lastSyncOn.toISOString()
    const isLive = geoReplication.status === 'live'
    return {
      what: 'replication',
      state: isLive ? 'good' : 'note',
      text: `the second region is ${geoReplication.status}; it has what was written until ${since}`,
    }
  } catch (error) {
    return unknown('replication', error)
  }
}
