import { HoldfastError } from '../../lib/errors.ts'

/** Why a key could not be used. `missing`: there is no such key, or no file that holds it. */
export type KeyFailureReason = 'denied' | 'disabled' | 'missing' | 'unreachable' | 'credentials' | 'invalid'

const hints: Readonly<Record<KeyFailureReason, string>> = {
  denied: 'let this user encrypt and decrypt with the key',
  disabled: 'enable the key, or cancel its deletion',
  missing: 'check the name of the key',
  unreachable: 'check the network, the endpoint and the region',
  credentials: 'renew the credentials of the key service',
  invalid: 'put the key right',
}

/** A key that cannot be used at the moment, or at all. */
export const keyUnavailable = (
  title: string,
  reason: KeyFailureReason,
  what: string,
  details: { readonly cause?: unknown; readonly hint?: string } = {},
): HoldfastError =>
  new HoldfastError('HF_KEY_UNAVAILABLE', `${title}: ${what}`, {
    hint: hints[reason],
    ...details,
    retry: reason === 'unreachable' ? 'later' : 'after-fix',
    context: { key: title, reason },
  })

/** A sealed password that this key does not open. */
export const keyMismatch = (title: string, what: string, cause?: unknown): HoldfastError =>
  new HoldfastError('HF_KEY_MISMATCH', `${title}: ${what}`, {
    cause,
    hint: 'the key is usable, but the repository holds nothing sealed for it that is intact; open it by another key, then run: holdfast key rotate',
    context: { key: title, reason: 'mismatch' },
  })
