import { isHoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import type { Progress, ProgressStep } from '../../../lib/progress.ts'
import { BlobRows, ROW_BYTES } from '../pack/blob-rows.ts'
import type { Repository } from '../repository.ts'
import type { PackListings } from './check-index.ts'
import type { Report } from './finding.ts'
import { PackChecker } from './pack-checker.ts'
import { PackQueue } from './pack-queue.ts'
import { PackReaders } from './pack-readers.ts'
import type { PackOutcome } from './read-messages.ts'
import { readTwice } from './read-twice.ts'
import { reportOutcome } from './report-outcome.ts'

export interface DataCheckOptions {
  readonly threads: number | undefined
  readonly report: Report
  readonly progress: Progress
  readonly signal: AbortSignal | undefined
}

/**
 * Reads packs and compares them with the index, which need not be known when reading begins: threads read each pack by its own header, and
 * what the header lists is compared once there is an index to compare with. Packs whose header cannot be read or disagrees are read again
 * at the end, by what the index says of them.
 */
export class DataCheck implements AsyncDisposable {
  readonly #repository: Repository
  readonly #options: DataCheckOptions
  readonly #readers: PackReaders
  readonly #early: [Id, PackOutcome][] = []
  readonly #suspects = new Map<Id, PackOutcome>()
  #listings: ReadonlyMap<Id, PackListings> | undefined
  #sizes: ReadonlyMap<Id, number> = new Map()
  #queue: PackQueue | undefined
  #reading: Promise<PromiseSettledResult<void>> | undefined
  /** Shown only once nothing else is: people look at one thing at a time. */
  #step: ProgressStep | undefined
  #settled = 0

  constructor(repository: Repository, options: DataCheckOptions) {
    this.#repository = repository
    this.#options = options
    this.#readers = new PackReaders(repository, options.threads)
  }

  /** Begins to read packs: id and size of the file. */
  begin(packs: ReadonlyMap<Id, number>): void {
    this.#sizes = packs
    this.#queue = PackQueue.of(packs)
    const onOutcome = (pack: Id, outcome: PackOutcome): void => {
      if (this.#listings) this.#settle(pack, outcome, this.#listings)
      else this.#early.push([pack, outcome])
    }
    this.#reading = Promise.allSettled([this.#readers.read(this.#queue, onOutcome, this.#options.signal)]).then(
      ([result]) => result,
    )
  }

  /** What the index says is known from now on. Packs it does not list need not be read. */
  useIndex(listings: ReadonlyMap<Id, PackListings>): void {
    this.#listings = listings
    this.#queue?.drop((pack) => !listings.has(pack))
    for (const [pack, outcome] of this.#early.splice(0)) this.#settle(pack, outcome, listings)
  }

  /** Resolves when all is read and reported. `useIndex` must have been called. */
  async finish(): Promise<void> {
    this.#step = this.#options.progress.step('packs', this.#sizes.size)
    this.#step.add(this.#settled)
    const result = await this.#reading
    this.#reading = undefined
    if (result?.status === 'rejected') throw result.reason
    if (this.#suspects.size > 0) await this.#checkSuspects()
    this.#step.done()
  }

  /** Ends reading, if it is going on, without any more results. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#queue?.stop()
    const result = await this.#reading
    await this.#readers[Symbol.asyncDispose]()
    if (result?.status === 'rejected' && !isHoldfastError(result.reason)) throw result.reason
  }

  #settle(pack: Id, outcome: PackOutcome, listings: ReadonlyMap<Id, PackListings>): void {
    this.#settled++
    this.#step?.add()
    const listed = listings.get(pack)
    if (!listed) return
    const agrees = outcome.listing !== undefined && listed.contents.has(outcome.listing)
    if (agrees || outcome.verdict === 'unreadable') reportOutcome(pack, outcome, this.#options.report)
    else this.#suspects.set(pack, outcome)
  }

  async #checkSuspects(): Promise<void> {
    const { cipher, index, storage } = this.#repository
    const { report, signal } = this.#options
    const checker = new PackChecker(cipher)
    for (const { pack: id, rows } of index.listings((pack) => this.#suspects.has(pack))) {
      const pack = { id, sizeBytes: this.#sizes.get(id)! }
      const sorted = sortedByOffset(rows)
      const outcome = await readTwice(
        function* () {
          return { problems: yield* checker.check(pack, sorted), rows: undefined }
        },
        (window) => storage.get({ kind: 'data', name: id }, window, { signal }),
      )
      const before = this.#suspects.get(id)!
      // Now it is intact, and twice before it was not.
      const hasRecovered = outcome.verdict === 'intact' && before.verdict === 'damaged'
      reportOutcome(id, hasRecovered ? { ...before, verdict: 'passing-failure' } : outcome, report)
    }
  }
}

function sortedByOffset(rows: Uint8Array): Uint8Array {
  const blobs = new BlobRows(rows)
  const order = Array.from({ length: blobs.count }, (_, row) => row).sort((a, b) => blobs.offset(a) - blobs.offset(b))
  return Buffer.concat(order.map((row) => rows.subarray(row * ROW_BYTES, (row + 1) * ROW_BYTES)))
}
