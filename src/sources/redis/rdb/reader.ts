import { HoldfastError, isHoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import { keyText } from '../key-text.ts'
import { Crc64 } from './crc64.ts'
import { damaged, unknownFormat } from './damage.ts'
import { DigestSum, Message } from './digest.ts'
import type { RdbEntry, RdbKey } from './entry.ts'
import { type Content, RdbInput, type Waiting } from './input.ts'
import { readModuleParts } from './module.ts'
import { type RdbDialect, ValueReader } from './values.ts'

/** What a whole RDB file says of itself. */
export interface RdbSummary {
  readonly dialect: RdbDialect
  /** 10 of Redis 7.0, 12 of Redis 8.0, 80 of Valkey 9. */
  readonly version: number
  readonly bytes: number
  /** `off`: the server has `rdbchecksum no`, and what was damaged on the way may go unnoticed. */
  readonly checksum: 'matches' | 'off'
  /** `redis-ver`, `ctime`, `used-mem` and others. */
  readonly aux: ReadonlyMap<string, string>
  /** Libraries of functions, and the sum of their hashes, as for keys. */
  readonly functions: { readonly libraries: number; readonly sum: string }
}

/** Takes what a file holds, in its order. */
export interface RdbObserver {
  /** A key, before its value has been read. */
  onKey?(key: RdbKey): void
  onEntry(entry: RdbEntry): void
  /** What the file says of itself, as far as it is short. */
  onAux?(name: Buffer, value: Buffer): void
  /** The code of a library of functions. */
  onLibrary?(code: Buffer): void
  /** Data that a module keeps outside of keys. */
  onModuleData?(): void
}

/** What begins each part of a file that is no key (rdb.h). */
export const OPCODE = {
  slotInfo: 244,
  function: 245,
  moduleAux: 247,
  idle: 248,
  frequency: 249,
  aux: 250,
  resize: 251,
  expiryMilliseconds: 252,
  expirySeconds: 253,
  select: 254,
  end: 255,
} as const

export const CHECKSUM_BYTES = 8
export const RDB_HEADER_BYTES = 9
const versions: Readonly<Record<RdbDialect, readonly [number, number]>> = { redis: [5, 12], valkey: [80, 80] }
/** Redis writes about ten; what comes beyond is read and forgotten. */
const MAX_AUX_FIELDS = 64
const MAX_AUX_BYTES = 1024
const FUNCTION_KIND = 33
const SLOT_SIZES = 'slot-info'

/**
 * Reads an RDB file while it comes: checks it whole (header, structure of every value, end, CRC-64) and gives every key. It holds no more
 * than a key, and a value if that is encoded in one string. After rdb.c of Redis 7.0 and 7.4: rdbLoadRio.
 */
export class RdbReader {
  readonly #input = new RdbInput()
  readonly #observer: RdbObserver
  readonly #crc = new Crc64()
  /** The last bytes that came: they are the checksum unless more follow. */
  #tail: Uint8Array = new Uint8Array(0)
  #bytes = 0
  readonly #steps: Waiting<void>
  /** Whose value is being read. */
  #key: RdbKey | undefined
  #summary: Omit<RdbSummary, 'bytes' | 'checksum'> | undefined

  constructor(observer: RdbObserver) {
    this.#observer = observer
    this.#steps = this.#read()
  }

  /** @throws HoldfastError HF_SOURCE_DAMAGED, HF_SOURCE_UNSUPPORTED; the reader is then of no more use */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    this.#bytes += chunk.length
    this.#checksum(chunk)
    this.#input.push(chunk)
    this.#step()
  }

  /** All has come. @throws HoldfastError as `push` */
  end(): RdbSummary {
    if (this.#summary === undefined) throw this.#within(damaged(this.#bytes, 'it ends here, and is not whole'))
    const stored = Buffer.from(this.#tail).readBigUInt64LE()
    if (stored !== 0n && stored !== this.#crc.value)
      throw damaged(
        this.#bytes - CHECKSUM_BYTES,
        `its checksum is ${hex(stored)}, and its content has ${hex(this.#crc.value)}`,
      )
    return { ...this.#summary, bytes: this.#bytes, checksum: stored === 0n ? 'off' : 'matches' }
  }

  #step(): void {
    try {
      this.#steps.next()
    } catch (error) {
      // Buffer methods refuse to read what is not there: where no check of ours came first.
      if (systemErrorCode(error) === 'ERR_OUT_OF_RANGE')
        throw this.#within(damaged(this.#input.offset, 'a number reaches beyond its end'))
      throw isHoldfastError(error) ? this.#within(error) : error
    }
    if (this.#summary !== undefined && this.#input.available > 0)
      throw damaged(this.#input.offset, 'more follows its end')
  }

  /** The error with the key in which it happened. */
  #within(error: HoldfastError): HoldfastError {
    if (this.#key === undefined) return error
    const { db, key } = this.#key
    const { code, message, hint = '', context } = error
    return new HoldfastError(code, `${message}, in key ${keyText(key)} of database ${db}`, { hint, context })
  }

  #checksum(chunk: Uint8Array): void {
    const all = chunk.length >= CHECKSUM_BYTES ? chunk : Buffer.concat([this.#tail, chunk])
    if (all === chunk) this.#crc.update(this.#tail)
    const content = Math.max(0, all.length - CHECKSUM_BYTES)
    this.#crc.update(all.subarray(0, content))
    this.#tail = Uint8Array.from(all.subarray(content))
  }

  *#read(): Waiting<void> {
    const input = this.#input
    const { dialect, version } = yield* this.#header()
    const values = new ValueReader(input, dialect)
    const aux = new Map<string, string>()
    const functions = new DigestSum()
    const message = new Message()
    let libraries = 0
    let db = 0
    let expiresAt: bigint | undefined
    let frequency: number | undefined
    let idleSeconds: bigint | undefined
    const observer = this.#observer
    for (;;) {
      const offset = input.offset
      let code = input.tryByte()
      if (code < 0) code = yield* input.byte()
      if (code < OPCODE.slotInfo) {
        const key = Buffer.from(input.tryString() ?? (yield* input.whole()))
        const entry = entryOf({ db, key, expiresAt, frequency, idleSeconds, code, start: input.offset })
        this.#key = entry
        observer.onKey?.(entry)
        if (!values.tryRead(code)) yield* values.read(code)
        entry.type = values.type
        entry.digest = values.digest
        entry.module = values.module
        entry.fieldsExpireFrom = values.fieldsExpireFrom
        entry.end = input.offset
        observer.onEntry(entry)
        this.#key = expiresAt = frequency = idleSeconds = undefined
        continue
      }
      switch (code) {
        case OPCODE.expiryMilliseconds:
          expiresAt = input.tryInt64() ?? (yield* input.int64())
          break
        case OPCODE.expirySeconds:
          expiresAt = BigInt((yield* input.take(4)).readInt32LE()) * 1000n
          break
        case OPCODE.frequency:
          frequency = yield* input.byte()
          break
        case OPCODE.idle:
          idleSeconds = yield* input.unsigned()
          break
        case OPCODE.select:
          db = yield* input.length()
          break
        case OPCODE.resize:
          yield* input.length()
          yield* input.length()
          break
        case OPCODE.slotInfo:
          // Slot, keys in it, and how many of them expire.
          for (let i = 0; i < 3; i++) yield* input.length()
          break
        case OPCODE.aux: {
          const name = copyOf(yield* input.string())
          const value = copyOf(yield* input.string())
          // Valkey writes how large the table of a slot will be, before its keys: that is of no use to anybody else.
          if (name === undefined || value === undefined || name.toString('latin1') === SLOT_SIZES) break
          if (aux.size < MAX_AUX_FIELDS) {
            aux.set(name.toString(), value.toString())
            observer.onAux?.(name, value)
          }
          break
        }
        case OPCODE.function: {
          const library = Buffer.from(yield* input.whole())
          functions.add(message.start(FUNCTION_KIND).content(library).digest())
          observer.onLibrary?.(library)
          libraries++
          break
        }
        case OPCODE.moduleAux:
          observer.onModuleData?.()
          yield* input.unsigned()
          yield* readModuleParts(input)
          break
        case OPCODE.end:
          yield* input.take(CHECKSUM_BYTES)
          this.#summary = { dialect, version, aux, functions: { libraries, sum: functions.hex() } }
          return
        default:
          throw unknownFormat(offset, `operation ${code} is not known`)
      }
    }
  }

  *#header(): Waiting<{ readonly dialect: RdbDialect; readonly version: number }> {
    return parseHeader(yield* this.#input.take(RDB_HEADER_BYTES))
  }
}

/** A key whose value is still to come. */
const entryOf = (key: RdbKey): Mutable<RdbEntry> => ({
  db: key.db,
  key: key.key,
  expiresAt: key.expiresAt,
  frequency: key.frequency,
  idleSeconds: key.idleSeconds,
  code: key.code,
  start: key.start,
  end: 0,
  type: 'string',
  digest: undefined,
  module: undefined,
  fieldsExpireFrom: undefined,
})

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** What the first bytes of a file say of it. @throws HoldfastError HF_SOURCE_DAMAGED, HF_SOURCE_UNSUPPORTED */
export function parseHeader(bytes: Buffer): { readonly dialect: RdbDialect; readonly version: number } {
  const found = /^(?:REDIS(\d{4})|VALKEY(\d{3}))$/.exec(bytes.toString('latin1'))
  if (found === null) throw damaged(0, 'it does not begin as an RDB file')
  const dialect: RdbDialect = found[1] === undefined ? 'valkey' : 'redis'
  const version = Number(found[1] ?? found[2])
  const [oldest, newest] = versions[dialect]
  if (version < oldest || version > newest) throw unknownFormat(5, `version ${version} of ${dialect} is not known`)
  return { dialect, version }
}

/** Reads a whole file for `observer`. @throws HoldfastError as RdbReader */
export async function readRdb(input: AsyncIterable<Uint8Array>, observer: RdbObserver): Promise<RdbSummary> {
  const reader = new RdbReader(observer)
  for await (const chunk of input) reader.push(chunk)
  return reader.end()
}

/** A copy that stays valid, of what is short. */
const copyOf = (content: Content): Buffer | undefined =>
  content instanceof Uint8Array && content.length <= MAX_AUX_BYTES ? Buffer.from(content) : undefined

const hex = (value: bigint): string => value.toString(16).padStart(16, '0')
