import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import { plainError } from '../../../lib/worker-pool.ts'
import { type Problems, reasonOf } from './finding.ts'
import type { PackChecker, PackToCheck, PackWindow } from './pack-checker.ts'
import type { PackOutcome } from './read-messages.ts'

/** Brings a window of a pack. What it returns stays as it is until the next call. */
export type ReadWindow<Result> = (pack: PackToCheck, window: PackWindow) => Result

type Attempt = { readonly problems: Problems } | { readonly error: unknown }

/** Checks a pack; when something is wrong, once more, as the failure may lie on the way rather than in the storage. */
export function checkTwiceSync(
  checker: PackChecker,
  pack: PackToCheck,
  place: number,
  read: ReadWindow<Uint8Array>,
): PackOutcome {
  const attempt = (): Attempt => {
    try {
      const check = checker.check(pack)
      let step = check.next()
      while (!step.done) step = check.next(read(pack, step.value))
      return { problems: step.value }
    } catch (error) {
      return failed(error)
    }
  }
  const first = attempt()
  return isFine(first) ? judge(place, first, first) : judge(place, first, attempt())
}

/** The same for a storage that has to be waited for. */
export async function checkTwice(
  checker: PackChecker,
  pack: PackToCheck,
  place: number,
  read: ReadWindow<Promise<Uint8Array>>,
): Promise<PackOutcome> {
  const attempt = async (): Promise<Attempt> => {
    try {
      const check = checker.check(pack)
      let step = check.next()
      while (!step.done) step = check.next(await read(pack, step.value))
      return { problems: step.value }
    } catch (error) {
      return failed(error)
    }
  }
  const first = await attempt()
  return isFine(first) ? judge(place, first, first) : judge(place, first, await attempt())
}

/** Failures of the storage are a result; being cancelled and defects of ours are not. */
function failed(error: unknown): Attempt {
  if (!(error instanceof HoldfastError) || isHoldfastError(error, 'HF_INTERRUPTED', 'HF_INTERNAL')) throw error
  return { error }
}

const isFine = (attempt: Attempt): boolean => 'problems' in attempt && attempt.problems.count === 0

function judge(pack: number, first: Attempt, second: Attempt): PackOutcome {
  if (isFine(first)) return { pack, verdict: 'intact', problems: [] }
  if (isFine(second))
    return {
      pack,
      verdict: 'passing-failure',
      problems: 'problems' in first ? first.problems.list() : [reasonOf(first.error)],
    }
  if ('problems' in second) return { pack, verdict: 'damaged', problems: second.problems.list() }
  return { pack, verdict: 'unreadable', problems: [], error: plainError(second.error) }
}
