import type { Clock } from '../../../lib/clock.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { ClassifiedFile, DeletedFile, Retention, StoreFeatures } from '../features.ts'
import { type BucketPlace, fileOfObject, idOfObject, objectFolder, objectName } from '../object-names.ts'
import { type CallOptions, describeFile, type FileRef, type NamedFileKind } from '../storage.ts'
import type { LockSettings } from '../store-settings.ts'
import { examineBucket } from './gs-examine.ts'
import type { GsCaller, GsObject } from './gs-storage.ts'

/** What the features of a bucket need of its storage. */
export interface GsFeatureSettings {
  readonly location: string
  readonly endpoint: string
  readonly place: BucketPlace
  readonly lock: LockSettings | undefined
  readonly clock: Clock
  readonly call: GsCaller
}

export interface ObjectRetention {
  readonly retention?: { readonly mode: 'Locked' | 'Unlocked'; readonly retainUntilTime: string }
  readonly temporaryHold?: boolean
  readonly eventBasedHold?: boolean
  /** From the policy of the bucket. */
  readonly retentionExpirationTime?: string
}

export function gsFeatures(settings: GsFeatureSettings): StoreFeatures {
  const { place, lock, call } = settings
  const pathOf = (file: FileRef): string =>
    `/storage/v1/b/${encodeURIComponent(place.bucket)}/o/${encodeURIComponent(objectName(place.prefix, file))}`
  const get = (file: FileRef, options: CallOptions): Promise<Retention | undefined> =>
    call(`read the retention of ${describeFile(file)}`, 'storage.objects.get', options, async (client, signal) => {
      const query = { fields: 'retention,temporaryHold,eventBasedHold,retentionExpirationTime' }
      return retentionOf(await client.ask<ObjectRetention>({ path: pathOf(file), query, signal }))
    })
  const change = (
    doing: string,
    needs: string,
    file: FileRef,
    body: ObjectRetention,
    options: CallOptions,
  ): Promise<void> =>
    call(doing, needs, options, (client, signal) => client.tell({ method: 'PATCH', path: pathOf(file), body, signal }))
  return {
    retention: {
      written: lock,
      get: (file, options = {}) => get(file, options),
      extend: async (file, untilMs, options = {}) => {
        const found = await get(file, options)
        if (found !== undefined && found.untilMs >= untilMs) return
        // What is locked stays locked; only its end can move.
        const isLocked =
          found !== undefined && found.untilMs > 0 ? found.mode === 'compliance' : lock?.mode === 'compliance'
        const retention = {
          mode: isLocked ? ('Locked' as const) : ('Unlocked' as const),
          retainUntilTime: new Date(untilMs).toISOString(),
        }
        await change(`retain ${describeFile(file)}`, 'storage.objects.setRetention', file, { retention }, options)
      },
      setLegalHold: (file, isHeld, options = {}) =>
        change(`hold ${describeFile(file)}`, 'storage.objects.update', file, { temporaryHold: isHeld }, options),
    },
    versions: {
      listDeleted: (kind, options = {}) => listDeleted(settings, kind, options),
      undelete: (file, options = {}) => undelete(settings, pathOf(file), file, options),
    },
    classes: {
      list: (options = {}) => listClasses(settings, options),
      // All of Google's classes can be read at once.
      state: async (file, options = {}) => {
        await get(file, options)
        return 'readable'
      },
      requestRestore: async (file, _days, options = {}) => {
        await get(file, options)
      },
    },
    examine: (options = {}) => examineBucket(settings, options),
  }
}

function retentionOf(found: ObjectRetention): Retention | undefined {
  const isHeld = found.temporaryHold === true || found.eventBasedHold === true
  const own = Date.parse(found.retention?.retainUntilTime ?? '')
  const ofBucket = Date.parse(found.retentionExpirationTime ?? '')
  const untilMs = Math.max(Number.isNaN(own) ? 0 : own, Number.isNaN(ofBucket) ? 0 : ofBucket)
  if (untilMs === 0 && !isHeld) return undefined
  return { mode: found.retention?.mode === 'Locked' ? 'compliance' : 'governance', untilMs, isHeld }
}

interface Version extends GsObject {
  readonly storageClass?: string
  readonly timeDeleted?: string
  /** Kept by the soft delete policy of the bucket. */
  readonly softDeleteTime?: string
}

