import type { KeyShape } from '../../config/key-shape.ts'
import { readSecret, type SecretReference } from '../../config/secret.ts'
import type { PasswordKey } from '../../engine/keys/password-key.ts'
import { type HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import type { Environment } from '../environment.ts'

/**
 * The keys of a repository, in the order of the configuration. One that cannot even be read does not keep the others from opening it: it
 * fails when it is used.
 */
export async function loadKeys(shapes: readonly KeyShape[], environment: Environment): Promise<readonly PasswordKey[]> {
  const keys: PasswordKey[] = []
  for (const shape of shapes)
    try {
      keys.push(await loadKey(shape, environment))
    } catch (error) {
      if (!isHoldfastError(error)) throw error
      keys.push(await unusable(shape, error))
    }
  return keys
}

/** @throws HoldfastError HF_SECRET_UNAVAILABLE, HF_KEY_UNAVAILABLE */
async function loadKey({ kms, age, passphrase }: KeyShape, environment: Environment): Promise<PasswordKey> {
  if (kms !== undefined) {
    const { kmsKey } = await import('../../engine/keys/kms/kms-key.ts')
    return kmsKey({ arn: kms, environment })
  }
  const { ageKey, passphraseKey } = await import('../../engine/keys/age/age-key.ts')
  const secret = (reference: SecretReference): Promise<string> =>
    readSecret(reference, { environment, checkPermissions: true })
  if (age === undefined) return passphraseKey(textOf(passphrase!), await secret(passphrase!))
  const text = await readSecret(age, { environment, checkPermissions: false })
  return ageKey({
    source: textOf(age),
    // Recipients are for everybody to see, and sealed identities tell nobody anything.
    text: text.includes('AGE-SECRET-KEY-') ? await secret(age) : text,
    passphrase: passphrase && (() => secret(passphrase)),
  })
}

const textOf = ({ kind, name }: SecretReference): string => `${kind}:${name}`

async function unusable({ age, passphrase }: KeyShape, error: HoldfastError): Promise<PasswordKey> {
  const { unusableKey } = await import('../../engine/keys/unusable-key.ts')
  return age === undefined
    ? unusableKey('passphrase', `passphrase ${textOf(passphrase!)}`, error)
    : unusableKey('age', `age ${textOf(age)}`, error)
}
