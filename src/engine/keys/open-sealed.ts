import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { parseTime, type Timestamp, zeroTime } from '../../lib/go-time.ts'
import { type Id, shortId } from '../../lib/id.ts'
import { type KeyEnvelope, parseEnvelope } from '../repository/key-envelope.ts'
import { loadKeyFile } from '../repository/key-management.ts'
import { readConfig } from '../repository/master-key.ts'
import type { Storage } from '../storage/storage.ts'
import { keyMismatch } from './key-failure.ts'
import type { PasswordKey } from './password-key.ts'

/** A key file whose password is sealed within it. */
export interface SealedKeyFile {
  readonly id: Id
  readonly created: Timestamp
  readonly envelope: KeyEnvelope
}

/** A key that could not be used, or opened nothing. */
export interface KeyFailure {
  readonly key: PasswordKey
  readonly error: HoldfastError
}

/** At most so many key files are read for sealed passwords. */
const MAX_KEY_FILES = 100

/**
 * The key files that have sealed passwords, the newest first. Damaged ones are left out: others may open the repository.
 * @throws HoldfastError storage errors
 */
export async function loadSealed(storage: Storage, signal?: AbortSignal): Promise<readonly SealedKeyFile[]> {
  const ids: Id[] = []
  for await (const { name } of storage.list('key', { signal })) ids.push(name)
  const files: SealedKeyFile[] = []
  for (const id of ids.sort().slice(0, MAX_KEY_FILES))
    try {
      const { created, extension } = await loadKeyFile(storage, id, signal)
      const envelope = parseEnvelope(extension, id)
      if (envelope !== undefined) files.push({ id, created: parseTime(created) ?? zeroTime, envelope })
    } catch (error) {
      if (!isHoldfastError(error, 'HF_KEY_INVALID', 'HF_STORAGE_NOT_FOUND')) throw error
    }
  return files.sort((a, b) => b.created.seconds - a.created.seconds)
}

/** What opened a repository. */
export interface Opened<T> {
  readonly result: T
  readonly password: string
  readonly key: PasswordKey
  /** Where the password was sealed. */
  readonly file: SealedKeyFile
  /** Keys that were tried before in vain. */
  readonly failures: readonly KeyFailure[]
}

/**
 * Opens a repository by the first of `keys` that can. `open` is called with an unsealed password and the key file it is for; when it fails
 * with HF_KEY_WRONG_PASSWORD or HF_CRYPTO_AUTH, which a foreign or tampered key file leads to, the next one is tried.
 *
 * @throws HoldfastError HF_KEY_UNAVAILABLE naming why each of the keys failed, HF_REPO_NOT_FOUND; what `open` throws
 */
export async function openBySealed<T>(
  storage: Storage,
  keys: readonly PasswordKey[],
  open: (password: string, keyId: Id) => Promise<T>,
  signal?: AbortSignal,
): Promise<Opened<T>> {
  const files = await loadSealed(storage, signal)
  // Where there is no repository at all, that is what there is to tell.
  if (files.length === 0) await readConfig(storage, signal)
  const failures: KeyFailure[] = []
  for (const key of keys) {
    if (!key.canOpen) continue
    let last: HoldfastError | undefined
    for (const file of files) {
      const opened = await tryFile(key, file, open, signal)
      if ('result' in opened) return { ...opened, key, file, failures }
      last = opened.error ?? last
      // A key that cannot be used now is not asked again for every file.
      if (isHoldfastError(opened.error, 'HF_KEY_UNAVAILABLE')) break
    }
    failures.push({ key, error: last ?? nothingSealed(key) })
  }
  throw noneOpens(
    failures,
    files.some(({ envelope }) => envelope.wrapped.length > 0),
  )
}

type Tried<T> = { readonly result: T; readonly password: string } | { readonly error: HoldfastError | undefined }

async function tryFile<T>(
  key: PasswordKey,
  { id, envelope }: SealedKeyFile,
  open: (password: string, keyId: Id) => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<Tried<T>> {
  let error: HoldfastError | undefined
  for (const sealed of envelope.wrapped) {
    if (!key.matches(sealed)) continue
    try {
      const password = await key.open(sealed, { repository: envelope.repository, signal })
      return { password, result: await open(password, id) }
    } catch (failure) {
      if (isHoldfastError(failure, 'HF_CRYPTO_AUTH', 'HF_KEY_WRONG_PASSWORD')) {
        // A key file of another repository, put there by mistake or on purpose, must not keep ours from being tried.
        error = keyMismatch(key.title, `key file ${shortId(id)}, which it opens, is not of this repository`, failure)
        continue
      }
      if (!isHoldfastError(failure, 'HF_KEY_UNAVAILABLE', 'HF_KEY_MISMATCH')) throw failure
      error = failure
      if (failure.code === 'HF_KEY_UNAVAILABLE') break
    }
  }
  return { error }
}

/** What is told of a key that nothing is sealed for. */
export const nothingSealed = ({ title }: PasswordKey): HoldfastError =>
  new HoldfastError('HF_KEY_MISMATCH', `${title}: nothing in the repository is sealed for it`, {
    hint: 'open the repository by another key or its password, then run: holdfast key rotate',
    context: { key: title, reason: 'mismatch' },
  })

function noneOpens(failures: readonly KeyFailure[], isSealed: boolean): HoldfastError {
  if (!isSealed)
    return new HoldfastError('HF_KEY_UNAVAILABLE', 'the repository has no password that is sealed for any key', {
      hint: 'open it with its password, then run: holdfast key rotate',
    })
  const reasons = failures.map(({ error }) => error.message).join('; ')
  return new HoldfastError('HF_KEY_UNAVAILABLE', `no key opens the repository: ${reasons}`, {
    hint: failures.find(({ error }) => error.hint !== undefined)?.error.hint ?? 'bring back one of these keys',
    retry: failures.some(({ error }) => error.retry === 'later') ? 'later' : 'after-fix',
    cause: failures[0]?.error,
  })
}
