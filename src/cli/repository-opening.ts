import { ageInDays } from '../engine/keys/key-age.ts'
import type { PasswordKey } from '../engine/keys/password-key.ts'
import type { KeyEnvelope } from '../engine/repository/key-envelope.ts'
import { type OpenOptions, openRepository, type Repository } from '../engine/repository/repository.ts'
import type { Storage } from '../engine/storage/storage.ts'
import { HoldfastError, isHoldfastError } from '../lib/errors.ts'
import { type Id, shortId } from '../lib/id.ts'
import type { ConfiguredKeys, ResolvedAccess } from './access.ts'
import type { CommandContext } from './context.ts'
import { withPassword } from './password.ts'

/**
 * Opens the repository in `storage` by the first of its keys that can, else by its password.
 * @throws HoldfastError HF_KEY_UNAVAILABLE when there are only keys and none can; those of `openRepository` and `withPassword`
 */
export async function openByAccess(
  context: CommandContext,
  access: ResolvedAccess,
  storage: Storage,
  options: OpenOptions,
): Promise<Repository> {
  const { keys, password } = access
  if (keys !== undefined)
    try {
      return await openByKeys(context, keys, storage, options)
    } catch (error) {
      if (password === undefined || !isHoldfastError(error, 'HF_KEY_UNAVAILABLE')) throw error
      context.output.warn(`Warning: ${error.message}; trying the password`)
    }
  return withPassword(context, password!, `enter password for ${access.what}: `, (text) =>
    openRepository(storage, { password: text, keyHint: access.keyHint }, options),
  )
}

async function openByKeys(
  { output, clock, signal }: CommandContext,
  { load, maxAgeDays }: ConfiguredKeys,
  storage: Storage,
  options: OpenOptions,
): Promise<Repository> {
  const { openBySealed } = await import('../engine/keys/open-sealed.ts')
  const open = (password: string, keyId: Id): Promise<Repository> =>
    openRepository(storage, { password, keyHint: keyId }, options)
  const { result: repository, key, file, failures } = await openBySealed(storage, await load(), open, signal)
  requireSameRepository(repository, file)
  for (const { error } of failures) output.warn(`Warning: ${error.message}; the repository was opened by ${key.title}`)
  const days = ageInDays(file.created, clock.now())
  if (days > maxAgeDays && file.id === repository.keyId)
    output.warn(
      `Warning: key ${shortId(file.id)} is ${days} days old, more than ${maxAgeDays}; run: holdfast key rotate`,
    )
  return repository
}

/** What is sealed for one repository must not pass for that of another. */
function requireSameRepository(
  { config, storage }: Repository,
  { id, envelope }: { id: Id; envelope: KeyEnvelope },
): void {
  if (config.id === envelope.repository) return
  throw new HoldfastError('HF_KEY_INVALID', `key file ${shortId(id)} at ${storage.location} is of another repository`, {
    hint: 'somebody may have put it there; remove it, and bring back the key file of this repository from a copy',
  })
}

/** The password of a repository whose making was cut off behind its key file, if one of `keys` opens that. */
async function begunPassword(
  storage: Storage,
  keys: readonly PasswordKey[],
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const { loadSealed, openBySealed } = await import('../engine/keys/open-sealed.ts')
  try {
    await storage.stat({ kind: 'config' }, { signal })
    return undefined
  } catch (error) {
    if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
  }
  if ((await loadSealed(storage, signal)).length === 0) return undefined
  try {
    return (await openBySealed(storage, keys, async (password) => password, signal)).password
  } catch (error) {
    if (isHoldfastError(error, 'HF_KEY_UNAVAILABLE')) return undefined
    throw error
  }
}

/** The password of a repository that is about to be made, and how it is sealed for its keys; a new one unless `password` is to be it. */
export async function firstSealedPassword(
  { signal }: CommandContext,
  keys: ConfiguredKeys,
  password: string | undefined,
  storage: Storage,
): Promise<{ readonly password: string; readonly seal: (repository: Id) => Promise<KeyEnvelope> }> {
  const { newPassword, sealPassword, verifySealed } = await import('../engine/keys/seal-password.ts')
  const loaded: readonly PasswordKey[] = await keys.load()
  const chosen = password ?? (await begunPassword(storage, loaded, signal)) ?? newPassword()
  return {
    password: chosen,
    async seal(repository) {
      const envelope = await sealPassword(loaded, chosen, { repository, signal })
      await verifySealed(loaded, envelope, chosen, signal)
      return envelope
    },
  }
}
