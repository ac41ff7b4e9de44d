import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import type { MasterKey } from '../kernels/cipher.ts'
import type { Storage } from '../storage/storage.ts'
import type { Credentials } from './credentials.ts'
import { openKeyFile, parseKeyFile } from './keys.ts'

/** At most this many key files are tried, as each costs a key derivation. */
const MAX_KEYS_TRIED = 20

/** The config file as it is stored. @throws HoldfastError HF_REPO_NOT_FOUND */
export async function readConfig(storage: Storage, signal?: AbortSignal): Promise<Uint8Array> {
  try {
    return await storage.get({ kind: 'config' }, undefined, { signal })
  } catch (cause) {
    if (!isHoldfastError(cause, 'HF_STORAGE_NOT_FOUND')) throw cause
    throw new HoldfastError(
      'HF_REPO_NOT_FOUND',
      `there is no repository at ${storage.location}: it has no config file`,
      {
        cause,
        hint: cause.hint ?? 'check the location; "holdfast init" makes a new repository',
      },
    )
  }
}

/** Names of all key files. */
export async function listKeys(storage: Storage, signal?: AbortSignal): Promise<Id[]> {
  const names: Id[] = []
  for await (const file of storage.list('key', { signal })) names.push(file.name)
  return names
}

/**
 * The master key, by the first key file that the password opens; `listed` are the key files, if they are known.
 * @throws HoldfastError HF_KEY_WRONG_PASSWORD, HF_KEY_INVALID
 */
export async function openMasterKey(
  storage: Storage,
  credentials: Credentials,
  { listed, signal }: { readonly listed?: readonly Id[]; readonly signal?: AbortSignal | undefined } = {},
): Promise<{ key: MasterKey; id: Id }> {
  const names = [...(listed ?? (await listKeys(storage, signal)))]
  const hint = credentials.keyHint
  if (hint !== undefined) names.sort((a, b) => Number(b.startsWith(hint)) - Number(a.startsWith(hint)))
  let invalid: unknown
  for (const id of names.slice(0, MAX_KEYS_TRIED)) {
    try {
      const key = await openKeyFile(
        parseKeyFile(await storage.get({ kind: 'key', name: id }, undefined, { signal }), id),
        credentials.password,
        id,
      )
      if (key) return { key, id }
    } catch (error) {
      if (!isHoldfastError(error, 'HF_KEY_INVALID', 'HF_STORAGE_NOT_FOUND')) throw error
      invalid ??= error
    }
  }
  if (invalid !== undefined) throw invalid
  if (names.length === 0)
    throw new HoldfastError(
      'HF_KEY_INVALID',
      `the repository at ${storage.location} has no key file: nobody can open it`,
      {
        hint: 'bring back a file of the folder "keys" from a copy of the repository',
      },
    )
  throw new HoldfastError('HF_KEY_WRONG_PASSWORD', 'wrong password or no key found', {
    context: { keysTried: Math.min(names.length, MAX_KEYS_TRIED) },
    hint:
      names.length > MAX_KEYS_TRIED
        ? `only ${MAX_KEYS_TRIED} of ${names.length} keys were tried; name the right one with --key-hint`
        : 'check the password, its file or its command',
  })
}
