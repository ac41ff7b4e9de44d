import { Crc64 } from './crc64.ts'
import type { RdbKey } from './entry.ts'
import { CHECKSUM_BYTES, OPCODE } from './reader.ts'
import type { RdbDialect } from './values.ts'

const SMALL = 64
const MEDIUM = 1 << 14
const HUGE = 0x1_0000_0000

/** A length (rdbSaveLen of Redis 7.0). */
export function encodeLength(length: number): Buffer {
  if (length < SMALL) return Buffer.of(length)
  if (length < MEDIUM) return Buffer.of(0x40 | (length >> 8), length & 0xff)
  const bytes = Buffer.alloc(length < HUGE ? 5 : 9)
  bytes[0] = length < HUGE ? 0x80 : 0x81
  if (length < HUGE) bytes.writeUInt32BE(length, 1)
  else bytes.writeBigUInt64BE(BigInt(length), 1)
  return bytes
}

const encodeString = (bytes: Uint8Array): Uint8Array[] => [encodeLength(bytes.length), bytes]

const header = (dialect: RdbDialect, version: number): Buffer =>
  Buffer.from(
    dialect === 'redis' ? `REDIS${String(version).padStart(4, '0')}` : `VALKEY${String(version).padStart(3, '0')}`,
  )

/** Puts an RDB file together from parts of others. Bytes are taken from `take`, after which their memory is no longer used. */
export class RdbWriter {
  readonly #crc = new Crc64()
  #pieces: Uint8Array[] = []
  #db: number | undefined

  constructor(dialect: RdbDialect, version: number) {
    this.#add(header(dialect, version))
  }

  aux(name: Uint8Array, value: Uint8Array): void {
    this.#add(Buffer.of(OPCODE.aux), ...encodeString(name), ...encodeString(value))
  }

  library(code: Uint8Array): void {
    this.#add(Buffer.of(OPCODE.function), ...encodeString(code))
  }

  /** A key in database `db`, up to its value. */
  key(db: number, { key, expiresAt, frequency, idleSeconds, code }: RdbKey): void {
    if (db !== this.#db) this.#add(Buffer.of(OPCODE.select), encodeLength(db))
    this.#db = db
    if (expiresAt !== undefined) {
      const expiry = Buffer.alloc(9)
      expiry[0] = OPCODE.expiryMilliseconds
      expiry.writeBigInt64LE(expiresAt, 1)
      this.#add(expiry)
    }
    if (idleSeconds !== undefined) this.#add(Buffer.of(OPCODE.idle), encodeLength(Number(idleSeconds)))
    if (frequency !== undefined) this.#add(Buffer.of(OPCODE.frequency, frequency))
    this.#add(Buffer.of(code), ...encodeString(key))
  }

  /** The next bytes of the value of the last key. */
  value(bytes: Uint8Array): void {
    this.#add(bytes)
  }

  end(): void {
    this.#add(Buffer.of(OPCODE.end))
    const checksum = Buffer.alloc(CHECKSUM_BYTES)
    checksum.writeBigUInt64LE(this.#crc.value)
    this.#pieces.push(checksum)
  }

  /** What has been written since the last call. */
  take(): Buffer {
    const bytes = Buffer.concat(this.#pieces)
    this.#pieces = []
    return bytes
  }

  #add(...pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) {
      this.#crc.update(piece)
      this.#pieces.push(piece)
    }
  }
}
