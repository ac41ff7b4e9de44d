import { sha256 } from '../../engine/kernels/sha256.ts'
import { equalBytes } from '../../lib/bytes.ts'
import { entryDigest, type RdbEntry } from './rdb/entry.ts'
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
const DEFAULT_LIMIT = 100

/**
 * The keys in which two RDB files differ. Reads both once if they are equal, else twice: keys are first compared by the thousand, then
 * those of differing buckets one by one, so that memory does not grow with the files.
 *
 * @throws HoldfastError HF_SOURCE_DAMAGED, HF_SOURCE_UNSUPPORTED
 */
export async function compareRdb(
  expected: () => AsyncIterable<Uint8Array>,
  actual: () => AsyncIterable<Uint8Array>,
  { expiredAt, limit = DEFAULT_LIMIT, ignoreUnexpected = false }: ComparisonOptions = {},
): Promise<readonly KeyDifference[]> {
  const entries = async function* (input: () => AsyncIterable<Uint8Array>): AsyncGenerator<RdbEntry> {
    for await (const entry of readRdb(input()))
      if (expiredAt === undefined || entry.expiresAt === undefined || entry.expiresAt > expiredAt) yield entry
  }
  const buckets = new Uint32Array(4 * BUCKETS)
  for (const input of [expected, actual]) for await (const entry of entries(input)) toggle(buckets, entry)
  const differing = new Set<number>()
  // What is ignored may fill any number of them.
  const most = ignoreUnexpected ? BUCKETS : limit
  for (let i = 0; i < BUCKETS && differing.size < most; i++)
    if (buckets.subarray(4 * i, 4 * i + 4).some((word) => word !== 0)) differing.add(i)
  if (differing.size === 0) return []
  const missing = new Map<string, RdbEntry>()
  for await (const entry of entries(expected)) if (differing.has(bucketOf(entry))) missing.set(nameOf(entry), entry)
  const differences: KeyDifference[] = []
  for await (const entry of entries(actual)) {
    if (!differing.has(bucketOf(entry))) continue
    const name = nameOf(entry)
    const before = missing.get(name)
    if (before === undefined && ignoreUnexpected) continue
    missing.delete(name)
    const what = before === undefined ? 'unexpected' : difference(before, entry, expiredAt)
    if (what !== undefined) differences.push({ db: entry.db, key: entry.key, what })
  }
  for (const { db, key, fieldsExpireFrom } of missing.values())
    if (!mayHaveGone(fieldsExpireFrom, expiredAt)) differences.push({ db, key, what: 'missing' })
  return differences.slice(0, limit)
}

/** Equal entries of both files cancel each other. */
function toggle(buckets: Uint32Array, entry: RdbEntry): void {
  const digest = entryDigest(entry)
  const bucket = 4 * bucketOf(entry)
  const view = new DataView(digest.buffer, digest.byteOffset)
  for (let i = 0; i < 4; i++) buckets[bucket + i]! ^= view.getUint32(4 * i)
}

function bucketOf({ db, key }: RdbEntry): number {
  const hash = sha256(key)
  return ((hash[0]! | (hash[1]! << 8)) + db) % BUCKETS
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
