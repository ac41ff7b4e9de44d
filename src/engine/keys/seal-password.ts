import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { randomBytes } from '../../lib/random.ts'
import type { KeyEnvelope, WrappedPassword } from '../repository/key-envelope.ts'
import type { PasswordKey, SealingContext } from './password-key.ts'

const PASSWORD_BYTES = 32

/** A password nobody has to remember: 256 bits of chance as text. */
export const newPassword = (): string => Buffer.from(randomBytes(PASSWORD_BYTES)).toString('base64')

/**
 * Seals a password for all of `keys`; those that can seal anew what `before` has sealed do so without seeing it.
 * @throws HoldfastError HF_KEY_UNAVAILABLE when one of them cannot be used: an envelope that lacks one silently would be found too late.
 *   HF_USAGE when none of them could open it again
 */
export async function sealPassword(
  keys: readonly PasswordKey[],
  password: string,
  context: SealingContext,
  before?: KeyEnvelope,
): Promise<KeyEnvelope> {
  requireOpener(keys)
  const wrapped = await Promise.all(keys.map((key) => sealFor(key, password, context, before)))
  return { repository: context.repository, wrapped }
}

/** @throws HoldfastError HF_USAGE when nothing of `keys` opens what is sealed for it */
function requireOpener(keys: readonly PasswordKey[]): void {
  if (keys.some(({ canOpen }) => canOpen)) return
  throw new HoldfastError('HF_USAGE', 'none of the keys could open the repository: they hold recipients only', {
    hint: 'name a key that this machine can use as well: kms, an age identity, or a passphrase',
  })
}

async function sealFor(
  key: PasswordKey,
  password: string,
  context: SealingContext,
  before: KeyEnvelope | undefined,
): Promise<WrappedPassword> {
  for (const sealed of before?.wrapped ?? []) {
    if (sealed.type !== key.type) continue
    const again = await resealed(key, sealed, context)
    if (again !== undefined) return again
  }
  return await key.seal(password, context)
}

/** Undefined when it has to be sealed from the password, also because the key it was sealed with is of no use any more. */
async function resealed(
  key: PasswordKey,
  sealed: WrappedPassword,
  context: SealingContext,
): Promise<WrappedPassword | undefined> {
  try {
    return await key.reseal?.(sealed, context)
  } catch (error) {
    if (isHoldfastError(error, 'HF_KEY_UNAVAILABLE', 'HF_KEY_MISMATCH')) return undefined
    throw error
  }
}

/** That each of `keys` which can open does open what was sealed for it. @throws HoldfastError HF_KEY_UNAVAILABLE, HF_KEY_MISMATCH */
export async function verifySealed(
  keys: readonly PasswordKey[],
  { repository, wrapped }: KeyEnvelope,
  password: string,
  signal?: AbortSignal,
): Promise<void> {
  for (const [index, key] of keys.entries()) {
    if (!key.canOpen) continue
    if ((await key.open(wrapped[index]!, { repository, signal })) !== password)
      throw new HoldfastError('HF_KEY_MISMATCH', `${key.title}: opens another password than was sealed for it`)
  }
}
