import type { EntryAttributes, EntrySink } from '../engine/archive/entry-tree.ts'
import type { Repository } from '../engine/repository/repository.ts'
import { textToByteString } from '../engine/repository/tree/node.ts'
import { fileContent, findDumpSource } from '../engine/restore/dump/dump-snapshot.ts'
import { fromUtf8, utf8 } from '../lib/bytes.ts'
import { HoldfastError } from '../lib/errors.ts'
import type { Id } from '../lib/id.ts'

const OWNER_ONLY = 0o600
/** A manifest names every table or collection, with its columns or parts; no more than this is taken into memory. */
const MAX_JSON_BYTES = 256 * 1024 * 1024

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

/**
 * A JSON file of the snapshot with the root `tree`, as `storeJson` wrote it. `parse` checks its form, and throws when it is of another.
 * @throws HoldfastError HF_PATH_NOT_FOUND when it is not there or no file, HF_DATA_DAMAGED when it is of no form `parse` knows; whatever
 *   reading the repository throws
 */
export async function loadJson<T>(
  repository: Repository,
  tree: Id,
  path: string,
  parse: (value: unknown) => T,
  signal?: AbortSignal,
): Promise<T> {
  const found = await findDumpSource(repository, tree, textToByteString(path), signal)
  if (found.kind !== 'file') throw new HoldfastError('HF_PATH_NOT_FOUND', `path ${path} is a folder`)
  if (found.node.size > MAX_JSON_BYTES) throw unknownForm(path, new Error(`it has ${found.node.size} bytes`))
  const pieces: Uint8Array[] = []
  for await (const piece of fileContent(repository, found.node, signal)) pieces.push(piece)
  try {
    return parse(JSON.parse(fromUtf8(Buffer.concat(pieces))))
  } catch (cause) {
    throw unknownForm(path, cause)
  }
}

const unknownForm = (path: string, cause: unknown): HoldfastError =>
  new HoldfastError('HF_DATA_DAMAGED', `${path} of the snapshot is of no form this version knows`, {
    hint: 'was it written by a newer Holdfast? Use that one; "holdfast check --read-data" tells whether it is damaged',
    cause,
  })
