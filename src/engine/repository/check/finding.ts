import type { Id } from '../../../lib/id.ts'
import type { FileKind } from '../../storage/storage.ts'

/** `error`: something is lost or will not work. `warning`: it is in the way of work, nothing stored is lost. `hint`: untidy, harmless. */
export type Severity = 'error' | 'warning' | 'hint'

export type FindingKind =
  | 'config-damaged'
  | 'key-damaged'
  | 'lock-damaged'
  | 'index-damaged'
  /** Index files list different blobs for one pack. */
  | 'pack-listings-differ'
  | 'pack-in-several-indexes'
  /** Data and trees in one pack, as old versions wrote. */
  | 'pack-mixed'
  | 'pack-missing'
  | 'pack-size'
  /** In no index. */
  | 'pack-unindexed'
  /** What is in the pack is not what the index or its name says. */
  | 'pack-damaged'
  /** The same, but only when it was read for the first time. */
  | 'pack-passing-failure'
  /** The storage could not read it. */
  | 'pack-unreadable'
  | 'snapshot-damaged'
  /** A directory cannot be read, or refers to what is not there. */
  | 'tree-damaged'

/** What a finding is about: a file of the repository, or a tree blob. */
export interface FindingObject {
  readonly type: FileKind | 'tree'
  /** Absent for `config`. */
  readonly id?: Id
}

/** One thing a check has found. */
export interface Finding {
  readonly kind: FindingKind
  readonly severity: Severity
  readonly object: FindingObject
  /** Names the object in full. */
  readonly message: string
  /** Each single thing that is wrong with the object, as far as there is more to say than `message` does. */
  readonly details: readonly string[]
  /** What to do about it. */
  readonly hint?: string
}

/** Where a check reports. */
export type Report = (finding: Finding) => void

/** More than these of one object tell nothing new. */
const MAX_DETAILS = 100

/** Single problems of one object, without end in number but not in memory. */
export class Problems {
  readonly #listed: string[] = []
  count = 0

  add(problem: string): void {
    if (this.count++ < MAX_DETAILS) this.#listed.push(problem)
  }

  /** What was added, as far as it is kept, and how much more there was. */
  list(): readonly string[] {
    const more = this.count - this.#listed.length
    return more > 0 ? [...this.#listed, `and ${more} more`] : this.#listed
  }
}

/** The message of anything thrown. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
