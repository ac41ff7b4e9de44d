import type { Id } from '../../../lib/id.ts'
import { readIndexFile } from '../index/load-index.ts'
import type { Repository } from '../repository.ts'
import { type RetainedUntil, retainedFiles } from '../retention/retained-files.ts'

/**
 * Finds out which packs have to stay because the store retains them, or an index file that lists them: an index file that cannot be deleted
 * must never list a pack that is gone, or a backup would take its blobs for stored. The store is asked about each file once.
 */
export class RetainedPacks {
  readonly #repository: Repository
  readonly #signal: AbortSignal | undefined
  readonly #asked = new Set<Id>()
  readonly #retained = new Map<Id, RetainedUntil>()
  #listed: Promise<ReadonlyMap<Id, RetainedUntil>> | undefined

  constructor(repository: Repository, signal?: AbortSignal) {
    this.#repository = repository
    this.#signal = signal
  }

  /** Of the packs asked about so far those that stay, and until when. */
  get known(): ReadonlyMap<Id, RetainedUntil> {
    return this.#retained
  }

  /** Asks about packs; whether any of them has to stay that was not known to. */
  async ask(packs: readonly Id[]): Promise<boolean> {
    const { storage } = this.#repository
    const unknown = packs.filter((pack) => !this.#asked.has(pack))
    if (storage.features.retention === undefined || unknown.length === 0) return false
    this.#listed ??= this.#listedByRetained()
    const listed = await this.#listed
    const found = await retainedFiles(this.#repository, 'data', unknown, this.#signal)
    let isNew = false
    for (const pack of unknown) {
      this.#asked.add(pack)
      const untilMs = Math.max(found.get(pack) ?? 0, listed.get(pack) ?? 0)
      if (untilMs === 0) continue
      this.#retained.set(pack, untilMs)
      isNew = true
    }
    return isNew
  }

  /** The packs that retained index files list. */
  async #listedByRetained(): Promise<ReadonlyMap<Id, RetainedUntil>> {
    const names = await this.#repository.list('index', this.#signal)
    const listed = new Map<Id, RetainedUntil>()
    for (const [name, untilMs] of await retainedFiles(this.#repository, 'index', names, this.#signal))
      await readIndexFile(
        this.#repository,
        name,
        ({ pack }) => listed.set(pack, Math.max(untilMs, listed.get(pack) ?? 0)),
        this.#signal,
      )
    return listed
  }
}
