import { z } from 'zod'
import { type SecretReference, secretReference } from '../../config/secret.ts'
import { formatSize, parseSize } from '../../lib/sizes.ts'
import { type Endpoint, sslModes, urlEndpoint } from './endpoint.ts'

/** Keys of a source of type `postgres`. */
export interface PostgresSettings {
  /** `physical`: the whole cluster, byte for byte, over the replication protocol. `logical`: databases as statements and rows. */
  readonly mode: 'physical' | 'logical'
  /** With mode `logical` only. */
  readonly logical: LogicalSettings | undefined
  readonly endpoint: Endpoint
  readonly password: SecretReference | undefined
  /** A section of a service file that says what the configuration does not. */
  readonly service: ServiceSettings | undefined
  /** Whether the server writes the checkpoint a backup begins with at once, or in its own time. */
  readonly checkpoint: 'fast' | 'spread'
  /** Bytes per second the server may send; undefined: as fast as it can. */
  readonly maxRate: number | undefined
  /** How data files are cut in a first backup; undefined: by the size of the cluster. Later backups cut as the first did. */
  readonly blockBytes: number | undefined
}

export interface ServiceSettings {
  readonly name: string
  /** What the configuration says itself, which counts. */
  readonly given: Partial<Endpoint>
}

/** What counts where nobody says anything. */
export const endpointDefaults: Omit<Endpoint, 'host'> = {
  port: 5432,
  user: 'postgres',
  database: 'postgres',
  sslmode: 'prefer',
}

/** What `pg_dump` calls formats: a directory with a file for each table, or one file for each database. */
export const dumpFormats = ['directory', 'custom', 'plain'] as const
export type DumpFormat = (typeof dumpFormats)[number]

/** What is kept of the rows of a table, to compare those of a restore with: their stream, or their sum in whatever order. */
export const fingerprintKinds = ['stream', 'rows'] as const
export type FingerprintKind = (typeof fingerprintKinds)[number]

/** Which objects of a database: `*` and `?` stand for any letters and any letter. None: all. */
export interface DumpSelection {
  readonly schemas: readonly string[]
  /** `schema.table`. */
  readonly tables: readonly string[]
  readonly excludeSchemas: readonly string[]
  readonly excludeTables: readonly string[]
  /** Tables of which the definition is kept, and no rows. */
  readonly excludeTableData: readonly string[]
}

/** Keys of a source whose mode is `logical`. */
export interface LogicalSettings extends DumpSelection {
  /** Patterns of names. None: the database of the endpoint. */
  readonly databases: readonly string[]
  /** Connections that read tables at the same time. */
  readonly jobs: number
  readonly format: DumpFormat
  /** Tables are read in slices of so much, side by side. */
  readonly sliceBytes: number
  /** Of tables that are read in one go; those that are read in slices have a sum. */
  readonly fingerprint: FingerprintKind
  /** How long to wait for tables that somebody changes. */
  readonly lockTimeoutMs: number
  /** Whether roles and tablespaces of the cluster are kept as well. */
  readonly globals: boolean
}

const DEFAULT_JOBS = 2
const MAX_JOBS = 64
const MIN_SLICE_BYTES = 8 * 1024 * 1024
const DEFAULT_SLICE_BYTES = 1024 ** 3
const MAX_SLICE_BYTES = 1024 ** 4
const DEFAULT_LOCK_TIMEOUT_MS = 30_000

/** What BASE_BACKUP takes as MAX_RATE. */
const MIN_RATE = 32 * 1024
const MAX_RATE = 1024 * 1024 * 1024

export const MIN_BLOCK_BYTES: number = 16 * 1024
export const MAX_BLOCK_BYTES: number = 256 * 1024

/** A size like `64K` within limits. */
const size = (least: number, most: number) =>
  z.string().transform((text, context) => {
    let bytes: number
    try {
      bytes = parseSize(text)
    } catch {
      bytes = Number.NaN
    }
    if (bytes >= least && bytes <= most) return bytes
    context.addIssue({ code: 'custom', message: `must be a size from ${formatSize(least)} to ${formatSize(most)}` })
    return z.NEVER
  })

const path = z.string().min(1)

const names = z.array(z.string().min(1)).min(1)
const tableNames = z.array(z.string().regex(/^[^.]+\.[^.]+$/, 'must be written schema.table')).min(1)

const logicalKeys = {
  databases: names.optional(),
  jobs: z.int().min(1).max(MAX_JOBS).optional(),
  format: z.enum(dumpFormats).optional(),
  schemas: names.optional(),
  tables: tableNames.optional(),
  excludeSchemas: names.optional(),
  excludeTables: tableNames.optional(),
  excludeTableData: tableNames.optional(),
  sliceBytes: size(MIN_SLICE_BYTES, MAX_SLICE_BYTES).optional(),
  fingerprint: z.enum(fingerprintKinds).optional(),
  lockTimeout: z
    .string()
    .transform((text, context) => {
      const seconds = /^([1-9][0-9]{0,4})(s|m)$/.exec(text)
      if (seconds !== null) return Number(seconds[1]) * (seconds[2] === 'm' ? 60_000 : 1000)
      context.addIssue({ code: 'custom', message: 'must be a time like 30s or 5m' })
      return z.NEVER
    })
    .optional(),
  globals: z.boolean().optional(),
}

