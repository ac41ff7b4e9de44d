import { isHoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import type { MasterKey } from '../kernels/cipher.ts'
import type { Storage } from '../storage/storage.ts'
import type { Credentials } from './credentials.ts'
import { parseEnvelope } from './key-envelope.ts'
import { parseKeyFile } from './keys.ts'
import { openMasterKey } from './master-key.ts'

/** What a process that was cut off while it made a repository has left: a key file, and nothing that is sealed with its key. */
export interface BegunRepository {
  readonly master: MasterKey
  readonly keyId: Id
  /** The id that the repository was to have, where the key file tells. */
  readonly id: Id | undefined
}

/**
 * Finds a repository without config of which nothing but a key file is there, which `credentials` open. To be asked where there is no config:
 * whoever goes on from here writes that, and loses nothing when somebody else does so first.
 *
 * @returns 'empty' where there is nothing; the kind of file that says that this is somebody else's, or was more than begun
 * @throws storage errors
 */
export async function findBegun(
  storage: Storage,
  credentials: Credentials,
  signal?: AbortSignal,
): Promise<BegunRepository | 'empty' | 'key' | 'snapshot' | 'index' | 'data'> {
  for (const kind of ['snapshot', 'index', 'data'] as const)
    for await (const _ of storage.list(kind, { signal })) return kind
  let hasKeys = false
  for await (const _ of storage.list('key', { signal })) hasKeys = true
  if (!hasKeys) return 'empty'
  try {
    const { key: master, id: keyId } = await openMasterKey(storage, credentials, { signal })
    const { extension } = parseKeyFile(await storage.get({ kind: 'key', name: keyId }, undefined, { signal }), keyId)
    return { master, keyId, id: parseEnvelope(extension, keyId)?.repository }
  } catch (error) {
    if (isHoldfastError(error, 'HF_KEY_WRONG_PASSWORD', 'HF_KEY_INVALID')) return 'key'
    throw error
  }
}
