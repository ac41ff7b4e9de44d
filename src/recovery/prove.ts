import type { Assertion } from '../config/assertion.ts'
import { parseExpectation } from '../config/expectation.ts'
import { checkSnapshotData } from '../engine/repository/check/check-snapshot-data.ts'
import type { Repository } from '../engine/repository/repository.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import type { Clock } from '../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../lib/errors.ts'
import { shortId } from '../lib/id.ts'
import type { Progress } from '../lib/progress.ts'
import { formatSize } from '../lib/sizes.ts'
import {
  type ProofCheck,
  type ProofJob,
  type ProofLevel,
  type ProofSandbox,
  proofLevels,
  type SourceProof,
} from '../sources/proof.ts'
import { SandboxFolder } from '../sources/sandbox/sandbox-folder.ts'

export interface ProveOptions {
  /** A snapshot whose checksums are proved: what it shares with this one is not read again. */
  readonly alreadyChecked?: StoredSnapshot | undefined
  readonly level: ProofLevel
  /** What the owner says must hold in what is restored. */
  readonly assertions: readonly Assertion[]
  /** How this sort of source is proved; without it only checksums are. */
  readonly proof: SourceProof | undefined
  readonly clock: Clock
  readonly progress: Progress
  /** Takes each check as it is done. */
  readonly onCheck: (check: ProofCheck) => void
  readonly signal?: AbortSignal | undefined
}

export interface ProofResult {
  readonly proved: ProofLevel | undefined
  readonly outcome: 'passed' | 'unproved' | 'failed'
  readonly checks: readonly ProofCheck[]
  readonly facts: Readonly<Record<string, string>>
}

/**
 * Proves a snapshot level by level, up to the one that is asked for. It ends after the first level at which something failed: what lies
 * behind it would be restored for nothing. The repository must have been opened without a cache, and a shared lock be held.
 *
 * @throws HoldfastError HF_INTERRUPTED, storage errors; what is wrong with the snapshot is a result
 */
export async function proveSnapshot(
  repository: Repository,
  snapshot: StoredSnapshot,
  options: ProveOptions,
): Promise<ProofResult> {
  return await new Ladder(repository, snapshot, options).climb()
}

class Ladder {
  readonly #repository: Repository
  readonly #snapshot: StoredSnapshot
  readonly #options: ProveOptions
  readonly #checks: ProofCheck[] = []
  #facts: Readonly<Record<string, string>> = {}

  constructor(repository: Repository, snapshot: StoredSnapshot, options: ProveOptions) {
    this.#repository = repository
    this.#snapshot = snapshot
    this.#options = options
  }

  async climb(): Promise<ProofResult> {
    const { level } = this.#options
    const asked = proofLevels.indexOf(level)
    await this.#step('checksum', () => this.#readAgain())
    if (asked >= 1 && this.#isIntact()) await this.#step('structure', () => this.#readStructure())
    if (asked >= 2 && this.#isIntact()) await this.#step('restore', () => this.#restore(asked >= 3))
    const proved = provedLevel(this.#checks, level)
    const hasFailed = !this.#isIntact()
    return {
      proved,
      outcome: hasFailed ? 'failed' : proved === level ? 'passed' : 'unproved',
      checks: this.#checks,
      facts: this.#facts,
    }
  }

  #isIntact(): boolean {
    return this.#checks.every(({ outcome }) => outcome !== 'failed')
  }

  readonly #report = (check: ProofCheck): void => {
    this.#checks.push(check)
    this.#options.onCheck(check)
  }

  get #job(): ProofJob {
    return {
      repository: this.#repository,
      snapshot: this.#snapshot,
      report: this.#report,
      signal: this.#options.signal,
    }
  }

