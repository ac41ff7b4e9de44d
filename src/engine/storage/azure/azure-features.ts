import { setTimeout as sleep } from 'node:timers/promises'
import type { BlobItem } from '@azure/storage-blob'
import type { Clock } from '../../../lib/clock.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { ClassifiedFile, DeletedFile, Retention, StoreFeatures } from '../features.ts'
import { fileOfObject, idOfObject, objectFolder, objectName } from '../object-names.ts'
import { type CallOptions, describeFile, type FileRef, type NamedFileKind } from '../storage.ts'
import type { LockSettings } from '../store-settings.ts'
import type { AzureClients } from './azure-client.ts'
import type { AzureRight } from './azure-error.ts'
import { examineContainer } from './azure-examine.ts'

/** What the features of a container need of its storage. */
export interface AzureCaller {
  readonly location: string
  readonly endpoint: string
  readonly prefix: string
  readonly lock: LockSettings | undefined
  readonly clock: Clock
  /** Makes one attempt and fails with HoldfastErrors. */
  call<T>(
    doing: string,
    needs: AzureRight,
    options: CallOptions,
    work: (clients: AzureClients, signal: AbortSignal) => Promise<T>,
  ): Promise<T>
}

const DEFAULT_TIER = 'Hot'
const COPY_POLL_MS = 500

export function azureFeatures(caller: AzureCaller): StoreFeatures {
  const { prefix, lock, call } = caller
  const get = (file: FileRef, options: CallOptions): Promise<Retention | undefined> =>
    call(`read the retention of ${describeFile(file)}`, 'read', options, async ({ container }, abortSignal) => {
      const found = await container.getBlobClient(objectName(prefix, file)).getProperties({ abortSignal })
      return retentionOf(found)
    })
  return {
    retention: {
      written: lock,
      get: (file, options = {}) => get(file, options),
      extend: async (file, untilMs, options = {}) => {
        const found = await get(file, options)
        if (found !== undefined && found.untilMs >= untilMs) return
        // A locked policy stays one; only its end can move.
        const mode = found !== undefined && found.untilMs > 0 ? found.mode : (lock?.mode ?? 'governance')
        const policyMode = mode === 'compliance' ? 'Locked' : 'Unlocked'
        await call(`retain ${describeFile(file)}`, 'immutability', options, async ({ container }, abortSignal) => {
          const blob = container.getBlobClient(objectName(prefix, file))
          await blob.setImmutabilityPolicy({ expiriesOn: new Date(untilMs), policyMode }, { abortSignal })
        })
      },
      setLegalHold: (file, isHeld, options = {}) =>
        call(`hold ${describeFile(file)}`, 'immutability', options, async ({ container }, abortSignal) => {
          await container.getBlobClient(objectName(prefix, file)).setLegalHold(isHeld, { abortSignal })
        }),
    },
    versions: {
      listDeleted: (kind, options = {}) => listDeleted(caller, kind, options),
      undelete: (file, options = {}) => undelete(caller, file, options),
    },
    classes: {
      list: (options = {}) => listClasses(caller, options),
      state: (file, options = {}) =>
        call(`read the tier of ${describeFile(file)}`, 'read', options, async ({ container }, abortSignal) => {
          const blob = container.getBlobClient(objectName(prefix, file))
          const { accessTier, archiveStatus } = await blob.getProperties({ abortSignal })
          if (archiveStatus?.startsWith('rehydrate-pending')) return 'being restored'
          return accessTier === 'Archive' ? 'archived' : 'readable'
        }),
      // Azure brings a blob back by moving it to another tier, where it stays.
      requestRestore: (file, _days, options = {}) =>
        call(`ask for ${describeFile(file)}`, 'write', options, async ({ container }, abortSignal) => {
          const blob = container.getBlobClient(objectName(prefix, file))
          await blob.setAccessTier(DEFAULT_TIER, { rehydratePriority: 'Standard', abortSignal })
        }),
    },
    examine: (options = {}) => examineContainer(caller, options),
  }
}

