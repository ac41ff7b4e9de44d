import { z } from 'zod'
import type { Repository } from '../../../engine/repository/repository.ts'
import { isHoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { loadJson } from '../../json-file.ts'
import { type BackupType, backupTypes } from '../../source.ts'
import { manifestPath } from '../manifest.ts'
import { type DumpFormat, dumpFormats } from '../settings.ts'

/**
 * `/<source>/.holdfast/manifest.json`: what a snapshot of mode `logical` is. In `/<source>/data` lies what PostgreSQL's own programs read:
 * `globals.sql`, and of each database a directory for `pg_restore` (`toc.dat`, a file for each table, large objects), or one file
 * `<database>.dump` or `<database>.sql`.
 */
export interface LogicalManifest {
  readonly format: 1
  readonly source: string
  readonly type: 'postgres'
  readonly mode: 'logical'
  readonly dumpFormat: DumpFormat
  readonly server: {
    readonly version: string
    readonly majorVersion: number
    /** Of the cluster, 64 bits in decimal; undefined where the role may not know it. */
    readonly systemId: string | undefined
    readonly isStandby: boolean
  }
  /** Of the `pg_dump` that wrote the definitions. */
  readonly programVersion: string
  /** How files are cut into blobs, for `fingerprint`s: by content, so many bytes on average. */
  readonly averageBytes: number
  /** Of the fingerprints that decide where is cut, in hex: those of the repository that the snapshot was made in. */
  readonly chunkerPolynomial: string
  /** Of the sums of rows, 16 bytes in hex, new for each snapshot; undefined when there are no sums. */
  readonly rowSumKey: string | undefined
  /** Roles of the cluster but the built-in ones. */
  readonly roles: readonly string[]
  readonly globals: (StoredFile & { readonly withPasswords: boolean }) | undefined
  readonly databases: readonly DatabaseRecord[]
  readonly asked: BackupType
  readonly done: BackupType
  readonly reason: string | undefined
  /** RFC 3339, by the clock of the machine that made it. */
  readonly started: string
  readonly ended: string
}

/** A file of the snapshot. */
export interface StoredFile {
  /** Below `/<source>/data`, with slashes. */
  readonly path: string
  readonly bytes: number
  /** SHA-256, in hex, over the 32-byte ids of the blobs it consists of. */
  readonly fingerprint: string
}

export interface DatabaseRecord {
  readonly name: string
  /** What was exported: all connections that read it saw the same. */
  readonly snapshot: string
  /** Position of the log just before the snapshot was taken; on a standby, up to which it had been replayed. */
  readonly lsn: string
  readonly encoding: string
  readonly collate: string
  readonly ctype: string
  /** By which `money` is written. */
  readonly moneyLocale: string
  readonly extensions: readonly { readonly name: string; readonly version: string }[]
  /** Of format `directory`: its `toc.dat`; otherwise the dump itself. */
  readonly dump: StoredFile
  /** Those with rows of their own, in format `directory` only. Partitioned tables have none. */
  readonly tables: readonly TableRecord[]
  readonly largeObjects: { readonly count: number; readonly bytes: number; readonly fingerprint: string } | undefined
}

export interface TableRecord extends StoredFile {
  readonly schema: string
  readonly name: string
  readonly rows: number
  readonly columns: readonly string[]
  /**
   * Bytes of the stretches of the file that were read, and cut into blobs, each for itself; together `bytes`. More than one for tables that
   * were read in slices.
   */
  readonly slices: readonly number[]
  /**
   * Of tables that were read in slices, and of all with `fingerprint: rows`: the sum modulo 2^128 of SipHash-2-4-128 of each row as COPY
   * writes it, in hex. Equal for equal rows in whatever order.
   */
  readonly rowSum: string | undefined
}

const count = z.int().min(0)
const fingerprint = z.string().regex(/^[0-9a-f]{64}$/)
/** Nothing that leads out of the snapshot. */
const path = z.string().regex(/^(?!\/)(?!.*(^|\/)\.\.?(\/|$))[^\0]+$/s)
const file = { path, bytes: count, fingerprint }
const backupType = z.enum(backupTypes)

const digits32 = z.string().regex(/^[0-9a-f]{32}$/)

const table: z.ZodType<TableRecord> = z
  .strictObject({
    ...file,
    schema: z.string(),
    name: z.string(),
    rows: count,
    columns: z.array(z.string()),
    slices: z.array(count).min(1),
    rowSum: digits32.optional(),
  })
  .transform(({ rowSum, ...rest }): TableRecord => ({ ...rest, rowSum }))

const database = z
  .strictObject({
    name: z.string(),
    snapshot: z.string(),
    lsn: z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/),
    encoding: z.string(),
    collate: z.string(),
    ctype: z.string(),
    moneyLocale: z.string(),
    extensions: z.array(z.strictObject({ name: z.string(), version: z.string() })),
    dump: z.strictObject(file),
    tables: z.array(table),
    largeObjects: z.strictObject({ count, bytes: count, fingerprint }).optional(),
  })
  .transform(({ largeObjects, ...rest }): DatabaseRecord => ({ ...rest, largeObjects }))

export const logicalManifest: z.ZodType<LogicalManifest> = z
  .strictObject({
    format: z.literal(1),
    source: z.string(),
    type: z.literal('postgres'),
    mode: z.literal('logical'),
    dumpFormat: z.enum(dumpFormats),
    server: z
      .strictObject({
        version: z.string(),
        majorVersion: count,
        systemId: z
          .string()
          .regex(/^[0-9]{1,20}$/)
          .optional(),
        isStandby: z.boolean(),
      })
      .transform(({ systemId, ...rest }) => ({ ...rest, systemId })),
    programVersion: z.string(),
    averageBytes: count,
    chunkerPolynomial: z.string().regex(/^[0-9a-f]{1,16}$/),
    rowSumKey: digits32.optional(),
    roles: z.array(z.string()),
    globals: z.strictObject({ ...file, withPasswords: z.boolean() }).optional(),
    databases: z.array(database),
    asked: backupType,
    done: backupType,
    reason: z.string().optional(),
    started: z.string(),
    ended: z.string(),
  })
  .refine(
    ({ rowSumKey, databases }) =>
      rowSumKey !== undefined || databases.every(({ tables }) => tables.every(({ rowSum }) => rowSum === undefined)),
    'sums of rows need their key',
  )
  .transform(({ globals, reason, rowSumKey, ...rest }): LogicalManifest => ({ ...rest, globals, reason, rowSumKey }))

/**
 * The manifest of a snapshot with the root `tree`; undefined when it has none, or is of mode `physical`.
 * @throws HoldfastError HF_DATA_DAMAGED when it cannot be read; whatever reading the repository throws
 */
export async function loadLogicalManifest(
  repository: Repository,
  tree: Id,
  source: string,
  signal?: AbortSignal,
): Promise<LogicalManifest | undefined> {
  try {
    return await loadJson(repository, tree, manifestPath(source), parseLogical, signal)
  } catch (error) {
    if (isHoldfastError(error, 'HF_PATH_NOT_FOUND')) return undefined
    throw error
  }
}

const parseLogical = (value: unknown): LogicalManifest | undefined =>
  (value as { readonly mode?: unknown } | null)?.mode === 'physical' ? undefined : logicalManifest.parse(value)
