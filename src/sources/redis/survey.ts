import { Sha256Stream } from '../../engine/kernels/sha256.ts'
import { toHex } from '../../lib/bytes.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { SLOTS, slotOf } from './cluster/slots.ts'
import { type DatabaseFingerprint, Fingerprint } from './fingerprint.ts'
import type { RdbKey } from './rdb/entry.ts'
import type { RdbSummary } from './rdb/reader.ts'
import { RdbSplitter } from './rdb/splitter.ts'
import type { Selection } from './selection.ts'
import type { RedisSnapshot } from './snapshot.ts'

/** What a selection of an RDB file comes to. */
export interface Survey {
  readonly summary: RdbSummary
  readonly keys: number
  /** Keys and values as they are stored. */
  readonly bytes: number
  /** The same of each slot of a cluster, if that was asked for. */
  readonly slotBytes: Float64Array | undefined
  /** Keys of each database of the target. */
  readonly databases: ReadonlyMap<number, number>
  /** What a server has that holds the selection and nothing else. */
  readonly fingerprint: readonly DatabaseFingerprint[]
  /** Databases of the snapshot of which several have selected keys and would become one. */
  readonly merged: readonly (readonly number[])[]
  /** Lengths of the values that are too long to be held, by where they begin. */
  readonly longValues: ReadonlyMap<number, number>
  /** The key with the longest of them. */
  readonly longest: LongestValue | undefined
  /** The longest selected value of each number of a type. */
  readonly codes: ReadonlyMap<number, LongestValue>
  /** Names of modules that selected values belong to. */
  readonly modules: ReadonlySet<string>
  readonly libraries: number
  readonly libraryBytes: number
  /** Whether modules keep data outside of keys. */
  readonly hasModuleData: boolean
}

/** Where it is, and its length as it is stored. */
export interface LongestValue extends Pick<RdbKey, 'db' | 'key'> {
  readonly bytes: number
}

/** Longer values are not held in memory when they are sent on their own. */
export const LONG_VALUE_BYTES: number = 1024 * 1024

/**
 * Reads the whole file of a snapshot, and checks it: nothing is written anywhere before it is known to be whole.
 * @throws HoldfastError HF_DATA_DAMAGED, HF_SOURCE_UNSUPPORTED for a format that is not known, what reading the repository throws
 */
export async function survey(
  snapshot: RedisSnapshot,
  selection: Selection,
  signal?: AbortSignal,
  { bySlot = false }: { readonly bySlot?: boolean } = {},
): Promise<Survey> {
  try {
    return await read(snapshot, selection, bySlot ? new Float64Array(SLOTS) : undefined, signal)
  } catch (error) {
    if (!isHoldfastError(error) || error.code !== 'HF_SOURCE_DAMAGED') throw error
    throw new HoldfastError('HF_DATA_DAMAGED', `${snapshot.name}: ${error.message}`, {
      cause: error,
      hint: 'restore another snapshot',
    })
  }
}

async function read(
  { name, manifest, rdb }: RedisSnapshot,
  selection: Selection,
  slotBytes: Float64Array | undefined,
  signal: AbortSignal | undefined,
): Promise<Survey> {
  let keys = 0
  let bytes = 0
  let libraries = 0
  let libraryBytes = 0
  let hasModuleData = false
  const databases = new Map<number, number>()
  const fingerprint = new Fingerprint()
  const origins = new Map<number, Set<number>>()
  let longest: Survey['longest']
  const longValues = new Map<number, number>()
  const codes = new Map<number, LongestValue>()
  const modules = new Set<string>()
  const splitter = new RdbSplitter({
    onKey: ({ key }) => selection.wants(key),
    onValue: () => undefined,
    onEntry: (entry) => {
      const { db, key, code, module, start, end } = entry
      keys++
      const target = selection.databaseOf(db)
      fingerprint.add(entry, target)
      databases.set(target, (databases.get(target) ?? 0) + 1)
      const from = origins.get(target)
      if (from === undefined) origins.set(target, new Set([db]))
      else from.add(db)
      bytes += end - start + key.length
      if (slotBytes !== undefined) slotBytes[slotOf(key)]! += end - start + key.length
      if (end - start > LONG_VALUE_BYTES) {
        longValues.set(start, end - start)
        if (end - start > (longest?.bytes ?? 0)) longest = { db, key, bytes: end - start }
      }
      if (end - start > (codes.get(code)?.bytes ?? -1)) codes.set(code, { db, key, bytes: end - start })
      if (module !== undefined) modules.add(module)
    },
    onLibrary: (code) => {
      if (!selection.hasFunctions) return
      libraries++
      libraryBytes += code.length
    },
    onModuleData: () => {
      hasModuleData = true
    },
  })
  const hash = new Sha256Stream()
  for await (const chunk of rdb(signal)) {
    splitter.push(chunk)
    hash.update(chunk)
  }
  const summary = splitter.end()
  if (toHex(hash.digest()) !== manifest.rdb.sha256)
    throw new HoldfastError('HF_DATA_DAMAGED', `the RDB file of ${name} is not the one its manifest is of`, {
      hint: 'restore another snapshot',
    })
  const merged = [...origins.values()].filter(({ size }) => size > 1).map((from) => [...from])
  return {
    summary,
    keys,
    bytes,
    slotBytes,
    databases,
    fingerprint: fingerprint.databases,
    merged,
    longValues,
    longest,
    codes,
    modules,
    libraries,
    libraryBytes,
    hasModuleData,
  }
}
