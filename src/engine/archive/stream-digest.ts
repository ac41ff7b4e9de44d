import { ID_BYTES } from '../../lib/id.ts'
import { hashTogether, type Sha256Job } from '../kernels/sha256.ts'
import { type CutRule, cutStream, ScannerStock } from './cut-stream.ts'

/** What a stream would come to in a repository: 32 bytes per blob, and its length. */
export interface StreamDigest {
  readonly ids: Uint8Array
  readonly size: number
}

/** Must be as large as what a cutter hands over at a time. */
const BATCH_BYTES = 8 * 1024 * 1024

/** Says which blobs streams would become, without storing them. One at a time; buffers are used again. */
export class StreamDigester {
  readonly #scanners: ScannerStock
  readonly #batch = new Uint8Array(BATCH_BYTES)

  /** `polynomial`: by which the repository cuts. */
  constructor(polynomial: bigint) {
    this.#scanners = new ScannerStock(polynomial)
  }

  async digest(input: AsyncIterable<Uint8Array>, rule: CutRule): Promise<StreamDigest> {
    const found: Uint8Array[] = []
    let size = 0
    await cutStream(input, rule, this.#scanners, {
      batch: () => this.#batch,
      send: async (batch, length, ends) => {
        const ids = new Uint8Array(ends.length * ID_BYTES)
        const jobs: Sha256Job[] = []
        let start = 0
        for (const [i, end] of ends.entries()) {
          jobs.push({ bytes: batch.subarray(start, end), digest: ids.subarray(i * ID_BYTES, (i + 1) * ID_BYTES) })
          start = end
        }
        hashTogether(jobs)
        size += length
        found.push(ids)
      },
    })
    return { ids: Buffer.concat(found), size }
  }
}
