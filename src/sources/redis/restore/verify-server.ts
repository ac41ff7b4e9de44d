import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compareRdb, type KeyDifference } from '../compare.ts'
import { Fingerprint } from '../fingerprint.ts'
import { RdbReader, type RdbSummary } from '../rdb/reader.ts'
import { type Selection, selectRdb } from '../selection.ts'
import type { RedisSnapshot } from '../snapshot.ts'
import { transferred } from './safety-copy.ts'
import type { TargetServer } from './target.ts'
import { writeRdb } from './write-rdb.ts'

export interface Verification {
  readonly open: TargetServer
  readonly snapshot: RedisSnapshot
  readonly selection: Selection
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
 * other keys, the server's file is kept for the time it takes to name the keys.
 */
export async function verifyServer(verification: Verification): Promise<VerifiedServer> {
  const { open, snapshot, selection, hasOthers, now, signal } = verification
  const expected = (): AsyncIterable<Uint8Array> =>
    selection.isPartial ? selectRdb(snapshot.rdb(signal), snapshot.manifest.rdb, selection) : snapshot.rdb(signal)
  const at = now()
  const actual = await fingerprintOf(transferred(open, signal), at)
  const wanted = await fingerprintOf(expected(), at)
  const hasFunctions =
    hasOthers || JSON.stringify(actual.summary.functions) === JSON.stringify(wanted.summary.functions)
  if (!hasOthers && JSON.stringify(actual.databases) === JSON.stringify(wanted.databases))
    return { differences: [], hasFunctions }
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-compare-'))
  try {
    const path = join(folder, 'target.rdb')
    await writeRdb(path, transferred(open, signal), () => undefined, signal)
    const differences = await compareRdb(expected, () => createReadStream(path), {
      expiredAt: now(),
      ignoreUnexpected: hasOthers,
    })
    return { differences, hasFunctions }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function fingerprintOf(
  input: AsyncIterable<Uint8Array>,
  expiredAt: bigint,
): Promise<{ readonly databases: Fingerprint['databases']; readonly summary: RdbSummary }> {
  const fingerprint = new Fingerprint(expiredAt)
  const reader = new RdbReader({ onEntry: (entry) => fingerprint.add(entry) })
  for await (const piece of input) reader.push(piece)
  const summary = reader.end()
  return { databases: fingerprint.databases, summary }
}
