import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { type SecretReference, secretReference } from '../../config/secret.ts'
import { isHoldfastError } from '../../lib/errors.ts'
import { type MongoEndpoint, parseMongoUrl } from './endpoint.ts'
import { isDatabaseName, namespaceMatcher, parseNamespace } from './names.ts'

export const readPreferences = ['primary', 'primaryPreferred', 'secondary', 'secondaryPreferred', 'nearest'] as const
export type ReadPreference = (typeof readPreferences)[number]

/** How all collections of a snapshot come to be of one moment; see docs/guide/mongodb.md. */
export const consistencies = ['auto', 'snapshot', 'oplog', 'none'] as const
export type Consistency = (typeof consistencies)[number]

/** Keys of a source of type `mongodb`. */
export interface MongoSettings {
  readonly endpoint: MongoEndpoint
  readonly password: SecretReference | undefined
  readonly tls: MongoTls | undefined
  /** Patterns of what is backed up; without any, the whole server with its users and roles. */
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** Only these documents of a collection, by namespace: a filter in Extended JSON. */
  readonly query: Readonly<Record<string, object>>
  readonly readPreference: ReadPreference
  /** Collections read at the same time. */
  readonly jobs: number
  readonly consistency: Consistency
  /** A scratch server for proofs where this machine has no `mongod`. */
  readonly proof: { readonly endpoint: MongoEndpoint; readonly password: SecretReference | undefined } | undefined
}

/** Files in PEM format. */
export interface MongoTls {
  /** Authorities to trust instead of the system's. */
  readonly ca?: string | undefined
  /** What we show the server, and its key. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

const MAX_JOBS = 16

const file = z.string().refine((path) => isAbsolute(path) && !path.includes('\0'), {
  message: 'must be an absolute path',
})

const pattern = z
  .string()
  .refine((text) => isPattern(text), { message: 'must be database, database.collection or a pattern like *.audit_*' })

const databaseName = z
  .string()
  .refine((name) => isDatabaseName(name) && !name.includes('*'), { message: 'is no name of a database' })

const url = z.string().transform((text, context): MongoEndpoint => {
  const endpoint = parseMongoUrl(text)
  const problem =
    typeof endpoint === 'string'
      ? endpoint
      : endpoint.password === undefined
        ? undefined
        : 'must not hold the password: use `password: env:NAME` or `password: file:PATH`'
  if (problem === undefined) return endpoint as MongoEndpoint
  context.addIssue({ code: 'custom', message: problem })
  return z.NEVER
})

export const mongoSettings: z.ZodType<MongoSettings> = z
  .strictObject({
    url,
    password: secretReference.optional(),
    tls: z
      .union([z.boolean(), z.strictObject({ ca: file.optional(), cert: file.optional(), key: file.optional() })])
      .optional(),
    databases: z.array(databaseName).min(1).optional(),
    include: z.array(pattern).min(1).optional(),
    exclude: z.array(pattern).default([]),
    query: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
    readPreference: z.enum(readPreferences).default('secondaryPreferred'),
    jobs: z.int().min(1).max(MAX_JOBS).default(2),
    consistency: z.enum(consistencies).default('auto'),
    proof: z.strictObject({ url, password: secretReference.optional() }).optional(),
  })
  .transform((given, context): MongoSettings => {
    const { databases = [], include = [], tls, url: endpoint, proof, ...rest } = given
    const refuse = (path: readonly string[], message: string): void =>
      context.addIssue({ code: 'custom', message, path: [...path] })
    for (const [name, namespace] of Object.keys(rest.query).map((text) => [text, parseNamespace(text)] as const))
      if (namespace === undefined) refuse(['query', name], 'must be named as database.collection')
    if (endpoint.user !== undefined && rest.password === undefined && !isWithoutPassword(endpoint))
      refuse(['password'], 'must be there for a user: env:NAME or file:PATH')
    if (endpoint.user === undefined && rest.password !== undefined) refuse(['password'], '`url` names no user')
    const files = typeof tls === 'object' ? tls : {}
    if ((files.cert === undefined) !== (files.key === undefined))
      refuse(['tls', files.cert === undefined ? 'cert' : 'key'], '`cert` and `key` belong together')
    return {
      ...rest,
      endpoint,
      password: rest.password,
      tls: tls === undefined || tls === false ? undefined : files,
      include: [...databases, ...include],
      proof: proof && { endpoint: proof.url, password: proof.password },
    }
  })

const isWithoutPassword = ({ parameters }: MongoEndpoint): boolean =>
  /^MONGODB-(X509|AWS|OIDC)$/i.test(parameters.get('authmechanism') ?? '')

function isPattern(text: string): boolean {
  try {
    namespaceMatcher([text])
    return true
  } catch (error) {
    if (isHoldfastError(error, 'HF_PATTERN_INVALID')) return false
    throw error
  }
}