  /** What goes wrong on the way is a check that failed, unless it is about the repository's storage or the whole run. */
  async #step(level: ProofLevel, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#options.signal?.throwIfAborted()
      if (!(error instanceof HoldfastError) || endsTheRun(error)) throw error
      this.#report({ level, name: `the level ${level} as a whole`, outcome: 'failed', detail: error.message })
    }
  }

  async #readAgain(): Promise<void> {
    const { alreadyChecked, progress, signal } = this.#options
    const { findings, packs, bytes, packsLeftOut } = await checkSnapshotData(this.#repository, this.#snapshot, {
      alreadyChecked,
      progress,
      signal,
    })
    for (const { message, details } of findings)
      this.#report({
        level: 'checksum',
        name: 'checksums',
        outcome: 'failed',
        detail: [message, ...details].join('; '),
      })
    if (findings.length === 0)
      this.#report({
        level: 'checksum',
        name: 'checksums',
        outcome: 'passed',
        detail: `${packs} packs, ${formatSize(bytes)}, every byte read${packsLeftOut > 0 ? `; ${packsLeftOut} more when snapshot ${shortId(alreadyChecked!.id)} was verified` : ''}`,
      })
  }

  async #readStructure(): Promise<void> {
    const { proof } = this.#options
    if (proof !== undefined) return await proof.checkStructure(this.#job)
    this.#report({
      level: 'structure',
      name: 'structure',
      outcome: 'skipped',
      detail: `snapshot ${shortId(this.#snapshot.id)} is of no source whose structure is known`,
    })
  }

  async #restore(withData: boolean): Promise<void> {
    const { proof, assertions } = this.#options
    if (proof === undefined) return
    await using folder = SandboxFolder.create()
    await using sandbox = await proof.openSandbox(this.#job, folder)
    if (sandbox === undefined) {
      if (withData) this.#skipData('it was not restored')
      return
    }
    this.#facts = sandbox.facts
    if (!withData || !this.#isIntact()) return
    await this.#step('data', async () => {
      await sandbox.compare()
      for (const assertion of assertions) {
        this.#options.signal?.throwIfAborted()
        this.#report(await this.#judge(sandbox, assertion))
      }
    })
  }

  #skipData(reason: string): void {
    this.#report({ level: 'data', name: 'equality', outcome: 'skipped', detail: reason })
    for (const { name } of this.#options.assertions)
      this.#report({ level: 'data', name: `assertion "${name}"`, outcome: 'skipped', detail: reason })
  }

  async #judge(sandbox: ProofSandbox, assertion: Assertion): Promise<ProofCheck> {
    const { name, expect } = assertion
    const check = { level: 'data', name: `assertion "${name}"` } as const
    try {
      const { value, rows } = await sandbox.answer(assertion)
      if (parseExpectation(expect)({ value, rows, now: new Date(Number(this.#options.clock.now() / 1_000_000n)) }))
        return { ...check, outcome: 'passed' }
      return {
        ...check,
        outcome: 'failed',
        detail: `${expect} does not hold: value is ${shown(value)}, of ${rows.length} rows`,
      }
    } catch (error) {
      this.#options.signal?.throwIfAborted()
      return { ...check, outcome: 'failed', detail: error instanceof Error ? error.message : String(error) }
    }
  }
}

const endsTheRun = (error: HoldfastError): boolean =>
  isHoldfastError(error, 'HF_INTERRUPTED', 'HF_LOCK_LOST', 'HF_INTERNAL', 'HF_STORAGE_DENIED', 'HF_STORAGE_IO')

/** The highest level up to `asked` at which, and below which, something passed and nothing was left open. */
function provedLevel(checks: readonly ProofCheck[], asked: ProofLevel): ProofLevel | undefined {
  let proved: ProofLevel | undefined
  for (const level of proofLevels) {
    const outcomes = checks.flatMap((check) => (check.level === level ? check.outcome : []))
    const isProved = outcomes.includes('passed') && !outcomes.includes('failed') && !outcomes.includes('skipped')
    if (!isProved) return proved
    proved = level
    if (level === asked) return proved
  }
  return proved
}

const MAX_SHOWN = 80

function shown(value: unknown): string {
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value))
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}
