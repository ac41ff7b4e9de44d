import { fromUtf8, utf8 } from '../../lib/bytes.ts'
import { type Clock, monotonicMilliseconds, systemClock } from '../../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { formatTime, localTimestamp } from '../../lib/go-time.ts'
import { type Id, shortId } from '../../lib/id.ts'
import { randomBytes } from '../../lib/random.ts'
import { CRYPTO_OVERHEAD_BYTES, createCipher, type MasterKey } from '../kernels/cipher.ts'
import { opensslScrypt, type ScryptCost, scrypt } from '../kernels/scrypt.ts'
import { envelopeJson, type KeyEnvelope } from './key-envelope.ts'
import { currentHolder } from './lock-file.ts'

/** A key file: the repository's master key, sealed with a key derived from a password. */
export interface KeyFile {
  readonly created: string
  readonly username: string
  readonly hostname: string
  readonly kdf: ScryptCost
  readonly salt: Uint8Array
  readonly data: Uint8Array
  /** What stands under the name `holdfast`, for `parseEnvelope`. */
  readonly extension: unknown
}

export interface NewKeyOptions {
  readonly kdf?: ScryptCost | undefined
  /** For people who look at the list of keys; who and where this is by default. */
  readonly username?: string | undefined
  readonly hostname?: string | undefined
  readonly clock?: Clock | undefined
  /** The password once more, sealed for keys that lie elsewhere. */
  readonly envelope?: KeyEnvelope | undefined
}

const SALT_BYTES = 64
const DERIVED_BYTES = 64
/** What a key file may ask for: 1 GiB, and some twenty seconds. restic's own ask for 60 MiB and half a second. */
const MAX_MEMORY_FACTOR = 2 ** 23
const MAX_WORK_FACTOR = 2 ** 27
const TARGET_MS = 500

/** Random master key for a new repository. */
export const newMasterKey = (): MasterKey => ({
  encrypt: randomBytes(32),
  macK: randomBytes(16),
  macR: randomBytes(16),
})

/**
 * The strongest parameters that derive a key in at most half a second and 60 MiB here, never weaker than N = 32768, r = 8, p = 1
 * (the rule restic's own keys follow). Measured with ordinary code, not with our own: the key is to be as strong as restic would make it.
 */
export async function calibrateKdf(): Promise<ScryptCost> {
  const base = { N: 32768, r: 8 }
  const started = monotonicMilliseconds()
  await opensslScrypt(new Uint8Array(8), new Uint8Array(SALT_BYTES), { ...base, p: 1 }, DERIVED_BYTES)
  const onePassMs = Math.max(1, monotonicMilliseconds() - started)
  return { ...base, p: Math.min(16, Math.max(1, Math.floor(TARGET_MS / onePassMs))) }
}

/** Seals `master` for `password` and returns the key file's JSON. */
export async function createKeyFile(
  master: MasterKey,
  password: string,
  options: NewKeyOptions = {},
): Promise<Uint8Array> {
  const clock = options.clock ?? systemClock
  const holder = currentHolder()
  const kdf = options.kdf ?? (await calibrateKdf())
  const salt = randomBytes(SALT_BYTES)
  const plaintext = utf8(JSON.stringify(masterKeyJson(master)))
  const data = new Uint8Array(plaintext.length + CRYPTO_OVERHEAD_BYTES)
  createCipher(await deriveKey(password, salt, kdf)).seal(randomBytes(16), plaintext, data)
  return utf8(
    JSON.stringify({
      created: formatTime(localTimestamp(clock.now())),
      username: options.username || holder.username,
      hostname: options.hostname || holder.hostname,
      kdf: 'scrypt',
      ...kdf,
      salt: base64(salt),
      data: base64(data),
      ...(options.envelope === undefined ? {} : { holdfast: envelopeJson(options.envelope) }),
    }),
  )
}

/** The master key as it is sealed into key files, under restic's names and in restic's order. */
export const masterKeyJson = ({ encrypt, macK, macR }: MasterKey): Readonly<Record<string, unknown>> => ({
  mac: { k: base64(macK), r: base64(macR) },
  encrypt: base64(encrypt),
})

