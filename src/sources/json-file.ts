import type { EntryAttributes, EntrySink } from '../engine/archive/entry-tree.ts'
import { textToByteString } from '../engine/repository/tree/node.ts'
import { utf8 } from '../lib/bytes.ts'

const OWNER_ONLY = 0o600

/** Stores what is to be known about a snapshot as a JSON file that its owner alone can read. `path` is its path in the snapshot, as text. */
export function storeJson(
  entries: EntrySink,
  path: string,
  value: object,
  attributes: Omit<EntryAttributes, 'mode'>,
): Promise<void> {
  const bytes = utf8(`${JSON.stringify(value, null, 2)}\n`)
  return entries.file(textToByteString(path), { ...attributes, mode: OWNER_ONLY }, once(bytes), { kind: 'content' })
}

/** Bytes that are there already, as a stream. */
export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
