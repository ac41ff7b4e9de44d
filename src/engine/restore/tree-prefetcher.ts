import type { Id } from '../../lib/id.ts'
import type { Repository } from '../repository/repository.ts'
import type { Tree } from '../repository/tree/decode-tree.ts'
import { TreeLoader } from '../repository/tree-loader.ts'

/** Trees of remote storage that are loaded ahead of a walk, for each connection it makes sense to open. */
const AHEAD_PER_CONNECTION = 4

/**
 * Loads the trees of a walk. On this machine each is read when it is asked for; from remote storage those announced are fetched ahead, so
 * that a walk does not wait for one after the other.
 */
export class TreePrefetcher implements Disposable {
  readonly #loader: TreeLoader
  readonly #isLocal: boolean
  readonly #limit: number
  readonly #signal: AbortSignal | undefined
  readonly #ahead = new Map<Id, Promise<Tree>>()

  constructor(repository: Repository, signal?: AbortSignal) {
    const { connections, directory } = repository.storage.properties
    this.#loader = new TreeLoader(repository)
    this.#isLocal = directory !== undefined
    this.#limit = connections * AHEAD_PER_CONNECTION
    this.#signal = signal
  }

  /** The tree, when it can be had without waiting. */
  loadAtHand(id: Id): Tree | undefined {
    return this.#ahead.has(id) ? undefined : this.#loader.loadAtHand(id)
  }

  /** @throws HoldfastError HF_BLOB_NOT_FOUND, HF_PACK_DAMAGED, HF_TREE_INVALID, storage errors */
  async load(id: Id): Promise<Tree> {
    const ahead = this.#ahead.get(id)
    this.#ahead.delete(id)
    return await (ahead ?? this.#loader.load(id, this.#signal))
  }

  /** Says which tree will be asked for soon. */
  announce(id: Id): void {
    if (this.#isLocal || this.#ahead.size >= this.#limit || this.#ahead.has(id) || this.#loader.isAtHand(id)) return
    const loading = this.#loader.load(id, this.#signal)
    // Whoever asks for it gets the failure.
    loading.catch(() => undefined)
    this.#ahead.set(id, loading)
  }

  close(): void {
    this.#loader.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
