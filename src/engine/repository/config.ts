import { fromUtf8, toHex, utf8 } from '../../lib/bytes.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { ID_BYTES, type Id, isId } from '../../lib/id.ts'
import { randomBytes } from '../../lib/random.ts'
import { isIrreducible, randomPolynomial } from '../kernels/rabin.ts'

export type RepositoryVersion = 1 | 2

/** What the `config` file says. */
export interface RepositoryConfig {
  readonly version: RepositoryVersion
  readonly id: Id
  /** Irreducible polynomial of degree 53 over GF(2) that decides where files are cut. */
  readonly chunkerPolynomial: bigint
}

/** A config for a new repository; `chunkerPolynomial` is given when it shall share blobs with another one. */
export function newConfig(
  version: RepositoryVersion,
  chunkerPolynomial: bigint = randomPolynomial(),
): RepositoryConfig {
  return { version, id: toHex(randomBytes(ID_BYTES)), chunkerPolynomial }
}

/** The JSON stored (sealed, never compressed) in `config`. */
export function encodeConfig(config: RepositoryConfig): Uint8Array {
  return utf8(
    JSON.stringify({
      version: config.version,
      id: config.id,
      chunker_polynomial: config.chunkerPolynomial.toString(16),
    }),
  )
}

/** @throws HoldfastError HF_REPO_VERSION, HF_REPO_CONFIG */
export function decodeConfig(json: Uint8Array): RepositoryConfig {
  let fields: { version?: unknown; id?: unknown; chunker_polynomial?: unknown } | null
  try {
    fields = JSON.parse(fromUtf8(json))
  } catch (cause) {
    throw new HoldfastError('HF_REPO_CONFIG', 'the config file of the repository is not JSON', { cause })
  }
  if (fields === null || typeof fields !== 'object')
    throw new HoldfastError('HF_REPO_CONFIG', 'the config file of the repository is not a JSON object')
  const { version, id, chunker_polynomial: polynomial } = fields
  if (version !== 1 && version !== 2)
    throw new HoldfastError(
      'HF_REPO_VERSION',
      `the repository has format version ${String(version)}; 1 and 2 are known`,
      {
        hint: 'use a newer version of Holdfast for it',
      },
    )
  if (typeof id !== 'string' || !isId(id))
    throw new HoldfastError('HF_REPO_CONFIG', 'the config file has no valid repository id')
  if (
    typeof polynomial !== 'string' ||
    !/^[0-9a-f]{1,16}$/i.test(polynomial) ||
    !isIrreducible(BigInt(`0x${polynomial}`))
  )
    throw new HoldfastError(
      'HF_REPO_CONFIG',
      `the config file has no irreducible chunker polynomial: ${String(polynomial)}`,
    )
  return { version, id, chunkerPolynomial: BigInt(`0x${polynomial}`) }
}
