import { z } from 'zod'
import type { Repository } from '../../engine/repository/repository.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { loadJson } from '../json-file.ts'
import { type BackupType, backupTypes } from '../source.ts'

/**
 * `/<source>/.holdfast/manifest.json`: what a physical snapshot of a cluster is. The cluster itself lies in `/<source>/data`, a data
 * directory that starts; the content of tablespaces lies in `data/pg_tblspc/<oid>`.
 */
export interface PostgresManifest {
  readonly format: 1
  readonly source: string
  readonly type: 'postgres'
  readonly mode: 'physical'
  readonly server: {
    /** As the server says it: `18.4`, `15.18 (Debian 15.18-0+deb12u1)`. */
    readonly version: string
    readonly majorVersion: number
    /** Of the cluster, 64 bits in decimal. */
    readonly systemId: string
    /** Of a page of a data file. */
    readonly pageBytes: number
    readonly walSegmentBytes: number
    /** Whether pages have checksums. The server verifies them while it sends. */
    readonly dataChecksums: boolean
    readonly isStandby: boolean
  }
  /** Where recovery begins. */
  readonly start: LogPoint
  /** The consistency point: what was committed before it is in the snapshot. */
  readonly end: LogPoint
  /** How data files are cut in the repository; stays as it is while there are snapshots. */
  readonly blockBytes: number
  readonly tablespaces: readonly {
    readonly oid: number
    readonly name: string | undefined
    /** Where it was on the server. */
    readonly location: string
  }[]
  /** When the run began; sizes only of those the role may measure. */
  readonly databases: readonly {
    readonly oid: number
    readonly name: string
    readonly sizeBytes: number | undefined
  }[]
  readonly asked: BackupType
  readonly done: BackupType
  /** Why they differ. */
  readonly reason: string | undefined
  /** Id of the snapshot that was patched; undefined when the whole cluster was read. */
  readonly base: string | undefined
  /** RFC 3339, by the clock of the machine that made it. */
  readonly started: string
  readonly ended: string
  /** What the server warned of while it sent; empty is as it should be. */
  readonly warnings: readonly string[]
}

interface LogPoint {
  readonly lsn: string
  readonly timeline: number
}

const logPoint = z.strictObject({
  lsn: z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/),
  timeline: z.int().min(1),
})
const count = z.int().min(0)
const backupType = z.enum(backupTypes)

export const postgresManifest: z.ZodType<PostgresManifest> = z
  .strictObject({
    format: z.literal(1),
    source: z.string(),
    type: z.literal('postgres'),
    mode: z.literal('physical'),
    server: z.strictObject({
      version: z.string(),
      majorVersion: count,
      systemId: z.string().regex(/^[0-9]{1,20}$/),
      pageBytes: count,
      walSegmentBytes: count,
      dataChecksums: z.boolean(),
      isStandby: z.boolean(),
    }),
    start: logPoint,
    end: logPoint,
    blockBytes: z.int().min(8192),
    tablespaces: z.array(z.strictObject({ oid: count, name: z.string().optional(), location: z.string() })),
    databases: z.array(z.strictObject({ oid: count, name: z.string(), sizeBytes: count.optional() })),
    asked: backupType,
    done: backupType,
    reason: z.string().optional(),
    base: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional(),
    started: z.string(),
    ended: z.string(),
    warnings: z.array(z.string()),
  })
  .transform(({ reason, base, tablespaces, databases, ...rest }) => ({
    ...rest,
    reason,
    base,
    tablespaces: tablespaces.map(({ oid, name, location }) => ({ oid, name, location })),
    databases: databases.map(({ oid, name, sizeBytes }) => ({ oid, name, sizeBytes })),
  }))

export const manifestPath = (source: string): string => `/${source}/.holdfast/manifest.json`

/**
 * The manifest in a snapshot with the root `tree`; undefined when it has none.
 * @throws HoldfastError HF_DATA_DAMAGED when it cannot be read; whatever reading the repository throws
 */
export async function loadManifest(
  repository: Repository,
  tree: Id,
  source: string,
  signal?: AbortSignal,
): Promise<PostgresManifest | undefined> {
  try {
    return await loadJson(repository, tree, manifestPath(source), (value) => postgresManifest.parse(value), signal)
  } catch (error) {
    if (isHoldfastError(error, 'HF_PATH_NOT_FOUND')) return undefined
    throw error
  }
}
