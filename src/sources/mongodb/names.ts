import { createHash } from 'node:crypto'
import { HoldfastError } from '../../lib/errors.ts'

/** `database.collection`, as servers write it: the first dot ends the database. */
export interface Namespace {
  readonly database: string
  readonly collection: string
}

export const namespaceText = ({ database, collection }: Namespace): string => `${database}.${collection}`

/** @returns undefined when there is no dot, or nothing on one side of it */
export function parseNamespace(text: string): Namespace | undefined {
  const dot = text.indexOf('.')
  return dot > 0 && dot < text.length - 1
    ? { database: text.slice(0, dot), collection: text.slice(dot + 1) }
    : undefined
}

/** Where the buckets of the time series `name` lie. */
export const bucketsOf = (name: string): string => `${BUCKETS_PREFIX}${name}`
export const BUCKETS_PREFIX = 'system.buckets.'

const MAX_STEM_BYTES = 238
const KEPT_STEM_BYTES = 208

/**
 * The name of a collection as mongodump names its files, without the ending: as in the query of a URL; longer than 238 bytes, its beginning
 * and a hash (mongo-tools, common/util/escape). The hash is of the name itself.
 */
export function fileStem(collection: string): string {
  const escaped = Array.from(Buffer.from(collection, 'utf8'), escapedByte).join('')
  if (escaped.length <= MAX_STEM_BYTES) return escaped
  const hash = createHash('sha1').update(collection, 'utf8').digest('base64url')
  return `${escaped.slice(0, KEPT_STEM_BYTES)}%24${hash}`
}

function escapedByte(byte: number): string {
  const character = String.fromCharCode(byte)
  if (/[A-Za-z0-9._~-]/.test(character)) return character
  return byte === 0x20 ? '+' : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
}

/** Whether servers take this as the name of a database. */
export const isDatabaseName = (name: string): boolean => name !== '' && !/[/\\. "$\0]/.test(name)

/** A pattern of namespaces: `shop`, `shop.*`, `shop.orders`, `*.audit_*`. Without a dot it is of databases; `*` stands for any text. */
export type NamespacePattern = string

/** Which namespaces a list of patterns means. @throws HoldfastError HF_PATTERN_INVALID */
export function namespaceMatcher(patterns: readonly NamespacePattern[]): (namespace: Namespace) => boolean {
  const all = patterns.map((pattern) => {
    const dot = pattern.indexOf('.')
    const [database, collection] = dot < 0 ? [pattern, '*'] : [pattern.slice(0, dot), pattern.slice(dot + 1)]
    if (database === '' || collection === '')
      throw new HoldfastError('HF_PATTERN_INVALID', `${JSON.stringify(pattern)} is no pattern of namespaces`, {
        hint: 'write them as database, database.collection or database.*',
      })
    return { database: glob(database!), collection: glob(collection!) }
  })
  return ({ database, collection }) =>
    all.some((one) => one.database.test(database) && one.collection.test(logicalName(collection)))
}

const glob = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern
      .split(/\*+/)
      .map((part) => part.replace(/[\\^$.|?*+()[\]{}/-]/g, '\\$&'))
      .join('.*')}$`,
    's',
  )

/** What people call a collection: the time series, not its buckets. */
export const logicalName = (collection: string): string =>
  collection.startsWith(BUCKETS_PREFIX) ? collection.slice(BUCKETS_PREFIX.length) : collection

/** Databases that are never copied: what belongs to one server, and to the service that runs it. */
export const isSkippedDatabase = (name: string): boolean =>
  name === 'local' || name === 'config' || name.startsWith('__mdb_internal')

const kept: ReadonlySet<string> = new Set(['system.users', 'system.roles', 'system.version'])

/** Whether mongodump leaves it out too: what servers make by themselves, control data of other tools, names no command takes. */
export function isSkippedCollection({ database, collection }: Namespace): boolean {
  if (database === 'admin' && (kept.has(collection) || collection.startsWith('pbm'))) return !kept.has(collection)
  if (collection.includes('$')) return true
  if (collection.startsWith(BUCKETS_PREFIX)) return false
  return collection.startsWith('system.') && collection !== 'system.js'
}
