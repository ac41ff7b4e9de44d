import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { parseTime, type Timestamp, zeroTime } from '../../lib/go-time.ts'
import { type Id, shortId } from '../../lib/id.ts'
import { forEachParallel } from '../../lib/parallel.ts'
import type { Storage } from '../storage/storage.ts'
import { parseEnvelope } from './key-envelope.ts'
import { createKeyFile, type KeyFile, type NewKeyOptions, openKeyFile, parseKeyFile } from './keys.ts'
import { type Repository, saveKeyFile } from './repository.ts'

/** A key file, without its secrets. */
export interface KeyInfo {
  readonly id: Id
  /** Whether the repository was opened with it. */
  readonly isCurrent: boolean
  readonly username: string
  readonly hostname: string
  readonly created: Timestamp
  /** Sorts of keys that its password is sealed for, such as `kms`; empty when only the password itself opens it. */
  readonly sealedFor: readonly string[]
  /** The recovery kit that it belongs to. */
  readonly kit: string | undefined
}

/**
 * All keys, sorted by id. `onUnreadable` gets those that are damaged. Wants a read lock.
 * @throws HoldfastError storage errors
 */
export async function listKeys(
  repository: Repository,
  options: { readonly onUnreadable?: (id: Id, error: Error) => void; readonly signal?: AbortSignal | undefined } = {},
): Promise<KeyInfo[]> {
  const { onUnreadable, signal } = options
  const keys: KeyInfo[] = []
  const ids = await repository.list('key', signal)
  await forEachParallel(ids, repository.storage.properties.connections, async (id) => {
    try {
      const { username, hostname, created, extension } = await loadKeyFile(repository.storage, id, signal)
      const envelope = parseEnvelope(extension, id)
      keys.push({
        id,
        isCurrent: id === repository.keyId,
        username,
        hostname,
        created: parseTime(created) ?? zeroTime,
        sealedFor: [...new Set(envelope?.wrapped.map(({ type }) => type))],
        kit: envelope?.kit,
      })
    } catch (error) {
      // Removed by somebody since it was listed.
      if (isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) return
      if (!isHoldfastError(error, 'HF_KEY_INVALID')) throw error
      onUnreadable?.(id, error)
    }
  })
  return keys.sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** @throws HoldfastError HF_STORAGE_NOT_FOUND, HF_KEY_INVALID */
export async function loadKeyFile(storage: Storage, id: Id, signal?: AbortSignal): Promise<KeyFile> {
  return parseKeyFile(await storage.get({ kind: 'key', name: id }, undefined, { signal }), id)
}

/**
 * Adds a key for `password` and tries it; one that does not open the repository is removed again. Returns its id. Wants an append lock.
 * @throws HoldfastError HF_KEY_INVALID when the stored key does not open the repository; storage errors
 */
export async function addKey(repository: Repository, password: string, options: NewKeyOptions = {}): Promise<Id> {
  const { clock } = repository
  const id = await saveKeyFile(
    repository.storage,
    await createKeyFile(repository.masterKey, password, { clock, ...options }),
  )
  try {
    const master = await openKeyFile(await loadKeyFile(repository.storage, id), password, id)
    const { encrypt, macK, macR } = repository.masterKey
    const isSame =
      master !== undefined &&
      [encrypt, macK, macR].every(
        (part, i) => Buffer.compare(part, [master.encrypt, master.macK, master.macR][i]!) === 0,
      )
    if (!isSame) throw new HoldfastError('HF_KEY_INVALID', `key ${shortId(id)} does not open the repository`)
  } catch (cause) {
    const isRemoved = await repository.storage.delete({ kind: 'key', name: id }).then(
      () => true,
      () => false,
    )
    const fate = isRemoved ? 'was removed again' : `could not be removed: it is keys/${id}`
    throw new HoldfastError('HF_KEY_INVALID', `failed to access repository with new key, which ${fate}`, {
      cause,
      hint: 'the keys there were before still open the repository; test memory and storage of this machine, then try again',
    })
  }
  return id
}

/**
 * Removes the key whose id begins with `prefix`. Returns its id. Wants the exclusive lock.
 * @throws HoldfastError HF_KEY_NOT_FOUND when none or several begin so, HF_KEY_IN_USE for the one that opened the repository
 */
export async function removeKey(repository: Repository, prefix: string, signal?: AbortSignal): Promise<Id> {
  const matches = prefix === '' ? [] : (await repository.list('key', signal)).filter((id) => id.startsWith(prefix))
  const [id] = matches
  if (id === undefined)
    throw new HoldfastError('HF_KEY_NOT_FOUND', `no key has the id ${JSON.stringify(prefix)}`, {
      hint: '"key list" lists all',
    })
  if (matches.length > 1)
    throw new HoldfastError('HF_KEY_NOT_FOUND', `${matches.length} keys have ids that begin with ${prefix}`, {
      hint: `give more digits: ${matches.map((match) => match.slice(0, prefix.length + 4)).join(', ')}`,
    })
  if (id === repository.keyId)
    throw new HoldfastError('HF_KEY_IN_USE', 'refusing to remove key currently used to access repository', {
      hint: 'open the repository with the password of another key to remove this one, or change it with "key passwd"',
      context: { id },
    })
  await repository.storage.delete({ kind: 'key', name: id }, { signal })
  return id
}

/**
 * Replaces the key that opened the repository by one for `password`. Returns the new id. The old key is removed once the new one is stored
 * and has been tried: when this is cut off in between, both passwords open the repository, and `removeKey` removes the old one. Wants the
 * exclusive lock; open the repository anew afterwards.
 *
 * Who kept a copy of the old key file and knows the old password still has the master key.
 */
export async function changePassword(
  repository: Repository,
  password: string,
  options: NewKeyOptions = {},
): Promise<Id> {
  const id = await addKey(repository, password, options)
  await repository.storage.delete({ kind: 'key', name: repository.keyId })
  return id
}
