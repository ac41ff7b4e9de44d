import type { HoldfastError } from '../../lib/errors.ts'
import { keyUnavailable } from './key-failure.ts'
import type { PasswordKey } from './password-key.ts'

/** Stands for a key that could not be read: whatever is asked of it fails with the reason. */
export function unusableKey(type: PasswordKey['type'], title: string, reason: HoldfastError): PasswordKey {
  const fail = (): Promise<never> => Promise.reject(failure)
  const failure =
    reason.code === 'HF_KEY_UNAVAILABLE'
      ? reason
      : keyUnavailable(title, 'missing', reason.message, {
          cause: reason,
          ...(reason.hint === undefined ? {} : { hint: reason.hint }),
        })
  return { type, title, canOpen: true, seal: fail, matches: (sealed) => sealed.type === type, open: fail }
}
