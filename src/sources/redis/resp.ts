import { HoldfastError } from '../../lib/errors.ts'
import type { SocketReader } from './socket-reader.ts'

/** The Redis serialization protocol, version 2: https://redis.io/docs/latest/develop/reference/protocol-spec/ */

/** An error a server replies with; `code` is its first word: `NOPERM`. */
export class ReplyError {
  readonly code: string
  readonly message: string

  constructor(message: string) {
    this.message = message
    this.code = /^[A-Z]+\b/.exec(message)?.[0] ?? 'ERR'
  }
}

export type Reply = string | bigint | Buffer | null | ReplyError | readonly Reply[]

const MAX_LINE_BYTES = 64 * 1024
/** Replies are small, except for what tests ask for: contents go another way. */
const MAX_BULK_BYTES = 64 * 1024 * 1024
const MAX_ITEMS = 1_000_000
const MAX_DEPTH = 8

const BREAK = Buffer.from('\r\n')

/** A command as servers take it. */
export function encodeCommand(args: readonly (string | Uint8Array)[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`*${args.length}\r\n`)]
  for (const arg of args) {
    const bytes = typeof arg === 'string' ? Buffer.from(arg) : arg
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, BREAK)
  }
  return Buffer.concat(parts)
}

/** The next reply. @throws HoldfastError HF_SOURCE_DAMAGED for what is none */
export async function readReply(reader: SocketReader, depth = 0): Promise<Reply> {
  const line = await reader.line(MAX_LINE_BYTES)
  const rest = line.slice(1)
  switch (line[0]) {
    case '+':
      return rest
    case '-':
      return new ReplyError(rest)
    case ':':
      if (!/^-?\d{1,20}$/.test(rest)) throw noReply(line)
      return BigInt(rest)
    case '$': {
      if (rest === '-1') return null
      const bytes = await reader.exactly(count(line, MAX_BULK_BYTES) + BREAK.length)
      return bytes.subarray(0, -BREAK.length)
    }
    case '*': {
      if (rest === '-1') return null
      if (depth === MAX_DEPTH) throw noReply(line)
      const items: Reply[] = []
      for (let left = count(line, MAX_ITEMS); left > 0; left--) items.push(await readReply(reader, depth + 1))
      return items
    }
    default:
      throw noReply(line)
  }
}

function count(line: string, limit: number): number {
  const value = Number(line.slice(1))
  if (!/^.\d{1,10}$/.test(line) || value > limit) throw noReply(line)
  return value
}

export const noReply = (line: string): HoldfastError =>
  new HoldfastError(
    'HF_SOURCE_DAMAGED',
    `what the server sent is no reply of Redis: ${JSON.stringify(line.slice(0, 80))}`,
    {
      hint: 'check that host and port are those of a Redis or Valkey server, and that TLS is on here exactly if it is there',
    },
  )
