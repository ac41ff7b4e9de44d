import { HoldfastError } from '../../../lib/errors.ts'
import type { RedisClient } from '../client.ts'
import { convertValue } from '../rdb/convert.ts'
import { Crc64 } from '../rdb/crc64.ts'
import type { RdbKey } from '../rdb/entry.ts'
import { OPCODE } from '../rdb/reader.ts'
import { encodeLength } from '../rdb/writer.ts'
import { type Payload, payloadFor, payloadVersion, type RdbFormat } from '../rdb-versions.ts'
import { encodeCommand, type Reply, readReply } from '../resp.ts'
import type { ServerFacts } from '../server.ts'

/** What a reply is to. */
export type Asked =
  | { readonly kind: 'key'; readonly key: RdbKey; readonly bytes: number }
  | { readonly kind: 'functions' }
  /** What comes before a key: without it, the key would go elsewhere. */
  | { readonly kind: 'setting'; readonly name: string }

export interface KeyTargetOptions {
  readonly client: RedisClient
  readonly server: Pick<ServerFacts, 'kind' | 'version'>
  /** Of the file the values are from. */
  readonly format: RdbFormat
  readonly replace: boolean
  /** Whether keys are for slots that are being moved to this node: else it would refuse them. */
  readonly isAsking?: boolean
}

/** Version and checksum behind a value. */
const FOOTER_BYTES = 10
const BREAK = Buffer.from('\r\n')

/** The value that is being sent. */
interface OpenValue {
  readonly key: RdbKey
  readonly payload: Payload
  /** Whether it is converted: then it is held until it is whole. */
  readonly isConverted: boolean
  readonly isLong: boolean
  readonly pieces: Uint8Array[]
  readonly crc: Crc64
  bytes: number
}

/**
 * Writes keys into one server with RESTORE, whose payload is the value as it stands in the RDB file, or converted where the server is too old for
 * that, with a version and a checksum (dumpCommand, restoreCommand in cluster.c of Redis 7.0). Many are under way at a time; long values go
 * through piece by piece.
 */
export class KeyTarget {
  readonly client: RedisClient
  readonly #options: KeyTargetOptions
  readonly #tail: readonly string[]
  /** How values of a type are given to it. */
  readonly #payloads = new Map<number, Payload>()
  #pieces: Uint8Array[] = []
  /** What the replies to come are to: commands that have been sent, or at least begun. */
  #open: Asked[] = []
  #db: number | undefined
  #value: OpenValue | undefined

  constructor(options: KeyTargetOptions) {
    this.#options = options
    this.client = options.client
    this.#tail = [...(options.replace ? ['REPLACE'] : []), 'ABSTTL']
  }

  /** A key whose value comes next. `longBytes`: of a value that is too long to be held. */
  begin(key: RdbKey, db: number, longBytes: number | undefined): void {
    if (db !== this.#db) this.#set(`database ${db}`, 'SELECT', String(db))
    this.#db = db
    const payload = this.#payloadOf(key.code)
    const isConverted = payload.code !== key.code || payload.dialect !== this.#options.format.dialect
    const isLong = longBytes !== undefined && !isConverted
    this.#value = {
      key,
      payload,
      isConverted,
      isLong,
      pieces: [],
      crc: new Crc64().update(Buffer.of(payload.code)),
      bytes: 0,
    }
    if (!isLong) return
    this.#ask()
    this.#open.push({ kind: 'key', key, bytes: longBytes })
    const head = encodeCommand(['RESTORE', key.key, ttlOf(key)]).subarray(`*3${'\r\n'}`.length)
    this.#pieces.push(Buffer.from(`*${4 + this.#tail.length}\r\n`), head)
    this.#pieces.push(Buffer.from(`$${1 + longBytes + FOOTER_BYTES}\r\n`), Buffer.of(payload.code))
  }

  value(bytes: Uint8Array): void {
    const value = this.#value!
    value.bytes += bytes.length
    if (!value.isLong) {
      value.pieces.push(bytes)
      return
    }
    value.crc.update(bytes)
    this.#pieces.push(bytes)
  }

  /** The value is complete. */
  end(): void {
    const { key, payload, isConverted, isLong, pieces, crc, bytes } = this.#value!
    this.#value = undefined
    if (isLong) {
      this.#pieces.push(footer(crc, payload.version), BREAK)
      this.#pieces.push(encodeCommand(this.#tail).subarray(`*${this.#tail.length}\r\n`.length))
      return
    }
    const { format } = this.#options
    const whole = Buffer.concat(pieces)
    const value = isConverted
      ? convertValue(whole, { dialect: format.dialect, code: key.code }, payload)
      : { code: payload.code, bytes: whole }
    const body = Buffer.concat([Buffer.of(value.code), value.bytes])
    const dump = Buffer.concat([body, footer(new Crc64().update(body), payload.version)])
    this.#ask()
    this.#pieces.push(encodeCommand(['RESTORE', key.key, ttlOf(key), dump, ...this.#tail]))
    this.#open.push({ kind: 'key', key, bytes })
  }

  /** Libraries of functions. */
  functions(libraries: readonly Uint8Array[]): void {
    const { server, format, replace } = this.#options
    const parts = libraries.flatMap((code) => [Buffer.of(OPCODE.function), encodeLength(code.length), code])
    const code = Buffer.concat(parts)
    const payload = Buffer.concat([code, footer(new Crc64().update(code), payloadVersion(server, format))])
    this.#pieces.push(encodeCommand(['FUNCTION', 'RESTORE', payload, replace ? 'REPLACE' : 'APPEND']))
    this.#open.push({ kind: 'functions' })
  }

  /** Sends what there is, and reads replies if more than `limit` are open. */
  async flush(limit: number, take: (asked: Asked, reply: Reply) => void): Promise<void> {
    const pieces = this.#pieces
    this.#pieces = []
    if (pieces.length > 0) await this.client.write(Buffer.concat(pieces))
    if (this.#open.length <= limit) return
    const open = this.#open
    this.#open = []
    // The last one may still be on its way, when its value is long.
    if (this.#value?.isLong === true) this.#open.push(open.pop()!)
    for (const asked of open) take(asked, await readReply(this.client.reader))
  }

  #payloadOf(code: number): Payload {
    const { server, format } = this.#options
    const known = this.#payloads.get(code)
    if (known !== undefined) return known
    const payload = payloadFor(server, format, code)
    if (payload === undefined)
      throw new HoldfastError(
        'HF_RESTORE_FAILED',
        `${this.client.server} does not know how values of type ${code} are encoded`,
        {
          hint: 'a node that is older than the others has come in meanwhile: plan it again',
        },
      )
    this.#payloads.set(code, payload)
    return payload
  }

  #ask(): void {
    if (this.#options.isAsking === true) this.#set('a slot that is being moved', 'ASKING')
  }

  #set(name: string, ...command: readonly string[]): void {
    this.#pieces.push(encodeCommand(command))
    this.#open.push({ kind: 'setting', name })
  }
}

const ttlOf = ({ expiresAt }: RdbKey): string => String(expiresAt ?? 0n)

/** `crc`: of what comes before; the version is added. */
function footer(crc: Crc64, version: number): Buffer {
  const bytes = Buffer.alloc(FOOTER_BYTES)
  bytes.writeUInt16LE(version)
  bytes.writeBigUInt64LE(crc.update(bytes.subarray(0, 2)).value, 2)
  return bytes
}
