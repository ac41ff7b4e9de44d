import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import { plainError } from '../../../lib/worker-pool.ts'
import { sha256Hex } from '../../kernels/sha256.ts'
import { type Problems, reasonOf } from './finding.ts'
import type { Inspection, PackWindow } from './pack-checker.ts'
import type { PackOutcome } from './read-messages.ts'

/** Begins an attempt at a pack. */
export type Attempt = () => Generator<PackWindow, Inspection, Uint8Array>

type Result = Inspection | { readonly error: unknown }

/** Checks a pack; when something is wrong, once more, as the failure may lie on the way rather than in the storage. */
export function readTwiceSync(attempt: Attempt, read: (window: PackWindow) => Uint8Array): PackOutcome {
  const once = (): Result => {
    try {
      const check = attempt()
      let step = check.next()
      while (!step.done) step = check.next(read(step.value))
      return step.value
    } catch (error) {
      return failed(error)
    }
  }
  const first = once()
  return judge(first, isFine(first) ? first : once())
}

/** The same for a storage that has to be waited for. */
export async function readTwice(
  attempt: Attempt,
  read: (window: PackWindow) => Promise<Uint8Array>,
): Promise<PackOutcome> {
  const once = async (): Promise<Result> => {
    try {
      const check = attempt()
      let step = check.next()
      while (!step.done) step = check.next(await read(step.value))
      return step.value
    } catch (error) {
      return failed(error)
    }
  }
  const first = await once()
  return judge(first, isFine(first) ? first : await once())
}

/** Failures of the storage are a result; being cancelled and defects of ours are not. */
function failed(error: unknown): Result {
  if (!(error instanceof HoldfastError) || isHoldfastError(error, 'HF_INTERRUPTED', 'HF_INTERNAL')) throw error
  return { error }
}

const isFine = (result: Result): boolean => 'problems' in result && result.problems.count === 0

function judge(first: Result, second: Result): PackOutcome {
  if ('error' in second) return { verdict: 'unreadable', problems: [], error: plainError(second.error) }
  const listing = second.rows && sha256Hex(second.rows)
  if (second.problems.count > 0) return { verdict: 'damaged', problems: second.problems.list(), listing }
  if (isFine(first)) return { verdict: 'intact', problems: [], listing }
  return { verdict: 'passing-failure', problems: problemsOf(first), listing }
}

const problemsOf = (result: Result): ReturnType<Problems['list']> =>
  'problems' in result ? result.problems.list() : [reasonOf(result.error)]
