import { z } from 'zod'
import { parseRange } from './cluster/slots.ts'
import type { ShardRecord } from './cluster/transfer.ts'
import type { DatabaseFingerprint, KeyTotals, ModuleKeys } from './fingerprint.ts'
import type { RdbSummary } from './rdb/reader.ts'
import type { ServerFacts } from './server.ts'

/** `/<source>/.holdfast/manifest.json` of a snapshot of Redis or Valkey; the data is `/<source>/data/dump.rdb`. */
export interface RedisManifest {
  readonly format: 1
  readonly source: string
  readonly type: 'redis'
  readonly server: Pick<ServerFacts, 'kind' | 'version' | 'runId' | 'role' | 'mode'>
  /** Where in which history of commands the data is from; absent from a server that only knows SYNC. */
  readonly point?: { readonly replicationId: string; readonly offset: string } | undefined
  /** Of a cluster, whose shards are in one file; each is of an instant of its own. */
  readonly shards?: readonly ShardRecord[] | undefined
  readonly rdb: Pick<RdbSummary, 'dialect' | 'version' | 'bytes' | 'checksum'> & {
    readonly sha256: string
    /** Streamed from the server's memory, or from a file it wrote first. */
    readonly isDiskless: boolean
    /** What the file says of itself: `ctime` is the second the data is from. */
    readonly aux: Readonly<Record<string, string>>
  }
  /** Keys and their fingerprints; databases without keys are not listed. */
  readonly databases: readonly DatabaseFingerprint[]
  readonly functions: RdbSummary['functions']
  /** Values of modules: stored, and restored by servers that have the module; the fingerprint only says that they are there. */
  readonly notComparable: readonly ModuleKeys[]
  /** RFC 3339: when the server was asked, and when all had come. */
  readonly started: string
  readonly ended: string
}

const count = z.int().min(0)
const sum = z.string().regex(/^[0-9a-f]{32}$/)
const keyTotals: z.ZodType<KeyTotals> = z.strictObject({ keys: count, sum })
const point = z.strictObject({ replicationId: z.string(), offset: z.string().regex(/^-?\d+$/) })
const dialect = z.enum(['redis', 'valkey'])

export const redisManifest: z.ZodType<RedisManifest> = z.strictObject({
  format: z.literal(1),
  source: z.string(),
  type: z.literal('redis'),
  server: z.strictObject({
    kind: dialect,
    version: z.string(),
    runId: z.string(),
    role: z.enum(['master', 'replica']),
    mode: z.enum(['standalone', 'cluster', 'sentinel']),
  }),
  point: point.optional(),
  shards: z
    .array(
      z.strictObject({
        node: z.string(),
        slots: z.array(z.string().refine((text) => parseRange(text) !== undefined)).min(1),
        address: z.string(),
        version: z.string(),
        point: point.optional(),
      }),
    )
    .min(1)
    .optional(),
  rdb: z.strictObject({
    dialect,
    version: count,
    bytes: count,
    checksum: z.enum(['matches', 'off']),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    isDiskless: z.boolean(),
    aux: z.record(z.string(), z.string()),
  }),
  databases: z.array(z.strictObject({ db: count, all: keyTotals, expiring: keyTotals })),
  functions: z.strictObject({ libraries: count, sum }),
  notComparable: z.array(z.strictObject({ module: z.string(), keys: count })),
  started: z.string(),
  ended: z.string(),
})
