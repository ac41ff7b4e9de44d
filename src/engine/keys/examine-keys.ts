import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { parseTime, type Timestamp, zeroTime } from '../../lib/go-time.ts'
import type { Id } from '../../lib/id.ts'
import { parseEnvelope } from '../repository/key-envelope.ts'
import { loadKeyFile } from '../repository/key-management.ts'
import { openKeyFile } from '../repository/keys.ts'
import type { Storage } from '../storage/storage.ts'
import { ageInDays } from './key-age.ts'
import { loadSealed, nothingSealed, type SealedKeyFile } from './open-sealed.ts'
import type { PasswordKey } from './password-key.ts'

/** What became of a key when it was tried. */
export interface KeyExamination {
  readonly key: PasswordKey
  /** The key file it opens. Absent for a key that fails, and for one that things can only be sealed for. */
  readonly opens?: Id
  readonly error?: HoldfastError
}

export interface KeyFileAge {
  readonly id: Id
  readonly created: Timestamp
  readonly ageDays: number
  readonly sealedFor: readonly string[]
  readonly kit: string | undefined
}

/**
 * Tries every key, all at the same time: unseals, and opens a key file with what came out. Neither opens the repository nor locks it, so it
 * works when nothing else does.
 * @throws HoldfastError storage errors
 */
export async function examineKeys(
  storage: Storage,
  keys: readonly PasswordKey[],
  signal?: AbortSignal,
): Promise<readonly KeyExamination[]> {
  const files = await loadSealed(storage, signal)
  return await Promise.all(keys.map((key) => examineKey(storage, key, files, signal)))
}

async function examineKey(
  storage: Storage,
  key: PasswordKey,
  files: readonly SealedKeyFile[],
  signal: AbortSignal | undefined,
): Promise<KeyExamination> {
  const matching = files.flatMap(({ id, envelope }) =>
    envelope.wrapped.filter((sealed) => key.matches(sealed)).map((sealed) => ({ id, envelope, sealed })),
  )
  let error = nothingSealed(key)
  if (!key.canOpen) return matching.length > 0 ? { key } : { key, error }
  for (const { id, envelope, sealed } of matching)
    try {
      const password = await key.open(sealed, { repository: envelope.repository, signal })
      const master = await openKeyFile(await loadKeyFile(storage, id, signal), password, id)
      if (master !== undefined) return { key, opens: id }
      error = new HoldfastError('HF_KEY_MISMATCH', `${key.title}: what is sealed for it does not open the repository`)
    } catch (failure) {
      if (!isHoldfastError(failure, 'HF_KEY_UNAVAILABLE', 'HF_KEY_MISMATCH', 'HF_KEY_INVALID')) throw failure
      error = failure
      if (failure.code === 'HF_KEY_UNAVAILABLE') break
    }
  return { key, error }
}

/** How old the key files are, the oldest first; damaged ones are left out. @throws HoldfastError storage errors */
export async function keyFileAges(
  storage: Storage,
  nowNanoseconds: bigint,
  signal?: AbortSignal,
): Promise<readonly KeyFileAge[]> {
  const ages: KeyFileAge[] = []
  for await (const { name: id } of storage.list('key', { signal }))
    try {
      const { created: text, extension } = await loadKeyFile(storage, id, signal)
      const created = parseTime(text) ?? zeroTime
      const envelope = parseEnvelope(extension, id)
      const sealedFor = [...new Set(envelope?.wrapped.map(({ type }) => type))]
      ages.push({ id, created, ageDays: ageInDays(created, nowNanoseconds), sealedFor, kit: envelope?.kit })
    } catch (error) {
      if (!isHoldfastError(error, 'HF_KEY_INVALID', 'HF_STORAGE_NOT_FOUND')) throw error
    }
  return ages.sort((a, b) => b.ageDays - a.ageDays || (a.id < b.id ? -1 : 1))
}
