import { throwIfInterrupted } from '../../../engine/storage/interruption.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { SourceRestoreObserver } from '../../restore.ts'
import type { RedisClient } from '../client.ts'
import { keyText } from '../key-text.ts'
import { Crc64 } from '../rdb/crc64.ts'
import type { RdbKey } from '../rdb/entry.ts'
import { OPCODE } from '../rdb/reader.ts'
import { RdbSplitter } from '../rdb/splitter.ts'
import { encodeLength } from '../rdb/writer.ts'
import { encodeCommand, type Reply, ReplyError, readReply } from '../resp.ts'
import type { Selection } from '../selection.ts'
import type { Survey } from '../survey.ts'

/** Keys that are written one by one. */
export interface KeyWriting {
  readonly client: RedisClient
  readonly rdb: AsyncIterable<Uint8Array>
  readonly selection: Selection
  readonly survey: Survey
  /** The version payloads name: one that the server accepts. */
  readonly version: number
  readonly replace: boolean
  /** Milliseconds since 1970: what has expired by then is left out. */
  readonly now: bigint
  readonly observer: Pick<SourceRestoreObserver, 'onError' | 'onProgress'>
  readonly signal?: AbortSignal | undefined
}

export interface WrittenKeys {
  readonly keys: number
  readonly bytes: number
  /** Left out because their time had passed. */
  readonly expired: number
  readonly errors: number
}

/** Version and checksum behind a value. */
const FOOTER_BYTES = 10
/** Replies that are waited for at a time, at least. */
const MAX_OPEN = 1000
const BREAK = Buffer.from('\r\n')
/** Errors after which no further key can be written. */
const FATAL = /^(?:NOPERM|NOAUTH|READONLY|OOM|MISCONF|MASTERDOWN|LOADING|CLUSTERDOWN|NOREPLICAS)/

/**
 * Writes keys into a running server with RESTORE, whose payload is the value as it stands in the RDB file, with a version and a checksum
 * (dumpCommand, restoreCommand in cluster.c of Redis 7.0). Commands are sent many at a time; long values go through piece by piece.
 *
 * A key that the server does not take is told to the observer, and the others go on.
 * @throws HoldfastError HF_RESTORE_FAILED when none can be written any more, HF_INTERRUPTED
 */
export async function writeKeys(writing: KeyWriting): Promise<WrittenKeys> {
  const { rdb, observer, survey, signal } = writing
  const commands = new Commands(writing)
  for await (const chunk of rdb) {
    throwIfInterrupted(signal)
    commands.push(chunk)
    await commands.flush(MAX_OPEN)
    observer.onProgress({ bytes: commands.bytes, totalBytes: survey.bytes })
  }
  commands.end()
  await commands.flush(0)
  return { keys: commands.keys, bytes: commands.bytes, expired: commands.expired, errors: commands.errors }
}

class Commands {
  readonly #writing: KeyWriting
  readonly #splitter: RdbSplitter
  readonly #tail: readonly string[]
  readonly #libraries: Uint8Array[] = []
  #pieces: Uint8Array[] = []
  /** What the replies to come are to: commands that have been sent, or at least begun. */
  #open: (RdbKey | string)[] = []
  #db: number | undefined
  #isLong = false
  #value: Uint8Array[] = []
  #crc = new Crc64()
  keys = 0
  bytes = 0
  expired = 0
  errors = 0

