import { damaged } from './damage.ts'
import type { Message } from './digest.ts'
import type { RdbInput, Waiting } from './input.ts'
import { ListpackCursor } from './packed.ts'

/**
 * Streams (t_stream.c and rdb.c of Redis 7.0 and 7.2). Nodes of a radix tree: the id of the first entry and a listpack with entries relative to it; then
 * counters, consumer groups with what is pending, and consumers with theirs. All of it is in order of ids and names.
 *
 * What only later versions write is not part of the digest, as the loading server makes it up otherwise: the first id, the highest deleted id,
 * how many entries were ever added, how many a group has read, when a consumer was last active.
 */
const STREAM_KIND = 6
const ID_BYTES = 16
const IS_DELETED = 1n
const HAS_SAME_FIELDS = 2n
const MAX_FIELDS = 1n << 30n

export function* digestStream(input: RdbInput, message: Message, version: 1 | 2 | 3): Waiting<Uint8Array> {
  message.start(STREAM_KIND)
  const nodes = yield* input.length()
  let entries = 0
  for (let i = 0; i < nodes; i++) {
    const id = input.tryString() ?? (yield* input.whole())
    const offset = input.offset
    if (id.length !== ID_BYTES) throw damaged(offset, 'the id of a stream node is not 16 bytes long')
    const first = { milliseconds: id.readBigUInt64BE(0), sequence: id.readBigUInt64BE(8) }
    entries += addNode(message, first, new ListpackCursor(input.tryString() ?? (yield* input.whole()), offset), offset)
  }
  message.integer(entries)
  yield* input.length()
  message.int64(yield* input.unsigned()).int64(yield* input.unsigned())
  // First id, highest deleted id, entries ever added.
  if (version >= 2) for (let i = 0; i < 5; i++) yield* input.unsigned()
  const groups = yield* input.length()
  message.integer(groups)
  for (let i = 0; i < groups; i++) yield* addGroup(input, message, version)
  return message.digest()
}

/** Adds the entries of a node that are not deleted; how many there are. */
function addNode(
  message: Message,
  first: { readonly milliseconds: bigint; readonly sequence: bigint },
  cursor: ListpackCursor,
  offset: number,
): number {
  const next = (): ListpackCursor => {
    if (!cursor.advance()) throw damaged(offset, 'a stream node ends within an entry')
    return cursor
  }
  const count = (): number => {
    const value = next().integer()
    if (value < 0n || value > MAX_FIELDS) throw damaged(offset, `a stream entry cannot have ${value} fields`)
    return Number(value)
  }
  // How many entries are there and how many deleted: the entries say so themselves.
  next()
  next()
  const commonFields: Buffer[] = []
  for (let left = count(); left > 0; left--) commonFields.push(next().content())
  next()
  let entries = 0
  while (cursor.advance()) {
    const flags = cursor.integer()
    const milliseconds = first.milliseconds + next().integer()
    const sequence = first.sequence + next().integer()
    const hasSameFields = (flags & HAS_SAME_FIELDS) !== 0n
    const isDeleted = (flags & IS_DELETED) !== 0n
    const fields = hasSameFields ? commonFields.length : count()
    if (!isDeleted) {
      message.int64(milliseconds).int64(sequence).integer(fields)
      entries++
    }
    for (let i = 0; i < fields; i++) {
      if (!hasSameFields) next()
      if (!isDeleted) {
        if (hasSameFields) message.content(commonFields[i]!)
        else cursor.addTo(message)
      }
      next()
      if (!isDeleted) cursor.addTo(message)
    }
    // How many items the entry has, for reading backwards.
    next()
  }
  return entries
}

function* addGroup(input: RdbInput, message: Message, version: 1 | 2 | 3): Waiting<void> {
  message.content(input.tryString() ?? (yield* input.string()))
  message.int64(yield* input.unsigned()).int64(yield* input.unsigned())
  if (version >= 2) yield* input.unsigned()
  const pending = yield* input.length()
  message.integer(pending)
  for (let i = 0; i < pending; i++) {
    message.raw(yield* input.take(ID_BYTES))
    message.int64(yield* input.int64()).int64(yield* input.unsigned())
  }
  const consumers = yield* input.length()
  message.integer(consumers)
  for (let i = 0; i < consumers; i++) {
    message.content(input.tryString() ?? (yield* input.string()))
    message.int64(yield* input.int64())
    if (version === 3) yield* input.int64()
    const owned = yield* input.length()
    message.integer(owned)
    for (let j = 0; j < owned; j++) message.raw(yield* input.take(ID_BYTES))
  }
}
