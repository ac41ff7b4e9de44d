import { z } from 'zod'
import { type Assertion, assertion } from './assertion.ts'
import { accessKeys, DEFAULT_MAX_KEY_AGE_DAYS, type KeyShape } from './key-shape.ts'
import { configuredName } from './names.ts'
import { type PriceShape, priceTable } from './price-shape.ts'
import { type SecretReference, secretReference } from './secret.ts'
import { location, type PlaceShape, placeKeys, type StoreShape, storeKeys } from './store-shape.ts'

/** How far a restore point is to be proved after each run. */
export const verifyLevels = ['none', 'checksum', 'structure', 'restore', 'data'] as const
export type VerifyLevel = (typeof verifyLevels)[number]

/** The level when nothing is said. */
export const DEFAULT_VERIFY: VerifyLevel = 'checksum'

/** A program and its arguments; no shell reads them. */
export type ArgumentVector = readonly string[]

export interface Hooks {
  readonly pre: readonly ArgumentVector[]
  /** Always run, whatever happened before. */
  readonly post: readonly ArgumentVector[]
}

/** The value of holdfast.yaml, apart from what belongs to single types of sources. */
export interface Shape {
  readonly version: 1
  readonly repositories: Readonly<Record<string, RepositoryShape>>
  readonly sources: Readonly<Record<string, SourceShape>>
  readonly defaults: { readonly repositories?: readonly string[] | undefined; readonly verify: VerifyLevel }
  readonly assertions: Readonly<Record<string, readonly Assertion[]>>
}

export interface RepositoryShape {
  readonly url: string
  /** Absent only where there are `keys`. */
  readonly password?: SecretReference | undefined
  /** What opens it beside its password, first to last. */
  readonly keys: readonly KeyShape[]
  readonly maxKeyAgeDays: number
  readonly mount: boolean
  readonly store: StoreShape
  readonly place: PlaceShape
  readonly prices?: PriceShape | undefined
}

export interface SourceShape {
  readonly type: string
  readonly repositories?: readonly string[] | undefined
  readonly hooks: Hooks
  readonly require: readonly string[]
  readonly location?: string | undefined
  readonly verify?: VerifyLevel | undefined
}

const commands = z
  .array(
    z.array(z.string(), 'must be a list of a program and its arguments, as in [[program, argument]]').min(1),
    'must be a list of commands, as in [[program, argument]]',
  )
  .default([])
const names = z.array(z.string()).min(1)
const verify = z.enum(verifyLevels)

const repository = z
  .strictObject({
    url: z.string().min(1).describe('Where the repository is, as in -r.'),
    password: secretReference.optional().describe('env:NAME or file:PATH'),
    ...accessKeys,
    mount: z.boolean().default(false).describe('The folder must be on a mounted file system of its own.'),
    ...storeKeys,
    ...placeKeys,
    prices: priceTable.optional(),
  })
  .superRefine(({ password, keys }, context) => {
    if (password === undefined && keys.length === 0)
      context.addIssue({ code: 'custom', path: ['password'], message: 'is missing' })
  })
  .transform(
    ({ region, storageClass, lock, limit, location, offsite, maxKeyAge = DEFAULT_MAX_KEY_AGE_DAYS, ...rest }) => ({
      ...rest,
      maxKeyAgeDays: maxKeyAge,
      store: { region, storageClass, lock, limit },
      place: { location, offsite },
    }),
  )
  .describe('A repository.')

/** What every source has; the keys of its own type come on top. */
const commonKeys = {
  type: z.string().describe('What sort of thing is protected.'),
  repositories: names.optional().describe('Where its snapshots go; else as under defaults.'),
  hooks: z
    .strictObject({ pre: commands, post: commands })
    .prefault({})
    .describe('Programs run before and after, as lists of arguments.'),
  require: z.array(z.string().min(1)).default([]).describe('What must be there, or the run fails.'),
  location: location
    .optional()
    .describe('Where its snapshots may lie: only in repositories that say so of themselves.'),
  verify: verify.optional().describe('How far each snapshot is proved; else as under defaults.'),
}

export const commonSourceKeys: ReadonlySet<string> = new Set(Object.keys(commonKeys))

const source: z.ZodType<SourceShape> = z.looseObject(commonKeys).transform((all) => ({
  type: all.type,
  repositories: all.repositories,
  hooks: all.hooks,
  require: all.require,
  location: all.location,
  verify: all.verify,
}))

/** Checks everything but the own keys of sources, which it lets pass, and names that refer to something. */
export const shape: z.ZodType<Shape> = z.strictObject({
  version: z.literal(1).describe('Version of this format.'),
  repositories: z.record(configuredName, repository).default({}),
  sources: z.record(configuredName, source).default({}),
  defaults: z
    .strictObject({ repositories: names.optional(), verify: verify.default(DEFAULT_VERIFY) })
    .prefault({})
    .describe('For sources that do not say otherwise.'),
  assertions: z
    .record(z.string(), z.array(assertion))
    .default({})
    .describe('By source: what must hold in whatever is restored.'),
})
