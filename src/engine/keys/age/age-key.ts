import { fromUtf8, utf8 } from '../../../lib/bytes.ts'
import { isHoldfastError } from '../../../lib/errors.ts'
import type { WrappedPassword } from '../../repository/key-envelope.ts'
import { throwIfInterrupted } from '../../storage/index.ts'
import { keyMismatch, keyUnavailable } from '../key-failure.ts'
import type { PasswordKey } from '../password-key.ts'
import { type AgeIdentities, type AgeRecipients, isArmored, openAge, sealAge, unarmorAge } from './age-file.ts'

export interface AgeKeyOptions {
  /** Where the text comes from, for people: `file:/etc/holdfast/age.key`. */
  readonly source: string
  /** As age-keygen writes it: identities, or recipients only; comments begin with `#`. Identities may be an age file of their own. */
  readonly text: string
  /** Opens identities that are sealed by a passphrase. */
  readonly passphrase?: (() => Promise<string>) | undefined
}

/**
 * The identities or recipients of a file.
 * @throws HoldfastError HF_KEY_UNAVAILABLE when it holds none, something else, or is sealed and does not open
 */
export async function ageKey(options: AgeKeyOptions): Promise<PasswordKey> {
  const { source } = options
  const title = `age ${source}`
  const { identities, recipients } = parseLines(title, await identityText(title, options))
  const { identityToRecipient } = await import('age-encryption')
  const all = [...recipients]
  for (const identity of identities)
    try {
      all.push(await identityToRecipient(identity))
    } catch (cause) {
      throw keyUnavailable(title, 'invalid', 'holds an identity that is damaged', { cause })
    }
  return keyOf({
    type: 'age',
    title,
    name: all.join(' '),
    to: { recipients: all },
    by: identities.length > 0 ? { identities } : undefined,
    matches: (name) => name.split(' ').some((one) => all.includes(one)),
  })
}

/** A passphrase. */
export const passphraseKey = (source: string, passphrase: string): PasswordKey =>
  keyOf({
    type: 'passphrase',
    title: `passphrase ${source}`,
    name: '',
    to: { passphrase },
    by: { passphrase },
    matches: () => true,
  })

interface AgeParts {
  readonly type: 'age' | 'passphrase'
  readonly title: string
  readonly name: string
  readonly to: AgeRecipients
  readonly by: AgeIdentities | undefined
  readonly matches: (name: string) => boolean
}

function keyOf({ type, title, name, to, by, matches }: AgeParts): PasswordKey {
  return {
    type,
    title,
    canOpen: by !== undefined,
    async seal(password, { signal }): Promise<WrappedPassword> {
      throwIfInterrupted(signal)
      try {
        return { type, key: name, ciphertext: await sealAge(utf8(password), to) }
      } catch (cause) {
        throw keyUnavailable(title, 'invalid', 'holds a recipient that is damaged', { cause })
      }
    },
    matches: (sealed) => sealed.type === type && matches(sealed.key),
    async open(sealed, { signal }) {
      throwIfInterrupted(signal)
      if (by === undefined) throw keyUnavailable(title, 'missing', 'holds recipients only, no identity')
      try {
        return fromUtf8(await openAge(sealed.ciphertext, by))
      } catch (cause) {
        throw keyMismatch(title, 'does not open the sealed password', cause)
      }
    },
  }
}

async function identityText(title: string, { text, passphrase }: AgeKeyOptions): Promise<string> {
  if (!isArmored(text)) return text
  if (passphrase === undefined)
    throw keyUnavailable(title, 'credentials', 'is sealed by a passphrase', {
      hint: 'name the passphrase in the configuration: { age: "file:...", passphrase: "file:..." }',
    })
  const secret = await passphrase()
  try {
    return fromUtf8(await openAge(await unarmorAge(text), { passphrase: secret }))
  } catch (cause) {
    if (isHoldfastError(cause)) throw cause
    throw keyUnavailable(title, 'credentials', 'does not open with its passphrase', { cause })
  }
}

/** Which of the library's kinds are taken: those whose identities are text. */
function parseLines(
  title: string,
  text: string,
): { readonly identities: readonly string[]; readonly recipients: readonly string[] } {
  const identities: string[] = []
  const recipients: string[] = []
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    if (/^AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]+$/.test(line)) identities.push(line)
    else if (/^age1[0-9a-z]+$/.test(line)) recipients.push(line)
    else
      throw keyUnavailable(title, 'invalid', `line ${index + 1} is no identity and no recipient of age`, {
        hint: 'write AGE-SECRET-KEY-1... or age1... there, as age-keygen does; plugins and SSH keys are not supported',
      })
  }
  if (identities.length + recipients.length === 0)
    throw keyUnavailable(title, 'invalid', 'holds no identity and no recipient of age', {
      hint: 'make one with: age-keygen -o FILE',
    })
  return { identities, recipients }
}
