import { fromUtf8 } from '../../lib/bytes.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { goJson } from '../../lib/go-json.ts'
import type { Id } from '../../lib/id.ts'
import { sha256Hex } from '../kernels/sha256.ts'
import { blobTypes } from './blob.ts'
import { encodeConfig } from './config.ts'
import { loadKeyFile } from './key-management.ts'
import { masterKeyJson } from './keys.ts'
import { decodeLock, lockJson } from './lock-file.ts'
import type { Repository } from './repository.ts'
import { type Snapshot, snapshotJson } from './snapshot.ts'

/*
 * What `cat` prints. Functions that end in Text give what restic prints for a JSON file: indented by two spaces, or, for an index, as it is
 * stored. The others give bytes as they are. All want a read lock.
 */

/** The config file. */
export const configText = ({ config }: Repository): string => indented(JSON.parse(fromUtf8(encodeConfig(config))))

/** The secret that decrypts everything. */
export const masterKeyText = ({ masterKey }: Repository): string => indented(masterKeyJson(masterKey))

export const snapshotText = (snapshot: Snapshot): string => indented(snapshotJson(snapshot))

/** @throws HoldfastError HF_STORAGE_NOT_FOUND, HF_KEY_INVALID */
export async function keyText(repository: Repository, id: Id, signal?: AbortSignal): Promise<string> {
  const { created, username, hostname, kdf, salt, data } = await loadKeyFile(repository.storage, id, signal)
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  return indented({ created, username, hostname, kdf: 'scrypt', ...kdf, salt: base64(salt), data: base64(data) })
}

/** @throws HoldfastError HF_STORAGE_NOT_FOUND, HF_DATA_DAMAGED, HF_CRYPTO_AUTH */
export async function lockText(repository: Repository, id: Id, signal?: AbortSignal): Promise<string> {
  return indented(lockJson(decodeLock(await repository.loadUnpacked('lock', id, signal), id)))
}

/** @throws HoldfastError HF_STORAGE_NOT_FOUND, HF_DATA_DAMAGED, HF_CRYPTO_AUTH */
export async function indexText(repository: Repository, id: Id, signal?: AbortSignal): Promise<string> {
  return fromUtf8(await repository.loadUnpacked('index', id, signal))
}

/** A pack as it is stored. What is damaged is returned all the same: `isIntact` tells whether its content has the hash it is named by. */
export async function packContent(
  repository: Repository,
  id: Id,
  signal?: AbortSignal,
): Promise<{ readonly bytes: Uint8Array; readonly isIntact: boolean }> {
  const bytes = await repository.storage.get({ kind: 'data', name: id }, undefined, { signal })
  return { bytes, isIntact: sha256Hex(bytes) === id }
}

/**
 * The content of a blob of either type; data first. The index must be loaded.
 * @throws HoldfastError HF_BLOB_NOT_FOUND, HF_PACK_DAMAGED, storage errors
 */
export async function blobContent(repository: Repository, id: Id, signal?: AbortSignal): Promise<Uint8Array> {
  const type = blobTypes.find((candidate) => repository.index.has(candidate, id))
  if (type === undefined)
    throw new HoldfastError('HF_BLOB_NOT_FOUND', `blob ${id} is in no index`, { hint: '"list blobs" shows all' })
  return await repository.loadBlob(type, id, signal)
}

const indented = (json: unknown): string => goJson(json, 2)