type LogicalKeys = { readonly [Key in keyof typeof logicalKeys]?: z.output<(typeof logicalKeys)[Key]> }

function splitLogical<Keys extends LogicalKeys>(
  keys: Keys,
): { readonly logical: LogicalKeys; readonly own: Omit<Keys, keyof LogicalKeys> } {
  const isLogical = (key: string): boolean => key in logicalKeys
  const part = (wanted: boolean) =>
    Object.fromEntries(Object.entries(keys).filter(([key]) => isLogical(key) === wanted))
  return { logical: part(true) as LogicalKeys, own: part(false) as Omit<Keys, keyof LogicalKeys> }
}

const withDefaults = (keys: LogicalKeys): LogicalSettings => ({
  databases: keys.databases ?? [],
  jobs: keys.jobs ?? DEFAULT_JOBS,
  format: keys.format ?? 'directory',
  schemas: keys.schemas ?? [],
  tables: keys.tables ?? [],
  excludeSchemas: keys.excludeSchemas ?? [],
  excludeTables: keys.excludeTables ?? [],
  excludeTableData: keys.excludeTableData ?? [],
  sliceBytes: keys.sliceBytes ?? DEFAULT_SLICE_BYTES,
  fingerprint: keys.fingerprint ?? 'stream',
  lockTimeoutMs: keys.lockTimeout ?? DEFAULT_LOCK_TIMEOUT_MS,
  globals: keys.globals ?? true,
})

export const postgresSettings: z.ZodType<PostgresSettings> = z
  .strictObject({
    mode: z.enum(['physical', 'logical']).default('physical'),
    service: z.string().min(1).optional(),
    url: z.string().optional(),
    host: z.string().min(1).optional(),
    port: z.int().min(1).max(65535).optional(),
    user: z.string().min(1).optional(),
    database: z.string().min(1).optional(),
    password: secretReference.optional(),
    sslmode: z.enum(sslModes).optional(),
    sslrootcert: path.optional(),
    sslcert: path.optional(),
    sslkey: path.optional(),
    checkpoint: z.enum(['fast', 'spread']).optional(),
    maxRate: size(MIN_RATE, MAX_RATE).optional(),
    blockBytes: size(MIN_BLOCK_BYTES, MAX_BLOCK_BYTES)
      .refine((bytes) => Number.isInteger(Math.log2(bytes)), { message: 'must be 16K, 32K, 64K, 128K or 256K' })
      .optional(),
    ...logicalKeys,
  })
  .transform((keys, context): PostgresSettings => {
    const { mode, service, password, checkpoint, maxRate, blockBytes, url, ...rest } = keys
    const { logical, own } = splitLogical(rest)
    const refuse = (message: string, key: string): void => {
      context.addIssue({ code: 'custom', message, path: [key] })
    }
    const { endpoint: fromUrl, problem } = url === undefined ? {} : urlEndpoint(url)
    if (problem !== undefined) refuse(problem, 'url')
    for (const [key, value] of Object.entries(own))
      if (value !== undefined && fromUrl?.[key as keyof Endpoint] !== undefined)
        refuse(`is given here and in \`url\``, key)
    const host = own.host ?? fromUrl?.host
    if (host === undefined && problem === undefined && service === undefined)
      refuse('is needed, or `url`, or `service`', 'host')
    const given = { ...fromUrl, ...withoutUndefined(own) }
    const endpoint: Endpoint = { ...endpointDefaults, ...given, host: host ?? '' }
    if ((endpoint.sslcert === undefined) !== (endpoint.sslkey === undefined))
      refuse('`sslcert` and `sslkey` belong together', endpoint.sslcert === undefined ? 'sslcert' : 'sslkey')
    if (endpoint.sslmode === 'verify-ca' && endpoint.sslrootcert === undefined)
      refuse('is needed with sslmode: verify-ca', 'sslrootcert')
    const foreign = mode === 'logical' ? { checkpoint, maxRate, blockBytes } : logical
    for (const [key, value] of Object.entries(foreign))
      if (value !== undefined) refuse(`belongs to mode: ${mode === 'logical' ? 'physical' : 'logical'}`, key)
    if (logical.tables !== undefined && logical.schemas !== undefined)
      refuse('`tables` and `schemas` exclude each other: write `schema.*` for all tables of a schema', 'tables')
    return {
      mode,
      endpoint,
      password,
      service: service === undefined ? undefined : { name: service, given },
      checkpoint: checkpoint ?? 'fast',
      maxRate,
      blockBytes,
      logical: mode === 'logical' ? withDefaults(logical) : undefined,
    }
  })

const withoutUndefined = <T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
