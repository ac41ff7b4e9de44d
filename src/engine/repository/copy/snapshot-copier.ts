import { monotonicMilliseconds } from '../../../lib/clock.ts'
import type { Id } from '../../../lib/id.ts'
import { ID_BYTES } from '../../../lib/id.ts'
import type { Progress } from '../../../lib/progress.ts'
import { type BlobType, blobTypes } from '../blob.ts'
import { BlobRows, type PackListing } from '../pack/blob-rows.ts'
import type { PackEntry } from '../pack/header.ts'
import type { Repository } from '../repository.ts'
import { rootOf, type StoredSnapshot } from '../snapshot.ts'
import { saveSnapshot } from '../snapshots.ts'
import { SharedIdSet } from '../write/shared-id-set.ts'
import { CopyPool, type CopyPoolOptions, type PackPart } from './copy-pool.ts'
import { MissingBlobs } from './missing-blobs.ts'
import { sharedTrees } from './shared-trees.ts'

/** Copied snapshots are stored once so much data has been copied, in packs, and so much time has passed. */
const PACKS_PER_BATCH = 100
const BATCH_MS = 60_000

/** A snapshot and its copy in the other repository. */
export interface CopiedSnapshot {
  readonly source: StoredSnapshot
  readonly copy: StoredSnapshot
}

/** Told of each snapshot in turn; all lines of `copy` can be made from this. */
export interface CopyObserver {
  /** It is in the destination already. */
  onSkipped?(snapshot: CopiedSnapshot): void
  onStart?(source: StoredSnapshot): void
  /** What has to be copied for it: stored bytes in the source, without what was copied for snapshots before. */
  onPlanned?(source: StoredSnapshot, plan: CopyPlan): void
  onSaved?(snapshot: CopiedSnapshot): void
}

/** What has to be copied: blobs, their stored bytes in the source, the packs they lie in. */
export interface CopyPlan {
  readonly blobs: number
  readonly bytes: number
  readonly packs: number
}

/** A pack of the source, as it was stored. */
export interface NewPack extends PackListing {
  readonly type: BlobType
  /** Whether it lies in the folder of packs that were kept. */
  readonly isKept: boolean
}

export interface SnapshotCopyOptions {
  readonly progress: Progress
  readonly observer?: CopyObserver
  /** A tree that the source has, and the destination with all below it: what a snapshot shares with it is not looked at. */
  readonly settledRoot?: Id | undefined
  /** The parent a copy names: a snapshot of the destination. restic names none. */
  readonly parentOf?: (source: StoredSnapshot) => Id | undefined
}

/**
 * Brings snapshots of one repository into another: blobs on worker threads, then the index, then the snapshots. Blobs may come while the
 * source is still being written, pack by pack. Both indexes must be loaded. Close it after use.
 */
export class SnapshotCopier {
  readonly #source: Repository
  readonly #destination: Repository
  readonly #pool: CopyPool
  readonly #threads: number
  readonly #signal: AbortSignal | undefined
  /** What was taken out of packs as they came. */
  readonly #followed: Readonly<Record<BlobType, SharedIdSet>> = { data: new SharedIdSet(), tree: new SharedIdSet() }

  constructor(source: Repository, destination: Repository, options: CopyPoolOptions) {
    this.#source = source
    this.#destination = destination
    this.#threads = options.threads
    this.#signal = options.signal
    this.#pool = new CopyPool(source, destination, options)
  }

  /** Bytes of the packs it has stored. */
  get storedBytes(): number {
    return this.#pool.storedBytes
  }

  /** Copies what the destination lacks of packs that the source has just stored, until there are no more. `onPack` is called as each is done with. */
  async follow(packs: AsyncIterable<NewPack>, onPack: (pack: Id) => void): Promise<void> {
    // Those that read and store the source are at work at the same time.
    this.#pool.threads = Math.ceil(this.#threads / 2)
    await this.#pool.copy(this.#partsOf(packs, onPack), onPack)
    this.#pool.threads = this.#threads
  }

