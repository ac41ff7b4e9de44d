import { HoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { type DataBlobs, NO_ROW } from './data-blobs.ts'

/** Rows of the blobs of all files, one after the other: grows while a plan is made. */
export class ContentList {
  readonly #rows: DataBlobs
  #list = new Uint32Array(4096)
  #count = 0

  constructor(rows: DataBlobs) {
    this.#rows = rows
  }

  get count(): number {
    return this.#count
  }

  /**
   * Adds the blobs of a file and returns the sum of their bytes.
   * @throws HoldfastError HF_BLOB_NOT_FOUND, with nothing added, when one of them is in no index
   */
  add(ids: readonly Id[]): number {
    const start = this.#count
    let sizeBytes = 0
    for (const id of ids) {
      const row = this.#rows.find(id)
      if (row === NO_ROW || this.#rows.plaintextLength(row) < 0) {
        this.#count = start
        throw new HoldfastError('HF_BLOB_NOT_FOUND', `its content cannot be found: data blob ${id} is in no index`, {
          context: { id },
          hint: 'run "holdfast repair index"; the other files are restored',
        })
      }
      sizeBytes += this.#rows.plaintextLength(row)
      if (this.#count === this.#list.length) {
        const larger = new Uint32Array(this.#count * 2)
        larger.set(this.#list)
        this.#list = larger
      }
      this.#list[this.#count++] = row
    }
    return sizeBytes
  }

  /** All rows, on shared memory. */
  build(): Uint32Array {
    const shared = new Uint32Array(new SharedArrayBuffer(this.#count * 4))
    shared.set(this.#list.subarray(0, this.#count))
    return shared
  }
}
