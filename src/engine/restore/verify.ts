import { HoldfastError } from '../../lib/errors.ts'
import { type PlainError, reviveError } from '../../lib/worker-pool.ts'
import type { Repository } from '../repository/repository.ts'
import { byteStringToText } from '../repository/tree/node.ts'
import { compareFiles, type FileComparison } from './compare-files.ts'
import { ROOT } from './entry-table.ts'
import type { RestorePlan } from './restore-plan.ts'
import { RestoreThreads } from './restore-threads.ts'
import { beginOnThreads } from './thread-plan.ts'

export interface VerifyOptions {
  /** Entries that failed, which nobody expects to be right. */
  readonly except?: ReadonlySet<number>
  /** A file that is not what it should be. `item` is its path in the snapshot. */
  readonly onError: (item: string, error: Error) => void
  /** A file has been compared; the total is known from the start. */
  readonly onFile?: (verified: number, total: number) => void
  readonly signal?: AbortSignal | undefined
}

export interface VerifyOutcome {
  /** Files compared and found right. */
  readonly files: number
  readonly errors: number
}

/** Reads every file again whose content the plan has written, and compares it with the snapshot, blob by blob, on all threads. */
export async function verifyRestore(
  repository: Repository,
  plan: RestorePlan,
  options: VerifyOptions,
  threads?: RestoreThreads,
): Promise<VerifyOutcome> {
  const { entries, content, rows, target, rules } = plan
  const written = writtenFiles(plan, options.except)
  let errors = 0
  let compared = 0
  const own = threads === undefined ? new RestoreThreads() : undefined
  try {
    const all = threads ?? own!
    await beginOnThreads(all, repository, { target, entries, content, rows, rules })
    await compareFiles(written, {
      table: entries,
      content,
      rows,
      threads: all,
      onFile: (entry, comparison, error) => {
        const failure = failureOf(plan, entry, comparison, error)
        if (failure !== undefined) {
          errors++
          options.onError(byteStringToText(entries.path(entry)), failure)
        }
        compared++
        options.onFile?.(compared, written.length)
      },
      signal: options.signal,
    })
    await all.runOnEach({ kind: 'end' })
  } finally {
    await own?.close()
  }
  return { files: compared - errors, errors }
}

function writtenFiles({ entries }: RestorePlan, except: ReadonlySet<number> = new Set()): number[] {
  const written: number[] = []
  for (let entry = ROOT + 1; entry < entries.count; entry++) {
    const action = entries.action(entry)
    const isWritten = entries.kind(entry) === 'file' && action !== 'skip' && action !== 'adjust'
    if (isWritten && !except.has(entry)) written.push(entry)
  }
  return written
}

function failureOf(
  { entries, content, rows }: RestorePlan,
  entry: number,
  comparison: FileComparison | undefined,
  error: PlainError | undefined,
): Error | undefined {
  const wrong = (what: string): HoldfastError =>
    new HoldfastError('HF_RESTORE_FAILED', `verification failed: ${what}`, {
      hint: 'if nobody writes to the target, its disk or the memory of this machine is not to be trusted',
      ...(error === undefined ? {} : { cause: reviveError(error) }),
    })
  if (error !== undefined) return wrong(`it cannot be read: ${error.message}`)
  if (comparison === undefined) return wrong('there is no such regular file')
  const expected = entries.memory.number[entry]!
  if (comparison.sizeBytes !== expected) return wrong(`it has ${comparison.sizeBytes} bytes instead of ${expected}`)
  const blob = comparison.matches?.indexOf(0) ?? -1
  if (blob < 0) return undefined
  const start = entries.contentStart(entry)
  let offset = 0
  for (let b = 0; b < blob; b++) offset += rows.plaintextLength(content[start + b]!)
  const length = rows.plaintextLength(content[start + blob]!)
  return wrong(`its bytes ${offset}-${offset + length - 1} are not those of the snapshot`)
}
