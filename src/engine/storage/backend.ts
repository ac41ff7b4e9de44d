import type { Clock } from '../../lib/clock.ts'
import type { NetworkSettings } from './network.ts'
import type { Storage } from './storage.ts'
import type { StoreSettings } from './store-settings.ts'

/** A kind of store: a folder beside `local/`, and its line in `locations.ts`. */
export interface Backend {
  /** For people. */
  readonly title: string
  /** Names of its extended options (`-o`), without the scheme; restic's where restic has them. */
  readonly options: readonly string[]
  /** What its store understands of `StoreSettings`; others are refused for it, since they would do nothing. */
  readonly settings: readonly (keyof StoreSettings)[]
  /**
   * Opens the store without asking it anything, so that it may be opened with wrong credentials; libraries are loaded by its first call. A
   * store behind a network puts `withConnectionLimit` around itself.
   *
   * Absent: not supported by this version.
   * @throws HoldfastError HF_STORAGE_LOCATION for a place that is none, HF_USAGE for a wrong value of an option
   */
  readonly open?: (request: BackendRequest) => Storage
}

export interface BackendRequest {
  /** The location without its scheme; it may hold a password, which no message may show. */
  readonly place: string
  /** Extended options of this scheme, without it. */
  readonly options: ReadonlyMap<string, string>
  /** Where credentials come from, by the names that the vendor's own tools use. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly settings: StoreSettings
  readonly network: NetworkSettings
  readonly clock: Clock
  /** Something that whoever started this should see, and that is no failure, such as the fingerprint of a key trusted for the first time. */
  readonly onNotice: (text: string) => void
}
