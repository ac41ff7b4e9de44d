import { HoldfastError } from '../../lib/errors.ts'
import type { RedisClient } from './client.ts'
import { refusal } from './refusals.ts'
import { noReply, ReplyError } from './resp.ts'
import type { SocketReader } from './socket-reader.ts'

/**
 * The way a replica gets an RDB file (replication.c of Redis 7.0: syncCommand, replicationSetupSlaveForFullResync, readSyncBulkPayload).
 *
 * - `capa eof` lets the server stream from memory to socket; without it, it would write its real dump.rdb first.
 * - `rdb-only` (since Redis 7.0) has it close the connection after the file. Older servers refuse the option and would go on with the replication
 *   stream, at the latest once we acknowledged the file, which we never do.
 * - Valkey 9 writes RDB version 11 for whoever names no version, and fails at hashes with expiring fields.
 * - A name no address can have keeps sentinels from taking us for a replica: they would list one at port 0, down for ever, after any transfer
 *   that lasts longer than their interval of 10 s. For the same reason there is no `listening-port`.
 */
export interface RdbTransfer {
  /** Of the history the file is a state of; undefined from a server that only knows SYNC. */
  readonly replicationId: string | undefined
  /** Where in that history: the first byte that is not in the file is at `offset` + 1. */
  readonly offset: bigint | undefined
  /** Whether the server streamed it from memory, or from its disk. */
  readonly isDiskless: boolean
  /** The file. To be read once, to its end, in time: a server gives up a replica that takes nothing for `repl-timeout`. */
  readonly bytes: AsyncIterable<Uint8Array>
}

const MARK_BYTES = 40
/** RFC 2606 keeps `.invalid` from ever being given to anybody. */
const OUR_NAME = 'holdfast.invalid'
const MAX_LINE_BYTES = 64 * 1024

/** `version`: of a Valkey server. @throws HoldfastError with a hint when the server refuses */
export async function startTransfer(client: RedisClient, version: string | undefined): Promise<RdbTransfer> {
  await client.command('PING')
  await client.command('REPLCONF', 'capa', 'eof')
  await tolerated(client, 'REPLCONF', 'ip-address', OUR_NAME)
  if (version !== undefined) await tolerated(client, 'REPLCONF', 'version', version)
  await tolerated(client, 'REPLCONF', 'rdb-only', '1')
  client.send('PSYNC', '?', '-1')
  let line = await nextLine(client.reader)
  let replicationId: string | undefined
  let offset: bigint | undefined
  const found = /^\+FULLRESYNC ([0-9a-f]{40}) (-?\d{1,19})(?: |$)/i.exec(line)
  if (found !== null) {
    replicationId = found[1]!
    offset = BigInt(found[2]!)
    line = await nextLine(client.reader)
  } else if (/^-ERR unknown command/i.test(line)) {
    client.send('SYNC')
    line = await nextLine(client.reader)
  }
  if (line.startsWith('-'))
    throw refusal(client, replicationId === undefined ? 'PSYNC' : 'a copy', new ReplyError(line.slice(1)))
  const mark = /^\$EOF:(.{40})$/s.exec(line)?.[1]
  if (mark !== undefined) {
    const bytes = untilMark(client.reader, Buffer.from(mark, 'latin1'), client.server)
    return { replicationId, offset, isDiskless: true, bytes }
  }
  if (!/^\$\d{1,15}$/.test(line)) throw noReply(line)
  const bytes = counted(client.reader, Number(line.slice(1)), client.server)
  return { replicationId, offset, isDiskless: false, bytes }
}

/**
 * Whether the server would start a transfer for this user now: it must refuse one while a reply is on its way, once rights and link are checked.
 * @returns its error if that is another one
 */
export async function probeTransfer(client: RedisClient): Promise<ReplyError | undefined> {
  for (const command of [['REPLCONF', 'capa', 'eof'], ['PING']]) {
    const reply = await client.ask(...command)
    if (reply instanceof ReplyError) return reply
  }
  client.sendAll(['PING'], ['PSYNC', '?', '-1'])
  await nextLine(client.reader)
  const line = await nextLine(client.reader)
  return line.startsWith('-') && !line.includes('pending output') ? new ReplyError(line.slice(1)) : undefined
}

/** Sends what older servers do not know; a right that is missing is another matter. */
async function tolerated(client: RedisClient, ...args: readonly string[]): Promise<void> {
  const reply = await client.ask(...args)
  if (reply instanceof ReplyError && reply.code !== 'ERR') throw refusal(client, args[0]!, reply)
}

/** The next line that is not one of the empty ones a server sends while it gets ready. */
async function nextLine(reader: SocketReader): Promise<string> {
  for (;;) {
    const line = await reader.line(MAX_LINE_BYTES)
    if (line !== '') return line
  }
}

async function* counted(reader: SocketReader, length: number, server: string): AsyncGenerator<Uint8Array> {
  for (let left = length; left > 0; ) {
    const piece = await reader.piece()
    if (piece === undefined) throw cutOff(server, `${left} of ${length} bytes are missing`)
    const part = piece.subarray(0, left)
    left -= part.length
    yield part
  }
}

/** All bytes before `mark`, which may come in two pieces. */
async function* untilMark(reader: SocketReader, mark: Buffer, server: string): AsyncGenerator<Uint8Array> {
  let held: Buffer = Buffer.alloc(0)
  for (;;) {
    const piece = await reader.piece()
    if (piece === undefined) throw cutOff(server, 'its end did not come')
    const bytes = held.length === 0 ? piece : Buffer.concat([held, piece])
    const end = bytes.indexOf(mark)
    if (end >= 0) {
      if (end > 0) yield bytes.subarray(0, end)
      return
    }
    const certain = Math.max(0, bytes.length - (MARK_BYTES - 1))
    held = bytes.subarray(certain)
    if (certain > 0) yield bytes.subarray(0, certain)
  }
}

const cutOff = (server: string, what: string): HoldfastError =>
  new HoldfastError('HF_SOURCE_UNREACHABLE', `${server} closes the connection in the middle of its RDB: ${what}`, {
    hint: 'its log says why: often a lack of memory for the copy of the process (vm.overcommit_memory), `client-output-buffer-limit replica`, or a stop',
  })
