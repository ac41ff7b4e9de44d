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
import { CommandBuffer } from './command-buffer.ts'

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
const RESTORE = '$7\r\nRESTORE\r\n'
const OK = Buffer.from('+OK\r\n')

/** The value that is being sent. */
interface OpenValue {
  readonly key: RdbKey
  readonly payload: Payload
  /** Whether it is converted: then it is held until it is whole. */
  readonly isConverted: boolean
  readonly isLong: boolean
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
  /** What follows a payload: how many arguments, and they. */
  readonly #tail: { readonly args: number; readonly text: string }
  /** How values of a type are given to it. */
  readonly #payloads = new Map<number, Payload>()
  readonly #commands = new CommandBuffer()
  readonly #crc = new Crc64()
  /** Of the value that is being sent, unless it is long. */
  #pieces: Uint8Array[] = []
  /** What the replies to come are to: commands that have been sent, or at least begun. */
  #open: Asked[] = []
  #db: number | undefined
  #value: OpenValue | undefined

  constructor(options: KeyTargetOptions) {
    this.#options = options
    this.client = options.client
    this.#tail = {
      args: options.replace ? 2 : 1,
      text: `${options.replace ? '$7\r\nREPLACE\r\n' : ''}$6\r\nABSTTL\r\n`,
    }
  }

  /** A key whose value comes next. `longBytes`: of a value that is too long to be held. */
  begin(key: RdbKey, db: number, longBytes: number | undefined): void {
    if (db !== this.#db) this.#set(`database ${db}`, 'SELECT', String(db))
    this.#db = db
    const payload = this.#payloadOf(key.code)
    const isConverted = payload.code !== key.code || payload.dialect !== this.#options.format.dialect
    const isLong = longBytes !== undefined && !isConverted
    this.#value = { key, payload, isConverted, isLong, bytes: 0 }
    if (isLong) this.#restore(key, payload.code, longBytes)
  }

  value(bytes: Uint8Array): void {
    const value = this.#value!
    value.bytes += bytes.length
    if (value.isLong) {
      this.#crc.update(bytes)
      this.#commands.raw(bytes)
    } else this.#pieces.push(bytes)
  }

  /** The value is complete. */
  end(): void {
    const { key, payload, isConverted, isLong, bytes } = this.#value!
    this.#value = undefined
    if (!isLong) {
      const { format } = this.#options
      const pieces = this.#pieces
      this.#pieces = []
      if (isConverted) {
        const from = { dialect: format.dialect, code: key.code }
        const converted = convertValue(Buffer.concat(pieces), from, payload)
        this.#restore(key, converted.code, converted.bytes.length, bytes)
        this.#add(converted.bytes)
      } else {
        this.#restore(key, payload.code, bytes)
        for (const piece of pieces) this.#add(piece)
      }
    }
    this.#footer(payload.version)
    this.#commands.text(this.#tail.text)
  }

  /** Libraries of functions. */
  functions(libraries: readonly Uint8Array[]): void {
    const { server, format, replace } = this.#options
    const heads = libraries.map((code) => Buffer.concat([Buffer.of(OPCODE.function), encodeLength(code.length)]))
    const bytes = libraries.reduce((sum, code, i) => sum + heads[i]!.length + code.length, 0)
    this.#commands.command(4)
    this.#commands.text('$8\r\nFUNCTION\r\n$7\r\nRESTORE\r\n')
    this.#commands.argument(bytes + FOOTER_BYTES)
    this.#crc.reset()
    for (const [i, code] of libraries.entries()) {
      this.#add(heads[i]!)
      this.#add(code)
    }
    this.#footer(payloadVersion(server, format))
    this.#commands.text(replace ? '$7\r\nREPLACE\r\n' : '$6\r\nAPPEND\r\n')
    this.#open.push({ kind: 'functions' })
  }

  /** Sends what there is, and reads replies if more than `limit` are open. */
  async flush(limit: number, take: (asked: Asked, reply: Reply) => void): Promise<void> {
    await this.client.write(this.#commands.take())
    if (this.#open.length <= limit) return
    const open = this.#open
    this.#open = []
    // The last one may still be on its way, when its value is long.
    if (this.#value?.isLong === true) this.#open.push(open.pop()!)
    const { reader } = this.client
    for (const asked of open) take(asked, reader.skip(OK) ? 'OK' : await readReply(reader))
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

  /** A command up to its value, of `bytes`; `stored` of them stand in the file. */
  #restore(key: RdbKey, code: number, bytes: number, stored: number = bytes): void {
    if (this.#options.isAsking === true) this.#set('a slot that is being moved', 'ASKING')
    this.#open.push({ kind: 'key', key, bytes: stored })
    const commands = this.#commands
    const ttl = key.expiresAt === undefined ? '0' : String(key.expiresAt)
    commands.command(4 + this.#tail.args)
    commands.text(RESTORE)
    commands.string(key.key)
    commands.text(`$${ttl.length}\r\n${ttl}\r\n`)
    commands.argument(1 + bytes + FOOTER_BYTES)
    const start = commands.length
    commands.byte(code)
    this.#crc.reset().update(commands.since(start))
  }

  #add(bytes: Uint8Array): void {
    this.#crc.update(bytes)
    this.#commands.raw(bytes)
  }

  /** Version and checksum, and the end of the payload. */
  #footer(version: number): void {
    const footer = Buffer.allocUnsafe(FOOTER_BYTES)
    footer.writeUInt16LE(version)
    footer.writeBigUInt64LE(this.#crc.update(footer.subarray(0, 2)).value, 2)
    this.#commands.raw(footer)
    this.#commands.end()
  }

  #set(name: string, ...command: readonly string[]): void {
    this.#commands.raw(encodeCommand(command))
    this.#open.push({ kind: 'setting', name })
  }
}
