import type { Id } from '../../../lib/id.ts'
import { BlobLoader } from '../../repository/blob-loader.ts'
import type { Repository } from '../../repository/repository.ts'
import type { Node } from '../../repository/tree/node.ts'

/** Blobs of what follows that are announced with a file. */
const BLOBS_ANNOUNCED = 64

/** Reads the content of files, one after the other. Close it after use. */
export class ContentReader implements Disposable {
  readonly #repository: Repository
  readonly #signal: AbortSignal | undefined
  /** For stores that are far away. */
  readonly #loader: BlobLoader | undefined

  constructor(repository: Repository, signal?: AbortSignal) {
    this.#repository = repository
    this.#signal = signal
    if (repository.storage.properties.directory === undefined)
      this.#loader = new BlobLoader(repository, 'data', undefined, true)
  }

  /** Says that the files among `nodes` will be read next, from `from` on. */
  announce(nodes: readonly Node[], from: number): void {
    if (this.#loader === undefined) return
    let left = BLOBS_ANNOUNCED
    for (let n = from; n < nodes.length && left > 0; n++)
      for (const id of nodes[n]!.content ?? []) {
        if (!this.#loader.announce(id, this.#signal) || --left === 0) return
      }
  }

  /**
   * The bytes of a file, blob by blob; as many are loaded ahead as the storage serves at a time.
   * @throws HoldfastError whatever reading blobs throws
   */
  async *read({ content }: Pick<Node, 'content'>): AsyncGenerator<Uint8Array> {
    const ids = content ?? []
    const { connections } = this.#repository.storage.properties
    const ahead: Promise<Uint8Array>[] = []
    let announced = 0
    let last: { readonly id: Id; readonly loading: Promise<Uint8Array> } | undefined
    for (let next = 0; next < ids.length || ahead.length > 0; ) {
      for (; next < ids.length && ahead.length < connections; next++) {
        const id = ids[next]!
        // Long holes consist of the same blob again and again.
        if (last?.id !== id) last = { id, loading: this.#load(id) }
        // Whoever waits for it gets the failure.
        last.loading.catch(() => undefined)
        ahead.push(last.loading)
      }
      announced = Math.max(announced, next)
      while (announced < Math.min(ids.length, next + BLOBS_ANNOUNCED) && this.#announces(ids[announced]!)) announced++
      yield await ahead.shift()!
    }
  }

  close(): void {
    this.#loader?.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #announces(id: Id): boolean {
    return this.#loader?.announce(id, this.#signal) ?? false
  }

  async #load(id: Id): Promise<Uint8Array> {
    if (this.#loader !== undefined) return await this.#loader.load(id, this.#signal)
    return await this.#repository.loadBlob('data', id, this.#signal)
  }
}

/** As `ContentReader.read`, for one file. */
export async function* fileContent(
  repository: Repository,
  node: Pick<Node, 'content'>,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const [only, ...others] = node.content ?? []
  if (only !== undefined && others.length === 0) {
    yield await repository.loadBlob('data', only, signal)
    return
  }
  using contents = new ContentReader(repository, signal)
  yield* contents.read(node)
}
