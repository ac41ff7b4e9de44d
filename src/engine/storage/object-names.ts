import { posix } from 'node:path'
import { HoldfastError } from '../../lib/errors.ts'
import { type Id, isId } from '../../lib/id.ts'
import type { FileRef, NamedFileKind } from './storage.ts'

/** Where a repository lies in a store of objects: `BUCKET:/PREFIX` in restic's syntax. */
export interface BucketPlace {
  /** The bucket or container. */
  readonly bucket: string
  /** Before the names of all objects; empty, or without a slash at either end. */
  readonly prefix: string
}

const folders: Readonly<Record<NamedFileKind, string>> = {
  data: 'data',
  index: 'index',
  key: 'keys',
  lock: 'locks',
  snapshot: 'snapshots',
}

/**
 * Reads `BUCKET:/PREFIX`, the place of locations like `gs:BUCKET:/PREFIX`; the slash may be missing.
 * @throws HoldfastError HF_STORAGE_LOCATION
 */
export function bucketPlaceOf(scheme: string, what: string, place: string): BucketPlace {
  const colon = place.indexOf(':')
  const bucket = place.slice(0, Math.max(0, colon))
  if (colon >= 0 && /^[a-z0-9$][a-z0-9._-]*$/.test(bucket)) {
    const prefix = posix.normalize(`/${place.slice(colon + 1)}`).replace(/^\/+|\/+$/g, '')
    return { bucket, prefix }
  }
  throw new HoldfastError('HF_STORAGE_LOCATION', `${JSON.stringify(place)} names no ${what} and prefix`, {
    hint: `Write ${scheme}:${what.toUpperCase()}:/PREFIX; the prefix may be empty.`,
  })
}

/** Before the names of all files of a kind. */
export const objectFolder = (prefix: string, kind: NamedFileKind): string =>
  `${prefix === '' ? '' : `${prefix}/`}${folders[kind]}/`

/** The object that holds a file, in restic's layout. @throws HoldfastError HF_INTERNAL for a name that is no id */
export function objectName(prefix: string, file: FileRef): string {
  if (file.kind === 'config') return prefix === '' ? 'config' : `${prefix}/config`
  if (!isId(file.name)) throw new HoldfastError('HF_INTERNAL', `${JSON.stringify(file.name)} is not the name of a file`)
  const folder = objectFolder(prefix, file.kind)
  return file.kind === 'data' ? `${folder}${file.name.slice(0, 2)}/${file.name}` : `${folder}${file.name}`
}

/** The name of the file of `kind` that an object holds; undefined for objects that hold none. */
export function idOfObject(prefix: string, kind: NamedFileKind, object: string): Id | undefined {
  const name = object.slice(object.lastIndexOf('/') + 1)
  return isId(name) && object === objectName(prefix, { kind, name }) ? name : undefined
}

/** The file that an object holds; undefined for objects that hold none. */
export function fileOfObject(prefix: string, object: string): FileRef | undefined {
  if (object === objectName(prefix, { kind: 'config' })) return { kind: 'config' }
  for (const kind of Object.keys(folders) as NamedFileKind[]) {
    const name = idOfObject(prefix, kind, object)
    if (name !== undefined) return { kind, name }
  }
  return undefined
}
