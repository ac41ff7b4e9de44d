import type { RedisClient } from '../client.ts'
import type { RdbKey } from '../rdb/entry.ts'
import { RdbReader } from '../rdb/reader.ts'
import { encodeCommand, readReply } from '../resp.ts'
import type { Selection } from '../selection.ts'

type Place = Pick<RdbKey, 'db' | 'key'>

/** Which of the selected keys a server has already: how many, and the first of them, with the databases they are in there. */
export async function existingKeys(
  client: RedisClient,
  rdb: AsyncIterable<Uint8Array>,
  selection: Selection,
  limit: number,
): Promise<{ readonly count: number; readonly first: readonly Place[] }> {
  let count = 0
  const first: Place[] = []
  let asked: (Place | undefined)[] = []
  let commands: Buffer[] = []
  let current: number | undefined
  const reader = new RdbReader({
    onEntry: ({ db, key }) => {
      if (!selection.wants(key)) return
      const target = selection.databaseOf(db)
      if (target !== current) {
        commands.push(encodeCommand(['SELECT', String(target)]))
        asked.push(undefined)
        current = target
      }
      commands.push(encodeCommand(['EXISTS', key]))
      asked.push({ db: target, key })
    },
  })
  for await (const chunk of rdb) {
    reader.push(chunk)
    await client.write(Buffer.concat(commands))
    commands = []
    for (const place of asked) {
      if ((await readReply(client.reader)) !== 1n || place === undefined) continue
      count++
      if (first.length < limit) first.push(place)
    }
    asked = []
  }
  reader.end()
  return { count, first }
}
