import type { Assertion } from './assertion.ts'
import type { KeyShape } from './key-shape.ts'
import type { ConfigurationPath } from './path.ts'
import type { PriceShape } from './price-shape.ts'
import type { SecretReference } from './secret.ts'
import type { Hooks, VerifyLevel } from './shape.ts'
import type { PlaceShape, StoreShape } from './store-shape.ts'

export interface ConfiguredRepository {
  readonly name: string
  readonly url: string
  /** Absent only where there are `keys`. */
  readonly password?: SecretReference | undefined
  /** What opens it beside its password, first to last. */
  readonly keys: readonly KeyShape[]
  /** After so many days a key is to be rotated. */
  readonly maxKeyAgeDays: number
  /** Refuse to make or use it when its folder is not on a file system of its own. */
  readonly mount: boolean
  /** What the owner decided about the store. */
  readonly store: StoreShape
  /** Where the owner says that it is. */
  readonly place: PlaceShape
  /** What the store charges. */
  readonly prices?: PriceShape | undefined
}

export interface ConfiguredSource {
  readonly name: string
  readonly type: string
  /** Names of repositories, at least one. */
  readonly repositories: readonly string[]
  readonly hooks: Hooks
  /** What must be there, or the run fails. */
  readonly require: readonly string[]
  /** Its snapshots may lie only in repositories that are in this region by their own `place`. */
  readonly location?: string | undefined
  readonly verify: VerifyLevel
  /** What the schema of the type made of the source's own keys. */
  readonly settings: unknown
}

/** Everything that is configured, checked as a whole: every name in it refers to something that exists. */
export interface Configuration {
  /** The file it comes from; undefined when it comes from environment variables. */
  readonly file: string | undefined
  readonly repositories: ReadonlyMap<string, ConfiguredRepository>
  readonly sources: ReadonlyMap<string, ConfiguredSource>
  /** By source. */
  readonly assertions: ReadonlyMap<string, readonly Assertion[]>
  /** What does not keep it from working, for people. */
  readonly warnings: readonly string[]
  /** As it was written, completed with what holds by default. It may hold passwords within URLs; see `describeConfiguration`. */
  effective(): unknown
  /** Where the value at `path` of `effective()` comes from: `FILE:LINE:COLUMN`, the name of a variable, or `default`. */
  originOf(path: ConfigurationPath): string
}
