import { type ErrorCode, HoldfastError, type HoldfastErrorOptions, systemErrorCode } from '../../../lib/errors.ts'

type Failure = readonly [code: ErrorCode, words: string, options: Pick<HoldfastErrorOptions, 'hint' | 'retry'>]

const full = 'Free some space there, or remove old snapshots with `forget --prune`.'
const denied = 'Check the owner and the permissions of the repository, and that it is not mounted read-only.'
const location = 'Check the location of the repository.'

const failures: Readonly<Record<string, Failure>> = {
  ENOENT: ['HF_STORAGE_NOT_FOUND', 'there is no such file', {}],
  EEXIST: ['HF_STORAGE_EXISTS', 'it exists already', {}],
  ENOSPC: ['HF_STORAGE_FULL', 'no space is left on the device', { hint: full }],
  EDQUOT: ['HF_STORAGE_FULL', 'the disk quota is exceeded', { hint: full }],
  EFBIG: [
    'HF_STORAGE_FULL',
    'the file is larger than is allowed there',
    { hint: 'Raise the file size limit, or use smaller packs.' },
  ],
  EACCES: ['HF_STORAGE_DENIED', 'permission denied', { hint: denied }],
  EPERM: ['HF_STORAGE_DENIED', 'the operation is not permitted', { hint: denied }],
  EROFS: ['HF_STORAGE_DENIED', 'the file system is read-only', { hint: denied }],
  ENOTDIR: ['HF_STORAGE_LOCATION', 'a part of its path is not a folder', { hint: location }],
  ELOOP: ['HF_STORAGE_LOCATION', 'its path has too many symbolic links', { hint: location }],
  ENAMETOOLONG: ['HF_STORAGE_LOCATION', 'its path is too long', { hint: location }],
  EISDIR: ['HF_STORAGE_IO', 'it is a folder', { retry: 'never' }],
}

/**
 * What went wrong with a file or folder of this machine, as a HoldfastError; those pass through unchanged.
 * `doing` and `object` make the sentence: "cannot write data/ab12cd34 in /srv/repository: no space is left on the device".
 * What the table does not name is HF_STORAGE_IO, which a retry may heal (EIO, ESTALE, EMFILE ...).
 */
export function localError(error: unknown, doing: string, object: string, root: string): HoldfastError {
  if (error instanceof HoldfastError) return error
  const systemCode = systemErrorCode(error)
  const [code, words, options] = failures[systemCode ?? ''] ?? ['HF_STORAGE_IO', describe(error), {}]
  const text = `cannot ${doing} ${object} in ${root}: ${words}`
  return new HoldfastError(code, text, { ...options, cause: error, context: { object, location: root, systemCode } })
}

const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error))
