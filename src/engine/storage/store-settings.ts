import type { RateSchedule } from './layers/rate-schedule.ts'

/** What an owner decides about a store besides where it is. */
export interface StoreSettings {
  readonly region?: string | undefined
  /** The store's own name of the class or tier that packs are written to; all else is small and read often, and stays in the default one. */
  readonly storageClass?: string | undefined
  /** Nobody may delete or change what is written, for so long. */
  readonly lock?: LockSettings | undefined
  /** How fast may be written and read; kept whatever the store is. */
  readonly limit?: TransferLimits | undefined
}

export interface TransferLimits {
  readonly up?: RateSchedule | undefined
  readonly down?: RateSchedule | undefined
}

export interface LockSettings {
  /** `governance` can be lifted by who has a special permission, `compliance` by nobody. */
  readonly mode: 'governance' | 'compliance'
  readonly forMs: number
}
