import { monotonicMilliseconds } from '../../../lib/clock.ts'
import type { Id } from '../../../lib/id.ts'
import { encodeIndex, FULL_INDEX_AGE_MS, FULL_INDEX_BLOBS } from '../index/index-file.ts'
import { type PackListing, rowCount } from '../pack/blob-rows.ts'
import type { Repository } from '../repository.ts'

/**
 * Collects the packs a run has stored and writes index files for them: when one is full, when ten minutes have passed, and at the end.
 * Those in between are what lets an interrupted run be continued.
 */
export class IndexWriter {
  readonly #repository: Repository
  readonly #written: Id[] = []
  #pending: PackListing[] = []
  #pendingBlobs = 0
  #since = monotonicMilliseconds()
  #saving: Promise<void> = Promise.resolve()

  constructor(repository: Repository) {
    this.#repository = repository
  }

  /** Index files written so far. */
  get written(): readonly Id[] {
    return this.#written
  }

  /**
   * Takes a pack that is stored durably. Resolves once the index file it filled, if any, is stored too. The repository's index knows its blobs
   * when their index file is stored.
   */
  async add(pack: PackListing): Promise<void> {
    if (this.#pending.length === 0) this.#since = monotonicMilliseconds()
    this.#pending.push(pack)
    this.#pendingBlobs += rowCount(pack.rows)
    if (this.#pendingBlobs >= FULL_INDEX_BLOBS || monotonicMilliseconds() - this.#since >= FULL_INDEX_AGE_MS)
      await this.flush()
  }

  /** Writes out what is pending. */
  async flush(signal?: AbortSignal): Promise<void> {
    const packs = this.#pending
    this.#pending = []
    this.#pendingBlobs = 0
    this.#saving = this.#saving.then(async () => {
      if (packs.length === 0) return
      this.#written.push(await this.#repository.saveUnpacked('index', encodeIndex(packs), signal))
      // Only now: other runs of this process that leave these blobs out would rely on an index file that this one may never write.
      for (const pack of packs) this.#repository.index.load(pack)
    })
    await this.#saving
  }
}