  constructor(writing: KeyWriting) {
    this.#writing = writing
    this.#tail = [...(writing.replace ? ['REPLACE'] : []), 'ABSTTL']
    this.#splitter = new RdbSplitter({
      onLibrary: (code) => this.#libraries.push(Buffer.of(OPCODE.function), encodeLength(code.length), code),
      onKey: (key) => this.#begin(key),
      onValue: (bytes) => {
        if (!this.#isLong) {
          this.#value.push(bytes)
          return
        }
        this.#crc.update(bytes)
        this.#pieces.push(bytes)
      },
      onEntry: (entry) => this.#end(entry),
    })
  }

  push(chunk: Uint8Array): void {
    this.#splitter.push(chunk)
  }

  end(): void {
    this.#splitter.end()
    const { selection, replace } = this.#writing
    if (this.#libraries.length === 0 || !selection.hasFunctions) return
    const code = Buffer.concat(this.#libraries)
    const payload = Buffer.concat([code, this.#footer(new Crc64().update(code))])
    this.#pieces.push(encodeCommand(['FUNCTION', 'RESTORE', payload, replace ? 'REPLACE' : 'APPEND']))
    this.#open.push('functions')
  }

  /** Sends what there is, and reads replies if more than `limit` are open. */
  async flush(limit: number): Promise<void> {
    const { client } = this.#writing
    const pieces = this.#pieces
    this.#pieces = []
    await client.write(Buffer.concat(pieces))
    if (this.#open.length <= limit) return
    const open = this.#open
    this.#open = []
    // The last one may still be on its way, when its value is long.
    if (this.#isLong) this.#open.push(open.pop()!)
    for (const asked of open) this.#take(asked, await readReply(client.reader))
  }

  #begin(key: RdbKey): boolean {
    const { selection, survey, now } = this.#writing
    if (!selection.wants(key.key)) return false
    if (key.expiresAt !== undefined && key.expiresAt <= now) {
      this.expired++
      return false
    }
    const db = selection.databaseOf(key.db)
    if (db !== this.#db) {
      this.#pieces.push(encodeCommand(['SELECT', String(db)]))
      this.#open.push(`database ${db}`)
      this.#db = db
    }
    this.#crc = new Crc64().update(Buffer.of(key.code))
    const long = survey.longValues.get(key.start)
    this.#isLong = long !== undefined
    if (long !== undefined) {
      this.#open.push(key)
      const head = encodeCommand(['RESTORE', key.key, ttlOf(key)]).subarray(`*3${'\r\n'}`.length)
      const count = 4 + this.#tail.length
      this.#pieces.push(Buffer.from(`*${count}\r\n`), head)
      this.#pieces.push(Buffer.from(`$${1 + long + FOOTER_BYTES}\r\n`), Buffer.of(key.code))
    }
    return true
  }

  #end(entry: RdbKey & { readonly end: number }): void {
    if (this.#isLong) {
      this.#pieces.push(this.#footer(this.#crc), BREAK)
      this.#pieces.push(encodeCommand(this.#tail).subarray(`*${this.#tail.length}\r\n`.length))
    } else {
      const value = Buffer.concat([Buffer.of(entry.code), ...this.#value])
      const payload = Buffer.concat([value, this.#footer(new Crc64().update(value))])
      this.#pieces.push(encodeCommand(['RESTORE', entry.key, ttlOf(entry), payload, ...this.#tail]))
      this.#open.push(entry)
    }
    this.#isLong = false
    this.#value = []
    this.keys++
    this.bytes += entry.end - entry.start + entry.key.length
  }

  /** `crc`: of what comes before; the version is added. */
  #footer(crc: Crc64): Buffer {
    const footer = Buffer.alloc(FOOTER_BYTES)
    footer.writeUInt16LE(this.#writing.version)
    footer.writeBigUInt64LE(crc.update(footer.subarray(0, 2)).value, 2)
    return footer
  }

  #take(asked: RdbKey | string, reply: Reply): void {
    if (!(reply instanceof ReplyError)) return
    const { client, observer } = this.#writing
    const name = typeof asked === 'string' ? asked : `key ${keyText(asked.key)} of database ${asked.db}`
    const what = reply.code === 'BUSYKEY' ? 'it is there already' : reply.message
    const error = new HoldfastError('HF_RESTORE_FAILED', `${client.server} does not take ${name}: ${what}`, {
      hint: reply.code === 'BUSYKEY' ? 'allow it to be replaced with --overwrite' : 'the other keys are not concerned',
    })
    // Keys behind a database that cannot be had would go into another one.
    if (FATAL.test(reply.message) || (typeof asked === 'string' && asked !== 'functions'))
      throw new HoldfastError(error.code, error.message, {
        hint: 'nothing more can be written: put that right, and run it again',
      })
    this.errors++
    if (typeof asked !== 'string') this.keys--
    observer.onError(name, error)
  }
}

const ttlOf = ({ expiresAt }: RdbKey): string => String(expiresAt ?? 0n)
