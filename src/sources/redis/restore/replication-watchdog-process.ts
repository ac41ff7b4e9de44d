import { monotonicMilliseconds, systemClock } from '../../../lib/clock.ts'
import { RedisClient } from '../client.ts'
import { parseInfo } from '../server.ts'
import type { ReplicationWatch } from './replication-watchdog.ts'

/**
 * A process of its own beside a restore that a server takes as from its master. Its standard input says what to do, and ends when the process
 * that restores ends; then the server becomes a master again, with the password for masters that it had. What somebody else has set meanwhile
 * stays.
 */

/** A server that loads gigabytes refuses everything meanwhile. */
const PATIENCE_MS = 3_600_000
/** One that is gone comes up without what was set: it is in no file. */
const ABSENCE_MS = 60_000
const POLL_MS = 250

async function putBack(client: RedisClient, { master, token, masterauth }: ReplicationWatch): Promise<void> {
  const info = parseInfo(String(await client.command('INFO', 'replication')))
  if (info.get('master_host') === master.host && info.get('master_port') === String(master.port))
    await client.command('REPLICAOF', 'NO', 'ONE')
  const reply = await client.command('CONFIG', 'GET', 'masterauth')
  if (Array.isArray(reply) && String(reply[1]) === token)
    await client.command('CONFIG', 'SET', 'masterauth', masterauth)
}

async function watch(asked: ReplicationWatch): Promise<void> {
  const end = monotonicMilliseconds() + PATIENCE_MS
  let seen = monotonicMilliseconds()
  while (monotonicMilliseconds() < end && monotonicMilliseconds() - seen < ABSENCE_MS) {
    try {
      using client = await RedisClient.connect(asked.connection)
      seen = monotonicMilliseconds()
      await putBack(client, asked)
      return
    } catch {
      await systemClock.sleep(POLL_MS)
    }
  }
}

const pieces: Buffer[] = []
for await (const piece of process.stdin) pieces.push(piece)
const text = Buffer.concat(pieces).toString()
// Whoever ended before it was written whole had not begun.
if (text.endsWith('}')) await watch(JSON.parse(text) as ReplicationWatch)
