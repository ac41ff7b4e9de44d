import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ZodType, z } from 'zod'
import { HoldfastError } from '../lib/errors.ts'
import type { Configuration } from './configuration.ts'
import { loadConfiguration } from './load.ts'
import { secretReference } from './secret.ts'

const paths = z.array(z.string().startsWith('/', 'must be an absolute path')).min(1)
const password = secretReference.optional()

/** For tests: stand-ins for the sources of the issue: same keys, less checking. */
export const exampleSettings: ReadonlyMap<string, ZodType> = new Map<string, ZodType>([
  [
    'postgres',
    z
      .strictObject({
        mode: z.enum(['physical', 'logical']).default('physical'),
        url: z.string().optional(),
        host: z.string().optional(),
        port: z.int().min(1).max(65535).default(5432),
        user: z.string().optional(),
        password,
        database: z.string().optional(),
        jobs: z.int().optional(),
      })
      .transform(({ url, host, ...rest }, context) => {
        if (url === undefined && host === undefined)
          context.addIssue({ code: 'custom', message: 'is needed, or `url`', path: ['host'] })
        return { ...rest, server: url ?? host }
      }),
  ],
  ['mongodb', z.strictObject({ url: z.string(), password, databases: z.array(z.string()).optional() })],
  [
    'redis',
    z.union([
      z.strictObject({ url: z.string(), password }),
      z.strictObject({ host: z.string(), port: z.int().default(6379), password }),
    ]),
  ],
  ['files', z.strictObject({ paths, exclude: z.array(z.string()).default([]) })],
  ['config', z.strictObject({ paths, secrets: z.array(z.string()).default([]) })],
  ['logs', z.strictObject({ paths, window: z.string().default('7d') })],
])

/** The example of the issue, to the letter. */
export const exampleText = `version: 1
repositories:
  main: { url: /srv/holdfast/main, password: "file:/etc/holdfast/password" }
sources:
  shop:    { type: postgres, mode: physical, host: 127.0.0.1, port: 5432, user: backup, password: "env:SHOP_PASSWORD" }        # url: works too
  orders:  { type: postgres, mode: logical, url: "postgres://backup@127.0.0.1:5432/orders", password: "env:SHOP_PASSWORD", jobs: 2 }
  catalog: { type: mongodb, url: "mongodb://backup@127.0.0.1:27017/?replicaSet=rs0", password: "env:MONGO_PASSWORD", databases: [catalog] }
  session: { type: redis, url: "redis://127.0.0.1:6379", password: "env:REDIS_PASSWORD" }
  uploads: { type: files, paths: [/srv/uploads], exclude: ["*.tmp"] }
  config:  { type: config, paths: [/etc/shop], secrets: [.env, "*.key"] }
  logs:    { type: logs, paths: [/var/log/shop], window: 7d }
defaults:  { repositories: [main], verify: checksum }
assertions:
  shop: [{ name: orders are there, database: orders, sql: "select count(*) from orders", expect: "value > 0" }]
`

/** Runs `work` on a folder that is gone afterwards. */
export async function inScratchFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-config-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Loads a file `holdfast.yaml` with this content. */
export const loadText = (text: string | Uint8Array): Promise<Configuration> =>
  inScratchFolder(async (folder) => {
    const file = join(folder, 'holdfast.yaml')
    await writeFile(file, text)
    return loadConfiguration({ file, environment: {}, sourceSettings: exampleSettings })
  })

/** A place without the folder of its file: `holdfast.yaml:3:5`. */
export const shortPlace = (place: string): string => place.replace(/^\/.*?(?=holdfast\.yaml:)/, '')

/** Loads what these variables define. */
export const loadVariables = (environment: Readonly<Record<string, string>>): Promise<Configuration> =>
  loadConfiguration({ environment, sourceSettings: exampleSettings, places: [] })

/** The lines of the error with which `loading` is refused, with short places. */
export async function problemsIn(loading: Promise<unknown>): Promise<readonly string[]> {
  const error = await loading.then(
    () => undefined,
    (refusal: unknown) => refusal,
  )
  if (!(error instanceof HoldfastError) || error.code !== 'HF_CONFIG_INVALID') throw error ?? new Error('was accepted')
  const lines = error.message.split('\n')
  return (lines.length === 1 ? lines : lines.slice(1)).map(shortPlace)
}
