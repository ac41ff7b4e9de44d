import { isHoldfastError } from '../../../lib/errors.ts'
import type { ProofJob, ProofLevel } from '../../proof.ts'

/** Faults of one kind that are told one by one. */
const MAX_NAMED_FAULTS = 25

/** A thing that is not as it should be. */
export interface Fault {
  /** What: `base/5/16384`, `index shop.public.bulk_md5`. */
  readonly item: string
  readonly what: string
}

/** Reports checks of one level. */
export class CheckList {
  readonly #job: Pick<ProofJob, 'report' | 'signal'>
  readonly #level: ProofLevel

  constructor(job: Pick<ProofJob, 'report' | 'signal'>, level: ProofLevel) {
    this.#job = job
    this.#level = level
  }

  passed(name: string, detail?: string): void {
    this.#job.report({ level: this.#level, name, outcome: 'passed', detail })
  }

  failed(name: string, detail: string): void {
    this.#job.report({ level: this.#level, name, outcome: 'failed', detail })
  }

  skipped(name: string, reason: string): void {
    this.#job.report({ level: this.#level, name, outcome: 'skipped', detail: reason })
  }

  notApplicable(name: string, reason: string): void {
    this.#job.report({ level: this.#level, name, outcome: 'not applicable', detail: reason })
  }

  /** Passed without faults; otherwise one failed check for each, and one for those beyond what is told singly. */
  faults(name: string, faults: readonly Fault[], detail?: string): void {
    if (faults.length === 0) this.passed(name, detail)
    for (const { item, what } of faults.slice(0, MAX_NAMED_FAULTS)) this.failed(`${name}: ${item}`, what)
    if (faults.length > MAX_NAMED_FAULTS)
      this.failed(name, `${faults.length - MAX_NAMED_FAULTS} more faults of this kind`)
  }

  /**
   * Does a check that throws when it fails, and reports it. What `work` returns is the detail of a check that passed.
   * @returns whether it passed
   * @throws what says nothing about the snapshot: an interruption, storage that cannot be reached
   */
  async check(name: string, work: () => Promise<string | undefined>): Promise<boolean> {
    try {
      this.passed(name, await work())
      return true
    } catch (error) {
      this.#job.signal?.throwIfAborted()
      if (isElsewhere(error)) throw error
      this.failed(name, (error as Error).message)
      return false
    }
  }
}

const elsewhere: ReadonlySet<string> = new Set([
  'HF_INTERRUPTED',
  'HF_STORAGE_IO',
  'HF_STORAGE_DENIED',
  'HF_INTERNAL',
  'HF_LOCK_LOST',
])

/** Whether an error is about something else than the snapshot. */
export const isElsewhere = (error: unknown): boolean => isHoldfastError(error) && elsewhere.has(error.code)