  /** What `snapshots` lack in the destination, all together. */
  async plan(snapshots: readonly StoredSnapshot[]): Promise<CopyPlan> {
    const missing = new MissingBlobs(this.#source, this.#destination)
    const total = { blobs: 0, bytes: 0, packs: 0 }
    const packs = new Set<Id>()
    for (const snapshot of snapshots) {
      const found = await missing.find(rootOf(snapshot), this.#signal)
      const plan = planOf(found)
      total.blobs += plan.blobs
      total.bytes += plan.bytes
      for (const pack of found.keys()) packs.add(pack)
    }
    return { ...total, packs: packs.size }
  }

  /**
   * Copies snapshots, oldest first, with all they need. Wherever this is cut off, the destination is whole.
   * @throws HoldfastError HF_BLOB_NOT_FOUND, HF_PACK_DAMAGED, HF_TREE_INVALID, HF_DATA_DAMAGED when the source is damaged; storage errors
   */
  async copy(
    snapshots: readonly StoredSnapshot[],
    { progress, observer = {}, settledRoot, parentOf }: SnapshotCopyOptions,
  ): Promise<readonly CopiedSnapshot[]> {
    const missing = await this.#missing(snapshots, settledRoot)
    const copied: CopiedSnapshot[] = []
    const batch: StoredSnapshot[] = []
    let batchBytes = 0
    let batchStart = monotonicMilliseconds()
    const finishBatch = async (): Promise<void> => {
      await this.#pool.flush()
      for (const snapshot of batch.splice(0)) {
        const { id, ...fields } = snapshot
        const content = { ...fields, parent: parentOf?.(snapshot), original: snapshot.original ?? id }
        const copy = await saveSnapshot(this.#destination, content, this.#signal)
        copied.push({ source: snapshot, copy })
        observer.onSaved?.({ source: snapshot, copy })
      }
      batchBytes = 0
      batchStart = monotonicMilliseconds()
    }
    for (const snapshot of snapshots) {
      observer.onStart?.(snapshot)
      const packs = await missing.find(rootOf(snapshot), this.#signal)
      const plan = planOf(packs)
      observer.onPlanned?.(snapshot, plan)
      const step = progress.step('packs copied', packs.size)
      const parts = [...packs].map(([pack, blobs]) => ({ pack, blobs }))
      await this.#pool.copy(parts, () => step.add())
      step.done()
      batch.push(snapshot)
      batchBytes += plan.bytes
      const isLarge = batchBytes >= PACKS_PER_BATCH * this.#destination.packBytes
      if (isLarge && monotonicMilliseconds() - batchStart >= BATCH_MS) await finishBatch()
    }
    if (batch.length > 0) await finishBatch()
    return copied
  }

  /** Stores what was copied so far, for which no snapshot came: the next run need not copy it again. */
  async salvage(): Promise<void> {
    await this.#pool.flush()
  }

  async close(): Promise<void> {
    await this.#pool.close()
  }

  async #missing(snapshots: readonly StoredSnapshot[], settledRoot: Id | undefined): Promise<MissingBlobs> {
    const settled = new Set<Id>()
    if (settledRoot !== undefined)
      for (const snapshot of snapshots)
        await sharedTrees(this.#source, rootOf(snapshot), settledRoot, settled, this.#signal)
    const isUnderWay = (type: BlobType, id: Uint8Array): boolean => this.#followed[type].has(id)
    return new MissingBlobs(this.#source, this.#destination, { settled, isUnderWay })
  }

  async *#partsOf(packs: AsyncIterable<NewPack>, onPack: (pack: Id) => void): AsyncGenerator<PackPart> {
    for await (const { pack, rows, isKept } of packs) {
      const blobs = this.#wanted(rows)
      if (blobs.length > 0) yield { pack, blobs, isKept }
      else onPack(pack)
    }
  }

  #wanted(rows: Uint8Array): readonly PackEntry[] {
    for (const type of blobTypes) this.#followed[type].grow()
    const listed = new BlobRows(rows)
    const wanted: PackEntry[] = []
    for (let row = 0; row < listed.count; row++) {
      const at = listed.idAt(row)
      const id = listed.bytes.subarray(at, at + ID_BYTES)
      const type = listed.type(row)
      if (!this.#destination.index.hasBytes(type, id) && this.#followed[type].claim(id)) wanted.push(listed.entry(row))
    }
    return wanted
  }
}

function planOf(packs: ReadonlyMap<Id, readonly PackEntry[]>): CopyPlan {
  let blobs = 0
  let bytes = 0
  for (const entries of packs.values()) {
    blobs += entries.length
    for (const { length } of entries) bytes += length
  }
  return { blobs, bytes, packs: packs.size }
}
