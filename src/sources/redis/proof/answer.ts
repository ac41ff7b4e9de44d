import { HoldfastError } from '../../../lib/errors.ts'
import type { AssertionAnswer } from '../../proof.ts'
import type { RedisClient } from '../client.ts'
import { type Reply, ReplyError } from '../resp.ts'

/**
 * What a command replies, if it only reads.
 * @throws HoldfastError HF_ASSERTION_INVALID for a command that is none, may write or wait, or is refused
 */
export async function answerCommand(client: RedisClient, command: readonly string[]): Promise<AssertionAnswer> {
  const name = command.join(' ')
  const flags = await flagsOf(client, command)
  if (flags === undefined) throw invalid(`${name}: the server knows no such command`)
  if (!flags.has('readonly') || flags.has('write')) throw invalid(`${name}: it is no command that only reads`)
  if (flags.has('blocking')) throw invalid(`${name}: it may wait for ever`)
  const reply = await client.ask(...command)
  if (reply instanceof ReplyError) throw invalid(`${name}: ${reply.message}`)
  const rows = Array.isArray(reply) ? (reply as readonly Reply[]).map(plain) : [plain(reply)]
  return { value: rows[0] ?? null, rows }
}

/** The flags of a command, or of its subcommand, as COMMAND INFO has them. */
async function flagsOf(
  client: RedisClient,
  [name = '', second]: readonly string[],
): Promise<ReadonlySet<string> | undefined> {
  const asked = second === undefined || second === '' ? [name] : [name, `${name}|${second}`]
  const reply = await client.command('COMMAND', 'INFO', ...asked)
  const [own, below] = (Array.isArray(reply) ? reply : []) as readonly Reply[]
  const entry = Array.isArray(below) ? below : own
  const flags = Array.isArray(entry) ? (entry as readonly Reply[])[2] : undefined
  return Array.isArray(flags) ? new Set((flags as readonly Reply[]).map(String)) : undefined
}

/** A reply as an expression sees it: text, numbers, null, lists. */
function plain(reply: Reply): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString()
  if (typeof reply === 'bigint') return Number.isSafeInteger(Number(reply)) ? Number(reply) : reply
  if (reply instanceof ReplyError) return null
  return Array.isArray(reply) ? (reply as readonly Reply[]).map(plain) : reply
}

const invalid = (what: string): HoldfastError =>
  new HoldfastError('HF_ASSERTION_INVALID', what, {
    hint: 'assertions are commands that only read, like DBSIZE, GET, EXISTS, HLEN, ZCARD; of database 0',
  })
