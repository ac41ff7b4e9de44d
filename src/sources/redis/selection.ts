import { HoldfastError } from '../../lib/errors.ts'
import type { RestoreJob } from '../restore.ts'
import { keyPattern } from './glob.ts'
import { RdbSplitter } from './rdb/splitter.ts'
import type { RdbDialect } from './rdb/values.ts'
import { RdbWriter } from './rdb/writer.ts'

/** Which keys of a snapshot are wanted, and in which databases. */
export interface Selection {
  /** False when it is everything, as it was. */
  readonly isPartial: boolean
  wants(key: Uint8Array): boolean
  /** The number of the database that the keys of `db` go to. */
  databaseOf(db: number): number
  /** Functions are no keys: whoever names keys gets no functions. */
  readonly hasFunctions: boolean
}

const MAX_DATABASE = 2 ** 31 - 1

/** @throws HoldfastError HF_USAGE for renamings that are not of databases */
export function selectionOf({
  include,
  exclude,
  rename,
}: Pick<RestoreJob, 'include' | 'exclude' | 'rename'>): Selection {
  const included = include.map(keyPattern)
  const excluded = exclude.map(keyPattern)
  const databases = new Map(rename.map(({ from, to }) => [databaseNumber(from), databaseNumber(to)]))
  if (databases.size < rename.length)
    throw new HoldfastError('HF_USAGE', 'a database is renamed twice', {
      hint: 'name each database once: --rename 0=1',
    })
  return {
    isPartial: include.length + exclude.length + rename.length > 0,
    wants: (key) =>
      (included.length === 0 || included.some((fits) => fits(key))) && !excluded.some((fits) => fits(key)),
    databaseOf: (db) => databases.get(db) ?? db,
    hasFunctions: included.length === 0,
  }
}

function databaseNumber(text: string): number {
  const number = Number(text)
  if (/^\d{1,10}$/.test(text) && number <= MAX_DATABASE) return number
  throw new HoldfastError('HF_USAGE', `${JSON.stringify(text)} is no number of a database`, {
    hint: 'databases of Redis are numbers: --rename 0=1',
  })
}

/** Where the origin of a file is written: of a part of it, none of this is true. */
const IS_ORIGIN = /^repl-/

/**
 * The RDB file that holds what is selected of another one. Values are copied as they are; what modules keep outside of keys is left out, and
 * so is the place in the history of the server.
 *
 * @throws HoldfastError HF_SOURCE_DAMAGED, HF_SOURCE_UNSUPPORTED, before the last byte
 */
export async function* selectRdb(
  input: AsyncIterable<Uint8Array>,
  { dialect, version }: { readonly dialect: RdbDialect; readonly version: number },
  selection: Selection,
): AsyncGenerator<Uint8Array> {
  const writer = new RdbWriter(dialect, version)
  const splitter = new RdbSplitter({
    onAux: (name, value) => {
      if (!IS_ORIGIN.test(name.toString('latin1'))) writer.aux(name, value)
    },
    onLibrary: (code) => {
      if (selection.hasFunctions) writer.library(code)
    },
    onKey: (key) => {
      const isWanted = selection.wants(key.key)
      if (isWanted) writer.key(selection.databaseOf(key.db), key)
      return isWanted
    },
    onValue: (bytes) => writer.value(bytes),
    onEntry: () => undefined,
  })
  for await (const chunk of input) {
    splitter.push(chunk)
    const bytes = writer.take()
    if (bytes.length > 0) yield bytes
  }
  splitter.end()
  writer.end()
  yield writer.take()
}
