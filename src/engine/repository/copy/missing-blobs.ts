import { HoldfastError } from '../../../lib/errors.ts'
import { ID_BYTES, type Id } from '../../../lib/id.ts'
import type { BlobType } from '../blob.ts'
import type { BlobTable } from '../index/blob-table.ts'
import type { PackEntry } from '../pack/header.ts'
import type { Repository } from '../repository.ts'
import { walkTrees } from '../tree-walk.ts'

/** Finds what of a repository's snapshots another repository lacks, each blob once over all snapshots. Both indexes must be loaded. */
export class MissingBlobs {
  readonly #source: Repository
  readonly #destination: Repository
  readonly #tables: Readonly<Record<BlobType, BlobTable>>
  /** 1 for rows that have been looked at. */
  readonly #marks: Readonly<Record<BlobType, Uint8Array>>
  readonly #trees: Set<Id>
  readonly #isUnderWay: (type: BlobType, id: Uint8Array) => boolean
  readonly #scratch: Buffer = Buffer.alloc(ID_BYTES)

  /** Trees of `settled` are there with all below them. Blobs that are `isUnderWay` are not in the index of the destination, and will be. */
  constructor(
    source: Repository,
    destination: Repository,
    {
      settled = new Set(),
      isUnderWay = () => false,
    }: { readonly settled?: Set<Id>; readonly isUnderWay?: (type: BlobType, id: Uint8Array) => boolean } = {},
  ) {
    this.#source = source
    this.#destination = destination
    this.#trees = settled
    this.#isUnderWay = isUnderWay
    this.#tables = { data: source.index.table('data'), tree: source.index.table('tree') }
    this.#marks = { data: new Uint8Array(this.#tables.data.count), tree: new Uint8Array(this.#tables.tree.count) }
  }

  /**
   * What is missing of the tree `root` and all below it, by pack, except what was found before.
   * @throws HoldfastError HF_BLOB_NOT_FOUND for a blob that neither repository has, errors of reading trees
   */
  async find(root: Id, signal?: AbortSignal): Promise<Map<Id, PackEntry[]>> {
    const missing = new Map<Id, PackEntry[]>()
    await walkTrees(this.#source, [root], {
      onTree: (id, { nodes }) => {
        this.#look(missing, 'tree', id)
        for (const { content } of nodes) if (content) for (const blob of content) this.#look(missing, 'data', blob)
      },
      seen: this.#trees,
      signal,
    })
    return missing
  }

  #look(missing: Map<Id, PackEntry[]>, type: BlobType, id: Id): void {
    this.#scratch.write(id, 'hex')
    const table = this.#tables[type]
    const row = table.find(this.#scratch)
    if (row >= 0 && this.#marks[type][row] === 1) return
    if (row >= 0) this.#marks[type][row] = 1
    if (this.#destination.index.hasBytes(type, this.#scratch) || this.#isUnderWay(type, this.#scratch)) return
    if (row < 0)
      throw new HoldfastError('HF_BLOB_NOT_FOUND', `${type} blob ${id} is in no index of the source repository`, {
        context: { type, id },
        hint: 'run "holdfast check" on the source repository, then "holdfast repair index"',
      })
    const pack = this.#source.index.packId(table.pack(row))
    const entry = {
      type,
      id,
      offset: table.offset(row),
      length: table.length(row),
      uncompressedLength: table.uncompressedLength(row),
    }
    const entries = missing.get(pack)
    if (entries) entries.push(entry)
    else missing.set(pack, [entry])
  }
}
