import { Message } from './digest.ts'
import { NEVER, type RedisType, type RedisValue } from './values.ts'

/** A key, as far as it stands before its value. */
export interface RdbKey {
  readonly db: number
  readonly key: Buffer
  /** Milliseconds since 1970; undefined for a key that stays. */
  readonly expiresAt: bigint | undefined
  /** How often (0 to 255) or how long ago (seconds) it was used, when the server keeps that to decide what it evicts. */
  readonly frequency: number | undefined
  readonly idleSeconds: bigint | undefined
  /** The number of its type in the file; with the bytes from `start` to `end` of the file it is what RESTORE takes, version and checksum added. */
  readonly code: number
  readonly start: number
}

/** A key with what it comes to. */
export interface RdbEntry extends RedisValue, RdbKey {
  readonly end: number
}

const ENTRY_KIND = 32
const typeNumbers: Readonly<Record<RedisType, number>> = {
  string: 1,
  list: 2,
  set: 3,
  hash: 4,
  zset: 5,
  stream: 6,
  module: 7,
}
const noDigest = new Uint8Array(0)
const message = new Message()

/** Writes a hash of key, type, value and expiry, without its database; of a module's value only that it is there. */
export function digestEntry({ key, type, expiresAt, digest = noDigest }: RdbEntry, into: Uint8Array): void {
  message
    .start(ENTRY_KIND)
    .integer(typeNumbers[type])
    .int64(expiresAt ?? NEVER)
    .raw(digest)
    .content(key)
    .digestInto(into)
}
