import { HoldfastError } from '../../lib/errors.ts'
import { type Id, shortId } from '../../lib/id.ts'
import { parseEnvelope } from '../repository/key-envelope.ts'
import { addKey, changePassword, loadKeyFile } from '../repository/key-management.ts'
import { type NewKeyOptions, openKeyFile } from '../repository/keys.ts'
import type { Repository } from '../repository/repository.ts'
import { loadSealed, type SealedKeyFile } from './open-sealed.ts'
import type { PasswordKey } from './password-key.ts'
import { sealPassword, verifySealed } from './seal-password.ts'

export interface Rotation {
  /** The key file that opens the repository from now on. */
  readonly id: Id
  /** Key files that were removed. */
  readonly removed: readonly Id[]
  /** Whether it is the end of a rotation that was cut off before, and no new one. */
  readonly isResumed: boolean
}

export interface RotationOptions {
  readonly key?: Omit<NewKeyOptions, 'envelope'> | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Puts a new key file in the place of the one that opened the repository: with the same password or another, sealed anew for all of `keys`.
 * It is tried with the password and with each key before the old one goes. Cut off anywhere, the repository opens as before, and the next
 * call finishes what was begun. Wants the exclusive lock; open the repository anew afterwards.
 *
 * The master key stays, so who kept an old key file and can open that still reads everything; only a new repository ends that.
 *
 * @param password the password of the new key file
 * @throws HoldfastError HF_KEY_UNAVAILABLE when one of `keys` cannot be used, HF_KEY_INVALID, storage errors; nothing is removed then
 */
export async function rotateKey(
  repository: Repository,
  keys: readonly PasswordKey[],
  password: string,
  options: RotationOptions = {},
): Promise<Rotation> {
  const { storage, keyId, config } = repository
  const { signal } = options
  const files = await loadSealed(storage, signal)
  const begun = await findBegun(repository, keys, files, signal)
  if (begun !== undefined) {
    await storage.delete({ kind: 'key', name: begun.old }, { signal })
    return { id: begun.id, removed: [begun.old], isResumed: true }
  }
  const before = files.find(({ id }) => id === keyId)?.envelope
  const envelope = await sealPassword(keys, password, { repository: config.id, signal }, before)
  const id = await addKey(repository, password, { ...options.key, envelope: { ...envelope, replaces: keyId } })
  await verifyStored(repository, keys, id, password, signal)
  const present = await repository.list('key', signal)
  const removed = [keyId, before?.replaces].filter((old): old is Id => old !== undefined && present.includes(old))
  for (const name of removed) await storage.delete({ kind: 'key', name }, { signal })
  return { id, removed, isResumed: false }
}

/** What a rotation that was cut off has left: a new key file, and the old one, which is still there. Either may have opened the repository. */
async function findBegun(
  repository: Repository,
  keys: readonly PasswordKey[],
  files: readonly SealedKeyFile[],
  signal: AbortSignal | undefined,
): Promise<{ readonly id: Id; readonly old: Id } | undefined> {
  const present = new Set(await repository.list('key', signal))
  for (const file of files) {
    const { replaces } = file.envelope
    if (replaces === undefined || !present.has(replaces)) continue
    if (file.id !== repository.keyId && replaces !== repository.keyId) continue
    if (await opensByAll(repository, keys, file, signal)) return { id: file.id, old: replaces }
  }
  return undefined
}

/** Whether a key file is sealed for exactly these keys, and opens by each of them that can open. */
async function opensByAll(
  { masterKey, storage }: Repository,
  keys: readonly PasswordKey[],
  { id, envelope }: SealedKeyFile,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (envelope.wrapped.length !== keys.length) return false
  if (!keys.every((key, i) => key.matches(envelope.wrapped[i]!))) return false
  const file = await loadKeyFile(storage, id, signal)
  for (const [i, key] of keys.entries()) {
    if (!key.canOpen) continue
    const password = await key.open(envelope.wrapped[i]!, { repository: envelope.repository, signal })
    const master = await openKeyFile(file, password, id)
    if (master === undefined || Buffer.compare(master.encrypt, masterKey.encrypt) !== 0) return false
  }
  return true
}

/** @throws HoldfastError HF_KEY_INVALID, and the new key file is gone again */
async function verifyStored(
  { storage }: Repository,
  keys: readonly PasswordKey[],
  id: Id,
  password: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    const envelope = parseEnvelope((await loadKeyFile(storage, id, signal)).extension, id)
    if (envelope === undefined)
      throw new HoldfastError('HF_KEY_INVALID', `key ${shortId(id)} was stored without its envelope`)
    await verifySealed(keys, envelope, password, signal)
  } catch (error) {
    await storage.delete({ kind: 'key', name: id }).catch(() => undefined)
    throw error
  }
}

/**
 * The same for a repository that only passwords open: after it `password` opens it, and the one that opened it does not.
 * @throws HoldfastError HF_KEY_INVALID, storage errors
 */
export async function rotatePassword(
  repository: Repository,
  password: string,
  options: RotationOptions = {},
): Promise<Rotation> {
  const { storage, keyId } = repository
  const begun = await findOpenedBy(repository, password, options.signal)
  if (begun === undefined) {
    const id = await changePassword(repository, password, options.key)
    return { id, removed: [keyId], isResumed: false }
  }
  await storage.delete({ kind: 'key', name: keyId }, { signal: options.signal })
  return { id: begun, removed: [keyId], isResumed: true }
}

/** Another key file of this repository that opens with the password, as a rotation that was cut off leaves it. */
async function findOpenedBy(
  { storage, keyId, masterKey }: Repository,
  password: string,
  signal: AbortSignal | undefined,
): Promise<Id | undefined> {
  const ids: Id[] = []
  for await (const { name } of storage.list('key', { signal })) ids.push(name)
  for (const id of ids.sort()) {
    if (id === keyId) continue
    const master = await openKeyFile(await loadKeyFile(storage, id, signal), password, id).catch(() => undefined)
    if (master !== undefined && Buffer.compare(master.encrypt, masterKey.encrypt) === 0) return id
  }
  return undefined
}
