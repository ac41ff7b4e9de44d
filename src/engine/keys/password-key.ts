import type { Id } from '../../lib/id.ts'
import type { WrappedPassword } from '../repository/key-envelope.ts'

/** What a password is sealed for, and who may stop waiting. */
export interface SealingContext {
  /** A password sealed for one repository must not open as that of another, where a key can tell. */
  readonly repository: Id
  readonly signal?: AbortSignal | undefined
}

/**
 * A key that the password of a repository is sealed for: one of a key service, in a file, or in somebody's head. The contract for all sorts:
 * failures are HoldfastErrors of `key-failure.ts`, calls that leave the machine end within `KEY_TIMEOUT_MS`, and no message holds a secret.
 */
export interface PasswordKey {
  /** As it stands in sealed passwords. */
  readonly type: 'kms' | 'age' | 'passphrase'
  /** For people, such as `kms arn:...`; never a secret. */
  readonly title: string
  /** False for keys it can only be sealed for, such as a recipient whose identity lies in a safe. */
  readonly canOpen: boolean
  /** @throws HoldfastError HF_KEY_UNAVAILABLE */
  seal(password: string, context: SealingContext): Promise<WrappedPassword>
  /** Whether `sealed` seems to be sealed for this key. */
  matches(sealed: WrappedPassword): boolean
  /** @throws HoldfastError HF_KEY_UNAVAILABLE; HF_KEY_MISMATCH when it was sealed for another key or repository, or is damaged */
  open(sealed: WrappedPassword, context: SealingContext): Promise<string>
  /**
   * Seals anew what was sealed for a key of the same sort, where that can be done without seeing the password; else undefined.
   * @throws HoldfastError as `open`
   */
  reseal?(sealed: WrappedPassword, context: SealingContext): Promise<WrappedPassword | undefined>
}
