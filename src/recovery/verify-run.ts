import type { Assertion } from '../config/assertion.ts'
import { userName } from '../engine/posix/owner-names.ts'
import type { Repository } from '../engine/repository/repository.ts'
import { rootOf, type StoredSnapshot } from '../engine/repository/snapshot.ts'
import type { Clock } from '../lib/clock.ts'
import { HoldfastError } from '../lib/errors.ts'
import { formatTime, localTimestamp } from '../lib/go-time.ts'
import type { Progress } from '../lib/progress.ts'
import type { ProofCheck, ProofLevel } from '../sources/proof.ts'
import type { Source } from '../sources/source.ts'
import { proveSnapshot } from './prove.ts'
import { saveVerification, type Verification } from './verification-record.ts'

/** A snapshot that is to be verified. */
export interface VerifyItem {
  readonly snapshot: StoredSnapshot
  /** What it is of, as it is configured now; without it only checksums can be verified. */
  readonly source: Source | undefined
  readonly assertions: readonly Assertion[]
  readonly level: ProofLevel
  /** A snapshot whose checksums are proved: what it shares with this one is not read again. */
  readonly alreadyChecked?: StoredSnapshot | undefined
}

export interface VerifyObserver {
  onBegin(item: VerifyItem): void
  onCheck(item: VerifyItem, check: ProofCheck): void
  onFinished(result: VerifyResult): void
}

export interface VerifyOptions {
  readonly programVersion: string
  readonly clock: Clock
  readonly progress: Progress
  readonly observer: VerifyObserver
  readonly signal?: AbortSignal | undefined
}

export interface VerifyResult {
  readonly item: VerifyItem
  readonly verification: Verification
  /** The snapshot the record is kept in. */
  readonly record: StoredSnapshot
}

/**
 * Verifies snapshots one after the other, and keeps a record of each in the repository, whatever came of it. A generator gets the result of each. The repository must have been
 * opened without a cache; its index is loaded and an append lock is held.
 *
 * @throws HoldfastError HF_INTERRUPTED, storage errors; a snapshot that is not as it should be is a result
 */
export async function verifySnapshots(
  repository: Repository,
  items: readonly VerifyItem[] | Generator<VerifyItem, void, VerifyResult>,
  options: VerifyOptions,
): Promise<readonly VerifyResult[]> {
  const results: VerifyResult[] = []
  const iterator: Iterator<VerifyItem, void, VerifyResult> = items[Symbol.iterator]()
  for (let next = iterator.next(...([] as never)); !next.done; next = iterator.next(results.at(-1)!)) {
    options.signal?.throwIfAborted()
    options.observer.onBegin(next.value)
    const result = await verify(repository, next.value, options)
    options.observer.onFinished(result)
    results.push(result)
  }
  return results
}

async function verify(repository: Repository, item: VerifyItem, options: VerifyOptions): Promise<VerifyResult> {
  const { snapshot, source, assertions, level, alreadyChecked } = item
  const { clock, progress, observer, programVersion, signal } = options
  const started = formatTime(localTimestamp(clock.now()))
  const result = await proveSnapshot(repository, snapshot, {
    level,
    alreadyChecked,
    assertions,
    proof: source?.proof,
    clock,
    progress,
    onCheck: (check) => observer.onCheck(item, check),
    signal,
  })
  const verification: Verification = {
    format: 1,
    source: nameOf(item),
    tree: rootOf(snapshot),
    snapshot: snapshot.id,
    asked: level,
    ...result,
    started,
    ended: formatTime(localTimestamp(clock.now())),
    program: programVersion,
  }
  const uid = process.getuid?.() ?? 0
  const labels = { username: userName(uid), uid, gid: process.getgid?.() ?? 0, programVersion }
  return { item, verification, record: await saveVerification(repository, verification, snapshot, labels, signal) }
}

/** Snapshots of plain folders have no source; the folder of their records is named after the machine. */
const nameOf = ({ snapshot, source }: VerifyItem): string =>
  source?.name ?? sourceNameOf(snapshot) ?? (snapshot.hostname.replaceAll(/[^A-Za-z0-9._-]/g, '_') || 'unnamed')

/** The source a snapshot says it is of. */
export function sourceNameOf({ tags }: StoredSnapshot): string | undefined {
  const name = tags.find((tag) => tag.startsWith('source='))?.slice('source='.length)
  return name !== undefined && /^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/.test(name) ? name : undefined
}

/** The failure a run as a whole ends with; undefined when everything was proved as asked. */
export function failureOfVerification(results: readonly VerifyResult[]): HoldfastError | undefined {
  const named = (outcome: Verification['outcome']): string[] =>
    results.flatMap(({ verification }) => (verification.outcome === outcome ? verification.source : []))
  const failed = named('failed')
  const unproved = named('unproved')
  if (failed.length > 0)
    return new HoldfastError(
      'HF_VERIFICATION_FAILED',
      `${failed.length} of ${results.length} snapshots are not as they should be: ${failed.join(', ')}`,
      { hint: 'restore an older one to be safe, back up anew, and look at the checks that failed' },
    )
  if (unproved.length > 0)
    return new HoldfastError(
      'HF_VERIFICATION_FAILED',
      `${unproved.length} of ${results.length} snapshots could not be proved as far as asked: ${unproved.join(', ')}`,
      { hint: 'the checks that were skipped say what is missing' },
    )
  return undefined
}