const FIELDS = 'items(name,size,generation,storageClass,timeDeleted,softDeleteTime),nextPageToken'

/** Every version below `prefix`, the oldest of each name first; or all that soft delete keeps. */
async function* everyObject(
  { place, call }: GsFeatureSettings,
  prefix: string,
  which: 'versions' | 'softDeleted',
  options: CallOptions,
): AsyncGenerator<Version, void, undefined> {
  const path = `/storage/v1/b/${encodeURIComponent(place.bucket)}/o`
  let pageToken: string | undefined
  do {
    const query = { prefix, [which]: true, fields: FIELDS, pageToken }
    const page = await call('list old versions', 'storage.objects.list', options, (client, signal) =>
      client.ask<{ items?: readonly Version[]; nextPageToken?: string }>({ path, query, signal }),
    )
    // A server that does not know soft delete lists what is there.
    for (const item of page.items ?? []) if (which === 'versions' || item.softDeleteTime !== undefined) yield item
    pageToken = page.nextPageToken || undefined
  } while (pageToken !== undefined)
}

const newer = (a: Version, b: Version | undefined): Version =>
  b === undefined || BigInt(a.generation) > BigInt(b.generation) ? a : b

/** The newest version of each object that is not there. */
async function deletedObjects(
  settings: GsFeatureSettings,
  prefix: string,
  options: CallOptions,
): Promise<ReadonlyMap<string, Version>> {
  const deleted = new Map<string, Version>()
  for await (const item of everyObject(settings, prefix, 'softDeleted', options))
    deleted.set(item.name, newer(item, deleted.get(item.name)))
  const live = new Set<string>()
  for await (const item of everyObject(settings, prefix, 'versions', options)) {
    if (item.timeDeleted === undefined) live.add(item.name)
    else if (!live.has(item.name)) deleted.set(item.name, newer(item, deleted.get(item.name)))
  }
  for (const name of live) deleted.delete(name)
  return deleted
}

async function* listDeleted(
  settings: GsFeatureSettings,
  kind: NamedFileKind,
  options: CallOptions,
): AsyncGenerator<DeletedFile, void, undefined> {
  const { prefix } = settings.place
  for (const [object, found] of await deletedObjects(settings, objectFolder(prefix, kind), options)) {
    const name = idOfObject(prefix, kind, object)
    const deletedMs = Date.parse(found.softDeleteTime ?? found.timeDeleted ?? '')
    if (name !== undefined)
      yield { name, sizeBytes: Number(found.size), deletedMs: Number.isNaN(deletedMs) ? undefined : deletedMs }
  }
}

async function undelete(settings: GsFeatureSettings, path: string, file: FileRef, options: CallOptions): Promise<void> {
  const name = objectName(settings.place.prefix, file)
  const found = (await deletedObjects(settings, name, options)).get(name)
  if (found === undefined)
    throw new HoldfastError(
      'HF_STORAGE_NOT_FOUND',
      `cannot take back a deletion of ${describeFile(file)} in ${settings.location}: there is none`,
    )
  const { generation } = found
  await settings.call(`bring back ${describeFile(file)}`, 'storage.objects.create', options, async (client, signal) => {
    if (found.softDeleteTime !== undefined) {
      const query = { generation, ifGenerationMatch: 0 }
      return await client.tell({ method: 'POST', path: `${path}/restore`, query, signal })
    }
    const target = `${path}/copyTo${path.slice('/storage/v1'.length)}`
    const query = { sourceGeneration: generation, ifGenerationMatch: 0 }
    await client.tell({ method: 'POST', path: target, query, body: {}, signal })
  })
}

async function* listClasses(
  settings: GsFeatureSettings,
  options: CallOptions,
): AsyncGenerator<ClassifiedFile, void, undefined> {
  const { prefix } = settings.place
  for (const which of ['versions', 'softDeleted'] as const)
    for await (const item of everyObject(settings, prefix === '' ? '' : `${prefix}/`, which, options)) {
      const file = fileOfObject(prefix, item.name)
      if (file === undefined) continue
      const isHidden = item.timeDeleted !== undefined || item.softDeleteTime !== undefined
      const { size, storageClass = 'STANDARD' } = item
      yield { kind: file.kind, sizeBytes: Number(size), storageClass, isHidden }
    }
}
