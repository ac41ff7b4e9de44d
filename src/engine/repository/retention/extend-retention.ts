import type { Id } from '../../../lib/id.ts'
import { forEachParallel } from '../../../lib/parallel.ts'
import { noProgress } from '../../../lib/progress.ts'
import { blobTypes } from '../blob.ts'
import type { Repository } from '../repository.ts'
import { findUsedBlobs } from '../used-blobs.ts'
import { RetentionRecord } from './retention-record.ts'

const DAY_MS = 24 * 60 * 60 * 1000
/** A retention is made longer by more than is needed, so that not every backup has to do it: a fifth, and a week at most. */
const AHEAD_SHARE = 5
const MOST_AHEAD_MS = 7 * DAY_MS

export interface ExtendOptions {
  /** The root of the new snapshot. */
  readonly tree: Id
  /** When its backup began, since 1970: everything it needs stays for the lock's time from then on. */
  readonly sinceMs: number
  /** Packs from this number on are of this run; they were written with their lock. */
  readonly firstNewPack: number
  readonly signal?: AbortSignal | undefined
}

export interface ExtendResult {
  /** Packs the snapshot needs. */
  readonly packs: number
  /** Files whose retention was made longer. */
  readonly extended: number
}

/**
 * Makes the store retain everything that a new snapshot needs as long as what it wrote itself: packs of earlier backups, keys and `config`.
 * Does nothing where files are written without a lock. Index files are not among them: they can be made again from packs.
 * @throws HoldfastError storage errors; then the snapshot is there, and not all of it is locked for as long as it should
 */
export async function extendRetention(repository: Repository, options: ExtendOptions): Promise<ExtendResult> {
  const { storage } = repository
  const { retention } = storage.features
  if (retention?.written === undefined) return { packs: 0, extended: 0 }
  const { sinceMs, firstNewPack, signal } = options
  const { forMs } = retention.written
  const neededMs = sinceMs + forMs
  const nowMs = Number(repository.clock.now() / 1_000_000n)
  const untilMs = Math.max(neededMs, nowMs) + Math.min(forMs / AHEAD_SHARE, MOST_AHEAD_MS)
  const packs = await neededPacks(repository, options)
  const record = new RetentionRecord(repository.cacheDirectory)
  await record.load()
  let extended = 0
  const old = [...packs].filter((number) => number < firstNewPack).map((number) => repository.index.packId(number))
  await forEachParallel(old, storage.properties.connections, async (name) => {
    if (record.untilMs(name) >= neededMs) return
    await retention.extend({ kind: 'data', name }, untilMs, { signal })
    record.set(name, untilMs)
    extended += 1
  })
  for (const name of await repository.list('key', signal)) {
    if (record.untilMs(name) >= neededMs) continue
    await retention.extend({ kind: 'key', name }, untilMs, { signal })
    record.set(name, untilMs)
    extended += 1
  }
  // It has no name of its own.
  const { id } = repository.config
  if (record.untilMs(id) < neededMs) {
    await retention.extend({ kind: 'config' }, untilMs, { signal })
    record.set(id, untilMs)
    extended += 1
  }
  const known = new Set([id, ...(await repository.list('key', signal))])
  for (const { id: pack } of repository.index.packs()) known.add(pack)
  // That nothing can be remembered costs requests after the next backup and nothing else.
  await record.save(known).catch(() => undefined)
  return { packs: packs.size, extended }
}

/** Numbers of the packs that hold what the snapshot needs; of a blob that lies in several, all of them. */
async function neededPacks(repository: Repository, { tree, signal }: ExtendOptions): Promise<Set<number>> {
  const used = await findUsedBlobs(repository, [tree], noProgress, signal)
  const packs = new Set<number>()
  for (const type of blobTypes) {
    const table = used.tables[type]
    for (let row = 0, isUsed = false; row < table.count; row++) {
      if (!table.repeats(row)) isUsed = used.marks[type][row] === 1
      if (isUsed) packs.add(table.pack(row))
    }
  }
  return packs
}
