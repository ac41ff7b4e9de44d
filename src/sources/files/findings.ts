import type { ProofCheck } from '../proof.ts'
import type { SecretNames } from './secret-names.ts'

const MAX_EXAMPLES = 5

/** What is wrong with the entries of a snapshot, counted, with some examples; secret files are not named. */
export class Findings {
  readonly #secrets: SecretNames
  readonly #examples: string[] = []
  #count = 0

  constructor(secrets: SecretNames) {
    this.#secrets = secrets
  }

  get count(): number {
    return this.#count
  }

  /** @param path as text @param what may not hold the path */
  add(path: string, what: string): void {
    this.#count++
    if (this.#examples.length < MAX_EXAMPLES) this.#examples.push(`${this.#secrets.show(path)} ${what}`)
  }

  /** The check they come to: passed without any. */
  check(name: string, passed?: string): Omit<ProofCheck, 'level'> {
    if (this.#count === 0) return { name, outcome: 'passed', detail: passed }
    const more = this.#count - this.#examples.length
    return { name, outcome: 'failed', detail: [...this.#examples, ...(more > 0 ? [`${more} more`] : [])].join('; ') }
  }
}
