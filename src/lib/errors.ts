/** Whether doing the same thing again can help: never, later (a passing fault), or once something has been put right. */
export type RetryClass = 'never' | 'later' | 'after-fix'

/** Plain facts about the failure (object, path, sizes); never a secret. */
export type ErrorContext = Readonly<Record<string, string | number | bigint | boolean | undefined>>

export interface HoldfastErrorOptions {
  readonly retry?: RetryClass
  readonly hint?: string
  readonly context?: ErrorContext
  readonly cause?: unknown
}

/**
 * Every failure Holdfast reports. `code` is stable and listed in `docs/reference/errors.md`; `message` says what happened to which object;
 * `hint` says what to do next.
 */
export class HoldfastError extends Error {
  readonly code: ErrorCode
  readonly retry: RetryClass
  readonly hint: string | undefined
  readonly context: ErrorContext

  constructor(code: ErrorCode, message: string, options: HoldfastErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'HoldfastError'
    this.code = code
    this.retry = options.retry ?? errorCodes[code].retry
    this.hint = options.hint
    this.context = options.context ?? {}
  }
}

interface ErrorCodeFacts {
  readonly meaning: string
  readonly retry: RetryClass
}

const facts = (meaning: string, retry: RetryClass = 'never'): ErrorCodeFacts => ({ meaning, retry })

/** The table behind `docs/reference/errors.md`; a test compares the two. */
export const errorCodes = {
  HF_USAGE: facts('The command line or an argument is wrong.', 'after-fix'),
  HF_UNSUPPORTED: facts('An option or feature of restic that Holdfast refuses by name, with the reason.', 'after-fix'),
  HF_INTERRUPTED: facts('The operation was cancelled or the process was asked to stop.', 'later'),
  HF_INTERNAL: facts('A defect in Holdfast.'),
  HF_STORAGE_NOT_FOUND: facts('A file that should be in the storage is not there.'),
  HF_STORAGE_EXISTS: facts('A create-only write met a file that already exists.'),
  HF_STORAGE_FULL: facts('The storage has no space left.', 'after-fix'),
  HF_STORAGE_DENIED: facts('The storage refused access.', 'after-fix'),
  HF_STORAGE_IO: facts('The storage failed to read or write.', 'later'),
  HF_STORAGE_SHORT: facts('The storage returned fewer bytes than were stored or asked for.', 'later'),
  HF_STORAGE_LOCATION: facts('The repository location cannot be understood.', 'after-fix'),
  HF_REPO_NOT_FOUND: facts('There is no repository at this location.', 'after-fix'),
  HF_REPO_EXISTS: facts('There already is a repository at this location.', 'after-fix'),
  HF_REPO_VERSION: facts('The repository has a format version Holdfast does not know.'),
  HF_REPO_CONFIG: facts('The repository config file is damaged or not acceptable.'),
  HF_REPO_LOCKED: facts('The repository is locked by another process.', 'later'),
  HF_LOCK_LOST: facts('Our lock on the repository vanished or could not be renewed in time.', 'later'),
  HF_KEY_WRONG_PASSWORD: facts('No key file of the repository opens with this password.', 'after-fix'),
  HF_KEY_INVALID: facts('A key file is damaged or has unacceptable parameters.'),
  HF_KEY_NOT_FOUND: facts('No key file has this id.', 'after-fix'),
  HF_KEY_IN_USE: facts('The key in use cannot remove itself.', 'after-fix'),
  HF_PASSWORD_MISSING: facts('No password was given and none can be asked for.', 'after-fix'),
  HF_CRYPTO_AUTH: facts('Stored bytes fail their authentication code: damaged, or not of this repository.'),
  HF_DATA_DAMAGED: facts('Stored bytes are authentic in part or whole but do not decode to what their name says.'),
  HF_INDEX_INCOMPLETE: facts('The index does not know a blob that snapshots need.', 'after-fix'),
  HF_BLOB_NOT_FOUND: facts('A blob is in no index.'),
  HF_PACK_DAMAGED: facts('A pack file is damaged.'),
  HF_SNAPSHOT_NOT_FOUND: facts('No snapshot matches.', 'after-fix'),
  HF_SNAPSHOT_AMBIGUOUS: facts('A snapshot prefix matches several snapshots.', 'after-fix'),
  HF_TREE_INVALID: facts('A tree blob does not hold a valid directory.'),
  HF_PATH_NOT_FOUND: facts('A path is not in the snapshot or not on this machine.', 'after-fix'),
  HF_POLICY_EMPTY: facts('A retention policy that would keep nothing was refused.', 'after-fix'),
  HF_PATTERN_INVALID: facts('A pattern, duration, size or time cannot be understood.', 'after-fix'),
  HF_SOURCE_UNREADABLE: facts('Nothing of what was to be backed up could be read.', 'after-fix'),
  HF_SOURCE_COMMAND: facts('A command whose output was to be backed up failed.', 'after-fix'),
  HF_TARGET_INVALID: facts('A restore target cannot be used.', 'after-fix'),
  HF_RESTORE_FAILED: facts('A file or its attributes could not be restored.', 'after-fix'),
  HF_KERNEL_UNUSABLE: facts('A compute kernel failed its self-test.'),
} as const satisfies Record<string, ErrorCodeFacts>

export type ErrorCode = keyof typeof errorCodes

/** True when `error` is a HoldfastError with one of `codes` (any code when none is given). */
export function isHoldfastError(error: unknown, ...codes: readonly ErrorCode[]): error is HoldfastError {
  return error instanceof HoldfastError && (codes.length === 0 || codes.includes(error.code))
}

/** The system error code (`ENOENT` ...) of a Node error, if it has one. */
export function systemErrorCode(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | null)?.code
  return typeof code === 'string' ? code : undefined
}
