import type { RedisClient } from '../client.ts'
import { keyText } from '../key-text.ts'
import { keyCount } from '../plan-text.ts'
import type { RdbKey } from '../rdb/entry.ts'
import { readRdb } from '../rdb/reader.ts'
import { refusal } from '../refusals.ts'
import { encodeCommand, ReplyError, readReply } from '../resp.ts'
import type { Selection } from '../selection.ts'

type Place = Pick<RdbKey, 'db' | 'key'>

export interface ExistingKeys {
  readonly count: number
  /** The first of them, with the databases they are in there. */
  readonly first: readonly Place[]
}

/** Questions that one server has not been asked, or has not answered. */
interface Questions {
  commands: Buffer[]
  /** undefined: what selects a database. */
  asked: (Place | undefined)[]
  db: number | undefined
}

/**
 * Which of the selected keys are there already. `clientOf`: the server that a key would be in.
 * @throws HoldfastError with a hint, when a server refuses to say
 */
export async function existingKeys(
  clientOf: (key: Uint8Array) => RedisClient,
  rdb: AsyncIterable<Uint8Array>,
  selection: Selection,
  limit: number,
): Promise<ExistingKeys> {
  let count = 0
  const first: Place[] = []
  const servers = new Map<RedisClient, Questions>()
  const ask = ({ db, key }: Place): void => {
    const client = clientOf(key)
    let questions = servers.get(client)
    if (questions === undefined) {
      questions = { commands: [], asked: [], db: undefined }
      servers.set(client, questions)
    }
    if (db !== questions.db) {
      questions.commands.push(encodeCommand(['SELECT', String(db)]))
      questions.asked.push(undefined)
      questions.db = db
    }
    questions.commands.push(encodeCommand(['EXISTS', key]))
    questions.asked.push({ db, key })
  }
  const answer = async (client: RedisClient, questions: Questions): Promise<void> => {
    const { commands, asked } = questions
    questions.commands = []
    questions.asked = []
    await client.write(Buffer.concat(commands))
    for (const place of asked) {
      const reply = await readReply(client.reader)
      // A database that is not there is told as a problem of its own.
      if (reply instanceof ReplyError && place !== undefined) throw refusal(client, 'EXISTS', reply)
      if (reply !== 1n || place === undefined) continue
      count++
      if (first.length < limit) first.push(place)
    }
  }
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    for await (const piece of rdb) {
      yield piece
      await Promise.all([...servers].map(([client, questions]) => answer(client, questions)))
    }
  }
  await readRdb(pieces(), {
    onEntry: ({ db, key }) => {
      if (selection.wants(key)) ask({ db: selection.databaseOf(db), key })
    },
  })
  return { count, first }
}

/** The keys as a plan lists them. */
export const existingText = ({ count, first }: ExistingKeys): readonly string[] => [
  ...first.map(({ db, key }) => `${keyText(key)} of database ${db}`),
  ...(count > first.length ? [`${keyCount(count - first.length)} more`] : []),
]