function retentionOf(found: {
  readonly immutabilityPolicyExpiresOn?: Date
  readonly immutabilityPolicyMode?: string
  readonly legalHold?: boolean
}): Retention | undefined {
  const isHeld = found.legalHold === true
  const untilMs = found.immutabilityPolicyExpiresOn?.getTime() ?? 0
  if (untilMs === 0 && !isHeld) return undefined
  return {
    mode: found.immutabilityPolicyMode?.toLowerCase() === 'locked' ? 'compliance' : 'governance',
    untilMs,
    isHeld,
  }
}

type Found = Pick<BlobItem, 'name' | 'deleted' | 'versionId' | 'isCurrentVersion' | 'properties'>

const isHidden = ({ deleted, versionId, isCurrentVersion }: Found): boolean =>
  Boolean(deleted) || (versionId !== undefined && isCurrentVersion !== true)

async function* everyBlob(
  { call }: AzureCaller,
  prefix: string,
  options: CallOptions,
  includeDeleted = true,
): AsyncGenerator<Found, void, undefined> {
  let continuationToken: string | undefined
  do {
    const page = await call('list old versions', 'list', options, async ({ container }, abortSignal) => {
      const blobs = container.listBlobsFlat({ prefix, abortSignal, includeVersions: true, includeDeleted })
      const { value } = await blobs.byPage(continuationToken === undefined ? {} : { continuationToken }).next()
      return value as { segment: { blobItems: readonly Found[] }; continuationToken?: string }
    })
    yield* page.segment.blobItems
    continuationToken = page.continuationToken || undefined
  } while (continuationToken !== undefined)
}

/** Blobs of one name come one after the other, the oldest first. */
async function* byName(blobs: AsyncIterable<Found>): AsyncGenerator<readonly Found[], void, undefined> {
  let group: Found[] = []
  for await (const blob of blobs) {
    if (group.length > 0 && group[0]!.name !== blob.name) {
      yield group
      group = []
    }
    group.push(blob)
  }
  if (group.length > 0) yield group
}

async function* listDeleted(
  caller: AzureCaller,
  kind: NamedFileKind,
  options: CallOptions,
): AsyncGenerator<DeletedFile, void, undefined> {
  for await (const group of byName(everyBlob(caller, objectFolder(caller.prefix, kind), options))) {
    const newest = group.at(-1)!
    const name = idOfObject(caller.prefix, kind, newest.name)
    if (name === undefined || !group.every(isHidden)) continue
    const { contentLength = 0, deletedOn } = newest.properties
    yield { name, sizeBytes: contentLength, deletedMs: deletedOn?.getTime() }
  }
}

/** Brings back what soft delete keeps, or else makes the newest version the current one again. */
async function undelete(caller: AzureCaller, file: FileRef, options: CallOptions): Promise<void> {
  const name = objectName(caller.prefix, file)
  const found: Found[] = []
  for await (const blob of everyBlob(caller, name, options)) if (blob.name === name) found.push(blob)
  const newest = found.at(-1)
  if (newest === undefined || !found.every(isHidden))
    throw new HoldfastError(
      'HF_STORAGE_NOT_FOUND',
      `cannot take back a deletion of ${describeFile(file)} in ${caller.location}: there is none`,
    )
  await caller.call(`bring back ${describeFile(file)}`, 'write', options, async ({ container }, abortSignal) => {
    const blob = container.getBlobClient(name)
    if (newest.deleted) await blob.undelete({ abortSignal })
    if (newest.versionId === undefined) return
    const copying = await blob.beginCopyFromURL(blob.withVersion(newest.versionId).url, { abortSignal })
    for (;;) {
      await copying.poll({ abortSignal })
      if (copying.isDone()) break
      await sleep(COPY_POLL_MS, undefined, { signal: abortSignal })
    }
  })
}

async function* listClasses(
  caller: AzureCaller,
  options: CallOptions,
): AsyncGenerator<ClassifiedFile, void, undefined> {
  const { prefix } = caller
  for await (const blob of everyBlob(caller, prefix === '' ? '' : `${prefix}/`, options)) {
    const file = fileOfObject(prefix, blob.name)
    if (file === undefined) continue
    const { contentLength = 0, accessTier = DEFAULT_TIER } = blob.properties
    yield { kind: file.kind, sizeBytes: contentLength, storageClass: accessTier, isHidden: isHidden(blob) }
  }
}
