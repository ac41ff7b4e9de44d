import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compareRdb, type KeyDifference } from '../compare.ts'
import { Fingerprint, sameDatabases, sameFunctions } from '../fingerprint.ts'
import { readRdb } from '../rdb/reader.ts'
import { type Selection, selectRdb } from '../selection.ts'
import type { RedisSnapshot } from '../snapshot.ts'
import type { Survey } from '../survey.ts'
import { writeRdb } from './write-rdb.ts'

export interface Verification {
  /** The RDB file of the server, or of all of a cluster; it may be asked for twice. */
  readonly content: () => AsyncIterable<Uint8Array>
  readonly snapshot: RedisSnapshot
  readonly selection: Selection
  readonly survey: Survey
  /** Whether there may be other keys than those that were restored. */
  readonly hasOthers: boolean
  /** Milliseconds since 1970. */
  readonly now: () => bigint
  readonly signal?: AbortSignal | undefined
}

export interface VerifiedServer {
  readonly differences: readonly KeyDifference[]
  readonly hasFunctions: boolean
}

/**
 * Compares a server with what was restored into it. Fingerprints first, which needs no room; only when they differ, or cannot tell because of
 * other keys or of what has expired meanwhile, the server's file is kept for the time it takes to name the keys.
 */
export async function verifyServer(verification: Verification): Promise<VerifiedServer> {
  const { content, snapshot, selection, survey, hasOthers, now, signal } = verification
  const expected = (): AsyncIterable<Uint8Array> =>
    selection.isPartial ? selectRdb(snapshot.rdb(signal), snapshot.manifest.rdb, selection) : snapshot.rdb(signal)
  const fingerprint = new Fingerprint()
  const { functions } = await readRdb(content(), { onEntry: (entry) => fingerprint.add(entry) })
  const hasFunctions =
    hasOthers ||
    (selection.hasFunctions ? sameFunctions(functions, survey.summary.functions) : functions.libraries === 0)
  if (!hasOthers && sameDatabases(fingerprint.databases, survey.fingerprint)) return { differences: [], hasFunctions }
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-compare-'))
  try {
    const path = join(folder, 'target.rdb')
    await writeRdb(path, content(), () => undefined, signal)
    const differences = await compareRdb(expected, () => createReadStream(path), {
      expiredAt: now(),
      ignoreUnexpected: hasOthers,
    })
    return { differences, hasFunctions }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
