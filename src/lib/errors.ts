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

/** The table behind `docs/reference/errors.md`; a test compares the two. */
export const errorCodes = {
  HF_USAGE: { meaning: 'The command line or an argument is wrong.', retry: 'after-fix' },
  HF_UNSUPPORTED: {
    meaning: 'An option or feature of restic that Holdfast refuses by name, with the reason.',
    retry: 'after-fix',
  },
  HF_CONFIG_INVALID: {
    meaning: 'The configuration has mistakes; each is named with its place.',
    retry: 'after-fix',
  },
  HF_CONFIG_NOT_FOUND: { meaning: 'There is no configuration, or it cannot be read.', retry: 'after-fix' },
  HF_SECRET_UNAVAILABLE: {
    meaning: 'A secret that the configuration refers to is missing, empty, or where others can read it.',
    retry: 'after-fix',
  },
  HF_INTERRUPTED: { meaning: 'The operation was cancelled or the process was asked to stop.', retry: 'later' },
  HF_RUN_FAILED: { meaning: 'Some of the sources of a run failed; each was named before.', retry: 'after-fix' },
  HF_INCOMPLETE: {
    meaning: 'The work was done except for items that failed; each was named before.',
    retry: 'after-fix',
  },
  HF_OUTPUT_CLOSED: { meaning: 'Whoever reads standard output stopped reading.', retry: 'never' },
  HF_OUTPUT_FAILED: { meaning: 'Standard output cannot be written to.', retry: 'after-fix' },
  HF_INTERNAL: { meaning: 'A defect in Holdfast.', retry: 'never' },
  HF_STORAGE_NOT_FOUND: { meaning: 'A file that should be in the storage is not there.', retry: 'never' },
  HF_STORAGE_EXISTS: { meaning: 'A create-only write met a file that already exists.', retry: 'never' },
  HF_STORAGE_FULL: { meaning: 'The storage has no space left.', retry: 'after-fix' },
  HF_STORAGE_DENIED: { meaning: 'The storage refused access.', retry: 'after-fix' },
  HF_STORAGE_RETAINED: { meaning: 'The storage keeps the file until a time that has not come.', retry: 'never' },
  HF_STORAGE_THROTTLED: { meaning: 'The storage asks for fewer calls.', retry: 'later' },
  HF_STORAGE_ARCHIVED: { meaning: 'The file lies in an archive that must bring it back first.', retry: 'after-fix' },
  HF_STORAGE_UNREACHABLE: { meaning: 'The storage cannot be reached.', retry: 'later' },
  HF_STORAGE_UNTRUSTED: {
    meaning: 'The server cannot show that it is the one that is meant: its certificate or host key is not trusted.',
    retry: 'after-fix',
  },
  HF_STORAGE_IO: { meaning: 'The storage failed to read or write.', retry: 'later' },
  HF_STORAGE_SHORT: { meaning: 'The storage returned fewer bytes than were stored or asked for.', retry: 'later' },
  HF_STORAGE_CONTRACT: {
    meaning: 'A storage does not do what repositories rely on; it must not be used for one.',
    retry: 'never',
  },
  HF_STORAGE_LOCATION: { meaning: 'The repository location cannot be understood.', retry: 'after-fix' },
  HF_REPO_NOT_FOUND: { meaning: 'There is no repository at this location.', retry: 'after-fix' },
  HF_REPO_EXISTS: { meaning: 'There already is a repository at this location.', retry: 'after-fix' },
  HF_REPO_VERSION: { meaning: 'The repository has a format version Holdfast does not know.', retry: 'never' },
  HF_REPO_CONFIG: { meaning: 'The repository config file is damaged or not acceptable.', retry: 'never' },
  HF_REPO_LOCKED: { meaning: 'The repository is locked by another process.', retry: 'later' },
  HF_LOCK_LOST: { meaning: 'Our lock on the repository vanished or could not be renewed in time.', retry: 'later' },
  HF_KEY_WRONG_PASSWORD: { meaning: 'No key file of the repository opens with this password.', retry: 'after-fix' },
  HF_KEY_INVALID: { meaning: 'A key file is damaged or has unacceptable parameters.', retry: 'never' },
  HF_KEY_NOT_FOUND: { meaning: 'No key file has this id.', retry: 'after-fix' },
  HF_KEY_IN_USE: { meaning: 'The key in use cannot remove itself.', retry: 'after-fix' },
  HF_KEY_UNAVAILABLE: {
    meaning:
      'A key that the password of the repository is sealed for cannot be used: denied, disabled, unreachable or missing.',
    retry: 'after-fix',
  },
  HF_KEY_OLD: { meaning: 'A key is older than it may become before it is rotated.', retry: 'after-fix' },
  HF_KIT_INVALID: {
    meaning: 'Pages of a recovery kit are damaged, changed, too few, or of different kits.',
    retry: 'after-fix',
  },
  HF_KEY_MISMATCH: {
    meaning: 'A sealed password was sealed for another key or another repository, or is damaged.',
    retry: 'after-fix',
  },
  HF_PASSWORD_MISSING: { meaning: 'No password was given and none can be asked for.', retry: 'after-fix' },
  HF_CRYPTO_AUTH: {
    meaning: 'Stored bytes fail their authentication code: damaged, or not of this repository.',
    retry: 'never',
  },
  HF_DATA_DAMAGED: {
    meaning: 'Stored bytes are authentic in part or whole but do not decode to what their name says.',
    retry: 'never',
  },
  HF_INDEX_INCOMPLETE: { meaning: 'The index does not know a blob that snapshots need.', retry: 'after-fix' },
  HF_BLOB_NOT_FOUND: { meaning: 'A blob is in no index.', retry: 'never' },
  HF_PACK_DAMAGED: { meaning: 'A pack file is damaged.', retry: 'never' },
  HF_SNAPSHOT_NOT_FOUND: { meaning: 'No snapshot matches.', retry: 'after-fix' },
  HF_SNAPSHOT_AMBIGUOUS: { meaning: 'A snapshot prefix matches several snapshots.', retry: 'after-fix' },
  HF_TREE_INVALID: { meaning: 'A tree blob does not hold a valid directory.', retry: 'never' },
  HF_PATH_NOT_FOUND: { meaning: 'A path is not in the snapshot or not on this machine.', retry: 'after-fix' },
  HF_POLICY_EMPTY: { meaning: 'A retention policy that would keep nothing was refused.', retry: 'after-fix' },
  HF_PATTERN_INVALID: { meaning: 'A pattern, duration, size or time cannot be understood.', retry: 'after-fix' },
  HF_SOURCE_UNREADABLE: { meaning: 'Nothing of what was to be backed up could be read.', retry: 'after-fix' },
  HF_SOURCE_INVALID: { meaning: 'What was to be backed up has entries that no snapshot can hold.', retry: 'after-fix' },
  HF_NOT_MOUNTED: { meaning: 'A repository that lies on a mounted file system lies on none.', retry: 'after-fix' },
  HF_LOCATION_FORBIDDEN: { meaning: 'A repository does not lie where it may.', retry: 'after-fix' },
  HF_REQUIRED_MISSING: { meaning: 'Something that `require` of a source names is not there.', retry: 'after-fix' },
  HF_SOURCE_COMMAND: { meaning: 'A command whose output was to be backed up failed.', retry: 'after-fix' },
  HF_SOURCE_UNREACHABLE: { meaning: 'A server cannot be reached, or the connection to it broke.', retry: 'later' },
  HF_SOURCE_PERMISSION: { meaning: 'A server refuses the password, or a right that backups need.', retry: 'after-fix' },
  HF_SOURCE_UNSUPPORTED: {
    meaning: 'A server is of a version, or set up in a way, that cannot be backed up.',
    retry: 'after-fix',
  },
  HF_SOURCE_CHANGED: { meaning: 'A source is not the one its earlier snapshots are of.', retry: 'after-fix' },
  HF_SOURCE_DAMAGED: { meaning: 'What a server sent is damaged, cut off, or not of its format.', retry: 'later' },
  HF_ASSERTION_INVALID: {
    meaning: 'An assertion does not go with its source, or cannot be evaluated.',
    retry: 'after-fix',
  },
  HF_VERIFICATION_FAILED: { meaning: 'A snapshot was verified, and is not as it should be.', retry: 'never' },
  HF_TARGET_INVALID: { meaning: 'A restore target cannot be used.', retry: 'after-fix' },
  HF_RESTORE_FAILED: { meaning: 'A file or its attributes could not be restored.', retry: 'after-fix' },
} as const

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
