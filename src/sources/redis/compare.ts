import { equalBytes } from '../../lib/bytes.ts'
import { DIGEST_BYTES } from './rdb/digest.ts'
import { digestEntry, type RdbEntry, type RdbKey } from './rdb/entry.ts'
import { readRdb } from './rdb/reader.ts'

/** A key that is not in both files as it should be. */
export interface KeyDifference {
  readonly db: number
  readonly key: Uint8Array
  /** Only in the first file, only in the second, or with other content in them. */
  readonly what: 'missing' | 'unexpected' | 'type differs' | 'value differs' | 'expiry differs'
}

export interface ComparisonOptions {
  /** When the second file was made, in milliseconds since 1970: what had expired by then is nothing to miss. */
  readonly expiredAt?: bigint
  /** Stop after so many. */
  readonly limit?: number
  /** Whether what is only in the second file is none. */
  readonly ignoreUnexpected?: boolean
}

const BUCKETS = 1 << 16
const WORDS = DIGEST_BYTES / 4
const FNV_BASIS = 0x811c9dc5
const FNV_PRIME = 0x01000193
const DEFAULT_LIMIT = 100

/**
 * What of two RDB files is equal cancels itself: keys by the thousand, so that memory does not grow with the files. Each key of both files is
 * given to it once.
 */
export class KeyBuckets {
  readonly #words = new Uint32Array(WORDS * BUCKETS)
  readonly #digest = new Uint8Array(DIGEST_BYTES)
  readonly #view = new DataView(this.#digest.buffer)

  toggle(entry: RdbEntry): void {
    digestEntry(entry, this.#digest)
    const at = WORDS * bucketOf(entry)
    for (let i = 0; i < WORDS; i++) this.#words[at + i]! ^= this.#view.getUint32(4 * i)
  }

  /** Where a key is that is not the same in both, at most so many. */
  differing(most: number): ReadonlySet<number> {
    const differing = new Set<number>()
    for (let i = 0; i < this.#words.length && differing.size < most; i++)
      if (this.#words[i] !== 0) differing.add(Math.floor(i / WORDS))
    return differing
  }
}

/** Whether a key had expired at that time, in milliseconds since 1970. */
export const hasExpired = ({ expiresAt }: RdbKey, at: bigint | undefined): boolean =>
  at !== undefined && expiresAt !== undefined && expiresAt <= at

/**
 * The keys in which two RDB files differ. Reads both once if they are equal, else twice: then those of differing buckets are compared one by
 * one.
 *
 * @throws HoldfastError HF_SOURCE_DAMAGED, HF_SOURCE_UNSUPPORTED
 */
export async function compareRdb(
  expected: () => AsyncIterable<Uint8Array>,
  actual: () => AsyncIterable<Uint8Array>,
  options: ComparisonOptions = {},
): Promise<readonly KeyDifference[]> {
  const buckets = new KeyBuckets()
  await toggleAll(buckets, actual(), options.expiredAt)
  return await compareWithBuckets(expected, actual, buckets, options)
}

/** The same for a second file whose keys are in `buckets` already, but for those that had expired: if it is equal, it is not read again. */
export async function compareWithBuckets(
  expected: () => AsyncIterable<Uint8Array>,
  actual: () => AsyncIterable<Uint8Array>,
  buckets: KeyBuckets,
  { expiredAt, limit = DEFAULT_LIMIT, ignoreUnexpected = false }: ComparisonOptions,
): Promise<readonly KeyDifference[]> {
  await toggleAll(buckets, expected(), expiredAt)
  // What is ignored may fill any number of them.
  const differing = buckets.differing(ignoreUnexpected ? BUCKETS : limit)
  if (differing.size === 0) return []
  const isAsked = (entry: RdbEntry): boolean => !hasExpired(entry, expiredAt) && differing.has(bucketOf(entry))
  const missing = new Map<string, RdbEntry>()
  await readRdb(expected(), { onEntry: (entry) => isAsked(entry) && missing.set(nameOf(entry), entry) })
  const differences: KeyDifference[] = []
  await readRdb(actual(), {
    onEntry: (entry) => {
      if (!isAsked(entry)) return
      const name = nameOf(entry)
      const before = missing.get(name)
      if (before === undefined && ignoreUnexpected) return
      missing.delete(name)
      const what = before === undefined ? 'unexpected' : difference(before, entry, expiredAt)
      if (what !== undefined && differences.length < limit) differences.push({ db: entry.db, key: entry.key, what })
    },
  })
  for (const { db, key, fieldsExpireFrom } of missing.values())
    if (!mayHaveGone(fieldsExpireFrom, expiredAt)) differences.push({ db, key, what: 'missing' })
  return differences.slice(0, limit)
}

async function toggleAll(
  buckets: KeyBuckets,
  input: AsyncIterable<Uint8Array>,
  expiredAt: bigint | undefined,
): Promise<void> {
  await readRdb(input, {
    onEntry: (entry) => {
      if (!hasExpired(entry, expiredAt)) buckets.toggle(entry)
    },
  })
}

/** FNV-1a of the key, folded. */
function bucketOf({ db, key }: RdbEntry): number {
  let hash = FNV_BASIS ^ db
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key[i]!, FNV_PRIME)
  return ((hash >>> 16) ^ hash) & (BUCKETS - 1)
}

const nameOf = ({ db, key }: RdbEntry): string => `${db}:${key.toString('latin1')}`

function difference(
  before: RdbEntry,
  after: RdbEntry,
  expiredAt: bigint | undefined,
): KeyDifference['what'] | undefined {
  if (before.type !== after.type || before.module !== after.module) return 'type differs'
  if (before.expiresAt !== after.expiresAt) return 'expiry differs'
  if (before.digest === undefined || after.digest === undefined) return undefined
  if (mayHaveGone(before.fieldsExpireFrom, expiredAt)) return undefined
  return equalBytes(before.digest, after.digest) ? undefined : 'value differs'
}

/** Whether some fields of a hash have gone by themselves; with the last of them the hash goes as well. */
const mayHaveGone = (fieldsExpireFrom: bigint | undefined, expiredAt: bigint | undefined): boolean =>
  expiredAt !== undefined && fieldsExpireFrom !== undefined && fieldsExpireFrom <= expiredAt
