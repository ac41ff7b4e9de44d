import { damaged } from './rdb/damage.ts'
import { DIGEST_BYTES, DigestSum } from './rdb/digest.ts'
import { digestEntry, type RdbEntry } from './rdb/entry.ts'
import type { RdbSummary } from './rdb/reader.ts'

/** Keys, and the sum modulo 2^128 of their hashes in hex: equal for equal keys, in whatever order and encoding. */
export interface KeyTotals {
  readonly keys: number
  readonly sum: string
}

/** What "equal" means for a database: keys, types, values and expiries. */
export interface DatabaseFingerprint {
  readonly db: number
  readonly all: KeyTotals
  /** Of `all`, keys that expire: a restored server may have dropped some of them since. */
  readonly expiring: KeyTotals
}

/** Values of a module: they count as keys, and what they hold cannot be compared. */
export interface ModuleKeys {
  readonly module: string
  readonly keys: number
}

/** A server has 16 databases unless its owner wants more; this many no owner wants. */
const MAX_DATABASES = 65_536
const MAX_MODULES = 1_000

class Totals {
  readonly #sum = new DigestSum()
  #keys = 0

  add(digest: Uint8Array): void {
    this.#sum.add(digest)
    this.#keys++
  }

  get value(): KeyTotals {
    return { keys: this.#keys, sum: this.#sum.hex() }
  }
}

/** Adds up the keys of an RDB file. */
export class Fingerprint {
  readonly #databases = new Map<number, { readonly all: Totals; readonly expiring: Totals }>()
  readonly #modules = new Map<string, number>()
  readonly #expiredAt: bigint | undefined
  readonly #digest = new Uint8Array(DIGEST_BYTES)

  /** Keys that have expired at `expiredAt` (milliseconds since 1970) do not count: a server drops them when it loads a file. */
  constructor(expiredAt?: bigint) {
    this.#expiredAt = expiredAt
  }

  /** `db`: where it counts. */
  add(entry: RdbEntry, db: number = entry.db): void {
    const { expiresAt, module } = entry
    if (expiresAt !== undefined && this.#expiredAt !== undefined && expiresAt <= this.#expiredAt) return
    let database = this.#databases.get(db)
    if (database === undefined) {
      if (this.#databases.size === MAX_DATABASES) throw damaged(entry.start, `no server has ${MAX_DATABASES} databases`)
      database = { all: new Totals(), expiring: new Totals() }
      this.#databases.set(db, database)
    }
    digestEntry(entry, this.#digest)
    database.all.add(this.#digest)
    if (expiresAt !== undefined) database.expiring.add(this.#digest)
    if (module !== undefined && (this.#modules.has(module) || this.#modules.size < MAX_MODULES))
      this.#modules.set(module, (this.#modules.get(module) ?? 0) + 1)
  }

  /** By number. Databases without keys are not listed. */
  get databases(): readonly DatabaseFingerprint[] {
    return [...this.#databases]
      .sort(([a], [b]) => a - b)
      .map(([db, { all, expiring }]) => ({ db, all: all.value, expiring: expiring.value }))
  }

  get notComparable(): readonly ModuleKeys[] {
    return [...this.#modules].sort(([a], [b]) => (a < b ? -1 : 1)).map(([module, keys]) => ({ module, keys }))
  }
}

/** Whether databases have the same content; both by number, as `Fingerprint` has them. */
export const sameDatabases = (a: readonly DatabaseFingerprint[], b: readonly DatabaseFingerprint[]): boolean =>
  a.length === b.length &&
  a.every(
    ({ db, all, expiring }, i) => db === b[i]!.db && sameTotals(all, b[i]!.all) && sameTotals(expiring, b[i]!.expiring),
  )

export const sameTotals = (a: KeyTotals | undefined, b: KeyTotals | undefined): boolean =>
  a !== undefined && b !== undefined && a.keys === b.keys && a.sum === b.sum

/** Whether two files have the same libraries of functions. */
export const sameFunctions = (a: RdbSummary['functions'], b: RdbSummary['functions']): boolean =>
  a.libraries === b.libraries && a.sum === b.sum
