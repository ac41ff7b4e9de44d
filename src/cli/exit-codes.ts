import { type ErrorCode, isHoldfastError } from '../lib/errors.ts'
import type { CommandFamily } from './command.ts'

export interface ExitCode {
  readonly code: number
  readonly meaning: string
  /** The command families that use it. */
  readonly families: readonly CommandFamily[]
}

const both: readonly CommandFamily[] = ['repository', 'configured']

/** The table behind `docs/reference/exit-codes.md`. */
export const exitCodes: readonly ExitCode[] = [
  { code: 0, meaning: 'Done.', families: both },
  {
    code: 1,
    meaning: 'Failed. For repository commands also: the command line is wrong, or `check` found damage.',
    families: both,
  },
  { code: 2, meaning: 'The command line or the configuration is wrong.', families: ['configured'] },
  {
    code: 3,
    meaning:
      'Done in part: some files could not be read (a snapshot of the others was made), or some snapshots could not be removed.',
    families: both,
  },
  { code: 4, meaning: 'A verification failed, or could not prove what was asked.', families: ['configured'] },
  { code: 5, meaning: 'Somebody has to approve this first.', families: ['configured'] },
  { code: 10, meaning: 'There is no repository at this place.', families: both },
  { code: 11, meaning: 'The repository is locked by another process.', families: both },
  { code: 12, meaning: 'The password is wrong.', families: both },
  {
    code: 13,
    meaning:
      'A key that the password of the repository is sealed for cannot be used: denied, disabled, unreachable or lost.',
    families: both,
  },
  { code: 14, meaning: 'A key is older than it may become.', families: both },
  { code: 130, meaning: 'Interrupted by a signal; locks were released.', families: both },
  { code: 141, meaning: 'Whoever read the output stopped reading (a closed pipe).', families: both },
]

const byError: Readonly<Partial<Record<ErrorCode, number>>> = {
  HF_INCOMPLETE: 3,
  HF_VERIFICATION_FAILED: 4,
  HF_REPO_NOT_FOUND: 10,
  HF_REPO_LOCKED: 11,
  HF_KEY_WRONG_PASSWORD: 12,
  HF_KEY_UNAVAILABLE: 13,
  HF_KEY_MISMATCH: 13,
  HF_KEY_OLD: 14,
  HF_INTERRUPTED: 130,
  HF_OUTPUT_CLOSED: 141,
}

/** The errors that have an exit code of their own. */
export const errorsOf = (exitCode: number): readonly ErrorCode[] =>
  (Object.keys(byError) as ErrorCode[]).filter((code) => byError[code] === exitCode)

const wrongInput: readonly ErrorCode[] = ['HF_USAGE', 'HF_CONFIG_INVALID', 'HF_CONFIG_NOT_FOUND']

/** The exit code for a failure. Everything unforeseen is 1. */
export function exitCodeOf(error: unknown, family: CommandFamily): number {
  if (!isHoldfastError(error)) return 1
  if (family === 'configured' && wrongInput.includes(error.code)) return 2
  return byError[error.code] ?? 1
}
