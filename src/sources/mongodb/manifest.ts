import { z } from 'zod'
import { type BackupType, backupTypes } from '../source.ts'
import { type CollectionType, collectionTypes } from './catalog.ts'
import { type ReadOrder, readOrders } from './read-collection.ts'
import type { Mode } from './read-moment.ts'

/** What was read of a collection; absent from views. */
export interface DumpedData {
  /** In `/<source>/data`. */
  readonly file: string
  readonly documents: number
  readonly bytes: number
  /** Of the file; of one in parts, of what their SHA-256 are one behind the other. */
  readonly sha256: string
  readonly order: ReadOrder
  /** What several cursors read at the same time, one behind the other in the file; absent when one did. */
  readonly parts?: readonly DumpedPart[] | undefined
}

/** A stretch of a large collection in the order of `_id`. */
export interface DumpedPart {
  readonly bytes: number
  /** Where it ends: a document with an `_id`, in canonical Extended JSON; absent from the last one. */
  readonly upTo?: string | undefined
}

/** A collection in a snapshot. Its options and indexes lie in `catalog.bson`. */
export interface DumpedCollection {
  readonly database: string
  readonly collection: string
  readonly type: CollectionType
  readonly uuid: string | undefined
  /** Names of its indexes. */
  readonly indexes: readonly string[]
  /** In `/<source>/data`. */
  readonly metadata: string
  /** SHA-256 of its entry in `catalog.bson`: options and indexes. */
  readonly definition: string
  readonly data: DumpedData | undefined
  /** Only part of it was asked for: the filter, in Extended JSON. */
  readonly query: string | undefined
}

/** `seconds:counter`, and the term in which it was written. */
interface Position {
  readonly time: string
  readonly term: number | undefined
}

/**
 * `/<source>/.holdfast/manifest.json`: what a snapshot of MongoDB is. `/<source>/data` is a directory of mongodump;
 * `/<source>/.holdfast/catalog.bson` has each collection with options and indexes as the server listed them.
 */
export interface MongoManifest {
  readonly format: 1
  readonly source: string
  readonly type: 'mongodb'
  readonly server: {
    /** As it says itself: `7.0.18`. */
    readonly version: string
    /** Of a compatible server: `FerretDB v2.7.0`. */
    readonly product: string | undefined
    /** As MongoDB's documentation has it: feature compatibility version. */
    readonly fcv: string | undefined
    readonly topology: 'standalone' | 'replica set'
    readonly setName: string | undefined
    /** Of the replica set, hex. */
    readonly setId: string | undefined
    /** From which everything was read. */
    readonly member: string
    readonly role: string
  }
  readonly consistency: Mode
  /** Why it is this one. */
  readonly consistencyReason: string
  /** From where the oplog has to be read to continue from this snapshot. */
  readonly start: Position | undefined
  /** The consistency point: all collections are of this moment, once `oplog` is replayed if there is one. */
  readonly end: Position | undefined
  readonly oplog: { readonly entries: number; readonly bytes: number; readonly sha256: string } | undefined
  /** Whether the whole server was asked for, with its users and roles. */
  readonly isWhole: boolean
  readonly collections: readonly DumpedCollection[]
  readonly asked: BackupType
  readonly done: 'full'
  readonly reason: string | undefined
  /** RFC 3339, by the clock of the machine that made it. */
  readonly started: string
  readonly ended: string
  readonly warnings: readonly string[]
}

const count = z.int().min(0)
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const position = z.strictObject({ time: z.string().regex(/^\d{1,10}:\d{1,10}$/), term: z.int().optional() })
const backupType = z.enum(backupTypes)

export const mongoManifest: z.ZodType<MongoManifest> = z
  .strictObject({
    format: z.literal(1),
    source: z.string(),
    type: z.literal('mongodb'),
    server: z.strictObject({
      version: z.string(),
      product: z.string().optional(),
      fcv: z.string().optional(),
      topology: z.enum(['standalone', 'replica set']),
      setName: z.string().optional(),
      setId: z.string().optional(),
      member: z.string(),
      role: z.string(),
    }),
    consistency: z.enum(['snapshot', 'oplog', 'none']),
    consistencyReason: z.string(),
    start: position.optional(),
    end: position.optional(),
    oplog: z.strictObject({ entries: count, bytes: count, sha256 }).optional(),
    isWhole: z.boolean(),
    collections: z.array(
      z.strictObject({
        database: z.string(),
        collection: z.string(),
        type: z.enum(collectionTypes),
        uuid: z.string().optional(),
        indexes: z.array(z.string()),
        metadata: z.string(),
        definition: sha256,
        data: z
          .strictObject({
            file: z.string(),
            documents: count,
            bytes: count,
            sha256,
            order: z.enum(readOrders),
            parts: z.array(z.strictObject({ bytes: count, upTo: z.string().optional() })).optional(),
          })
          .optional(),
        query: z.string().optional(),
      }),
    ),
    asked: backupType,
    done: z.literal('full'),
    reason: z.string().optional(),
    started: z.string(),
    ended: z.string(),
    warnings: z.array(z.string()),
  })
  .transform((written) => written as MongoManifest)

export const MANIFEST_FILE = '.holdfast/manifest.json'
export const CATALOG_FILE = '.holdfast/catalog.bson'
export const DATA_FOLDER = 'data'
