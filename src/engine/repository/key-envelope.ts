import { HoldfastError } from '../../lib/errors.ts'
import { type Id, isId, shortId } from '../../lib/id.ts'

/**
 * What Holdfast adds to a key file, under the name `holdfast`: the password that opens this key file, sealed for keys that lie elsewhere. Any
 * one of them is enough. restic ignores it, since it ignores all fields it does not know; the hash that names the file covers it.
 *
 * Nothing here is secret, and nothing is authentic before the key file opens with what was unsealed.
 */
export interface KeyEnvelope {
  /** The id of the repository, to which sealed passwords are bound where a key can do that. */
  readonly repository: Id
  readonly wrapped: readonly WrappedPassword[]
  /** The key file that a rotation put this one in the place of. */
  readonly replaces?: Id | undefined
  /** The recovery kit whose password opens this key file; then nothing is sealed here. */
  readonly kit?: string | undefined
}

/** The password of a key file, sealed for one key. */
export interface WrappedPassword {
  /** Which sort of key opens it: `kms`, `age`, `passphrase`. */
  readonly type: string
  /** Which key it is, where it has a name: an ARN, recipients. */
  readonly key: string
  readonly ciphertext: Uint8Array
}

const VERSION = 1
/** What recovery kits are called. */
export const KIT_ID: RegExp = /^[0-9a-f]{16}$/
const MAX_WRAPPED = 32
const MAX_NAME_CHARACTERS = 16_384
const MAX_CIPHERTEXT_BYTES = 64 * 1024

/** As it stands in the JSON of a key file. */
export const envelopeJson = ({
  repository,
  wrapped,
  replaces,
  kit,
}: KeyEnvelope): Readonly<Record<string, unknown>> => ({
  version: VERSION,
  repository,
  ...(replaces === undefined ? {} : { replaces }),
  ...(kit === undefined ? {} : { kit }),
  wrapped: wrapped.map(({ type, key, ciphertext }) => ({
    type,
    key,
    ciphertext: Buffer.from(ciphertext).toString('base64'),
  })),
})

/**
 * Parses the field `holdfast` of a key file, which anybody may have written. Undefined when there is none.
 * @throws HoldfastError HF_KEY_INVALID; the key file may open with a password all the same
 */
export function parseEnvelope(field: unknown, id: Id): KeyEnvelope | undefined {
  if (field === undefined) return undefined
  const invalid = (why: string): HoldfastError =>
    new HoldfastError('HF_KEY_INVALID', `the sealed password in key file ${shortId(id)} ${why}`, {
      hint: 'open the repository with another key or with a password, then run: holdfast key rotate',
    })
  if (!isRecord(field)) throw invalid('is not an object')
  if (field.version !== VERSION) throw invalid(`has the unknown version ${String(field.version).slice(0, 20)}`)
  const { repository, replaces, kit, wrapped } = field
  if (typeof repository !== 'string' || !isId(repository)) throw invalid('names no repository')
  if (replaces !== undefined && (typeof replaces !== 'string' || !isId(replaces))) throw invalid('replaces no key file')
  if (kit !== undefined && (typeof kit !== 'string' || !KIT_ID.test(kit))) throw invalid('is of no recovery kit')
  if (!Array.isArray(wrapped) || wrapped.length > MAX_WRAPPED)
    throw invalid(`is not a list of at most ${MAX_WRAPPED} entries`)
  return { repository, replaces, kit, wrapped: wrapped.map((entry) => parseWrapped(entry, invalid)) }
}

function parseWrapped(entry: unknown, invalid: (why: string) => HoldfastError): WrappedPassword {
  if (!isRecord(entry)) throw invalid('has an entry that is not an object')
  const { type, key, ciphertext } = entry
  if (typeof type !== 'string' || !/^[a-z][a-z0-9-]{0,31}$/.test(type)) throw invalid('has an entry without a type')
  if (typeof key !== 'string' || key.length > MAX_NAME_CHARACTERS || !/^[\x20-\x7e]*$/.test(key))
    throw invalid('has an entry with an unacceptable name of a key')
  if (typeof ciphertext !== 'string' || ciphertext === '' || ciphertext.length > (MAX_CIPHERTEXT_BYTES / 3) * 4)
    throw invalid('has an entry whose content is empty or too long')
  return { type, key, ciphertext: new Uint8Array(Buffer.from(ciphertext, 'base64')) }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