/**
 * Parses a key file, which anybody may have written.
 * @throws HoldfastError HF_KEY_INVALID
 */
export function parseKeyFile(json: Uint8Array, id: Id): KeyFile {
  const invalid = (why: string, cause?: unknown): HoldfastError =>
    new HoldfastError('HF_KEY_INVALID', `key file ${shortId(id)} ${why}`, {
      cause,
      hint: 'remove or restore that file in the folder "keys" of the repository; any other key file still opens it',
    })
  let fields: Record<string, unknown>
  try {
    fields = JSON.parse(fromUtf8(json))
  } catch (cause) {
    throw invalid('is not JSON', cause)
  }
  if (fields === null || typeof fields !== 'object') throw invalid('is not a JSON object')
  if (fields.kdf !== 'scrypt') throw invalid(`uses the unknown key derivation ${JSON.stringify(fields.kdf)}`)
  const { N, r, p } = fields
  if (!isCount(N, 2 ** 24) || !isCount(r, 64) || !isCount(p, 256) || !isAcceptable({ N, r, p }))
    throw invalid(`has unacceptable scrypt parameters N=${String(N)}, r=${String(r)}, p=${String(p)}`)
  const salt = typeof fields.salt === 'string' ? Buffer.from(fields.salt, 'base64') : Buffer.alloc(0)
  if (salt.length !== SALT_BYTES) throw invalid(`has a salt of ${salt.length} instead of ${SALT_BYTES} bytes`)
  const data = typeof fields.data === 'string' ? Buffer.from(fields.data, 'base64') : Buffer.alloc(0)
  if (data.length < CRYPTO_OVERHEAD_BYTES) throw invalid('has no sealed master key')
  const text = (value: unknown): string => (typeof value === 'string' ? value : '')
  return {
    created: text(fields.created),
    username: text(fields.username),
    hostname: text(fields.hostname),
    kdf: { N, r, p },
    salt,
    data,
    extension: fields.holdfast,
  }
}

/** The master key inside `file`, or undefined when `password` is not the one it was sealed with. */
export async function openKeyFile(file: KeyFile, password: string, id: Id): Promise<MasterKey | undefined> {
  const plaintext = new Uint8Array(file.data.length - CRYPTO_OVERHEAD_BYTES)
  try {
    createCipher(await deriveKey(password, file.salt, file.kdf)).open(file.data, plaintext)
  } catch (error) {
    if (isHoldfastError(error, 'HF_CRYPTO_AUTH')) return undefined
    throw error
  }
  const invalid = (cause?: unknown): HoldfastError =>
    new HoldfastError('HF_KEY_INVALID', `key file ${shortId(id)} does not hold a valid master key`, { cause })
  try {
    const { mac, encrypt } = JSON.parse(fromUtf8(plaintext)) as { mac: { k: string; r: string }; encrypt: string }
    const key = { encrypt: bytesOf(encrypt), macK: bytesOf(mac.k), macR: bytesOf(mac.r) }
    if (key.encrypt.length !== 32 || key.macK.length !== 16 || key.macR.length !== 16) throw invalid()
    return key
  } catch (cause) {
    throw isHoldfastError(cause) ? cause : invalid(cause)
  }
}

/** Splits 64 derived bytes as the format says: encryption key, then the two halves of the MAC key. */
async function deriveKey(password: string, salt: Uint8Array, kdf: ScryptCost): Promise<MasterKey> {
  const bytes = await scrypt(utf8(password), salt, kdf, DERIVED_BYTES)
  return { encrypt: bytes.subarray(0, 32), macK: bytes.subarray(32, 48), macR: bytes.subarray(48, 64) }
}

const isAcceptable = ({ N, r, p }: ScryptCost): boolean =>
  N > 1 && (N & (N - 1)) === 0 && N * r <= MAX_MEMORY_FACTOR && N * r * p <= MAX_WORK_FACTOR

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))
const isCount = (value: unknown, most: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= most
