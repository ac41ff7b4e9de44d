import { z } from 'zod'
import { type SecretReference, secretReference } from '../../config/secret.ts'
import { formatSize, parseSize } from '../../lib/sizes.ts'
import { type Endpoint, sslModes, urlEndpoint } from './endpoint.ts'

/** Keys of a source of type `postgres`. */
export interface PostgresSettings {
  /** `physical`: the whole cluster, byte for byte, over the replication protocol. */
  readonly mode: 'physical'
  readonly endpoint: Endpoint
  readonly password: SecretReference | undefined
  /** Whether the server writes the checkpoint a backup begins with at once, or in its own time. */
  readonly checkpoint: 'fast' | 'spread'
  /** Bytes per second the server may send; undefined: as fast as it can. */
  readonly maxRate: number | undefined
  /** How data files are cut in a first backup; undefined: by the size of the cluster. Later backups cut as the first did. */
  readonly blockBytes: number | undefined
}

/** What BASE_BACKUP takes as MAX_RATE. */
const MIN_RATE = 32 * 1024
const MAX_RATE = 1024 * 1024 * 1024

export const MIN_BLOCK_BYTES: number = 32 * 1024
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

export const postgresSettings: z.ZodType<PostgresSettings> = z
  .strictObject({
    mode: z.enum(['physical']).default('physical'),
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
    checkpoint: z.enum(['fast', 'spread']).default('fast'),
    maxRate: size(MIN_RATE, MAX_RATE).optional(),
    blockBytes: size(MIN_BLOCK_BYTES, MAX_BLOCK_BYTES)
      .refine((bytes) => Number.isInteger(Math.log2(bytes)), { message: 'must be 32K, 64K, 128K or 256K' })
      .optional(),
  })
  .transform((keys, context): PostgresSettings => {
    const { mode, password, checkpoint, maxRate, blockBytes, url, ...own } = keys
    const refuse = (message: string, key: string): void => {
      context.addIssue({ code: 'custom', message, path: [key] })
    }
    const { endpoint: fromUrl, problem } = url === undefined ? {} : urlEndpoint(url)
    if (problem !== undefined) refuse(problem, 'url')
    for (const [key, value] of Object.entries(own))
      if (value !== undefined && fromUrl?.[key as keyof Endpoint] !== undefined)
        refuse(`is given here and in \`url\``, key)
    const host = own.host ?? fromUrl?.host
    if (host === undefined && problem === undefined) refuse('is needed, or `url`', 'host')
    const endpoint: Endpoint = {
      port: 5432,
      user: 'postgres',
      database: 'postgres',
      sslmode: 'prefer',
      ...fromUrl,
      ...withoutUndefined(own),
      host: host ?? '',
    }
    if ((endpoint.sslcert === undefined) !== (endpoint.sslkey === undefined))
      refuse('`sslcert` and `sslkey` belong together', endpoint.sslcert === undefined ? 'sslcert' : 'sslkey')
    if (endpoint.sslmode === 'verify-ca' && endpoint.sslrootcert === undefined)
      refuse('is needed with sslmode: verify-ca', 'sslrootcert')
    return { mode, endpoint, password, checkpoint, maxRate, blockBytes }
  })

const withoutUndefined = <T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
