import { HoldfastError } from '../../lib/errors.ts'

/**
 * What is wrong with a repository, when that is what an error, or what caused it, is about: then another repository may do. Undefined when it is
 * about what is backed up, or where it is restored to.
 */
export function repositoryFault(error: unknown): HoldfastError | undefined {
  if (!(error instanceof HoldfastError)) return undefined
  if (/^HF_(STORAGE|LOCK|REPO)_/.test(error.code) || damage.has(error.code)) return error
  return repositoryFault(error.cause)
}

const damage: ReadonlySet<string> = new Set([
  'HF_BLOB_NOT_FOUND',
  'HF_CRYPTO_AUTH',
  'HF_DATA_DAMAGED',
  'HF_PACK_DAMAGED',
  'HF_TREE_INVALID',
])
