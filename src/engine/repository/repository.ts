import { dirname, join } from 'node:path'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { randomBytes } from '../../lib/random.ts'
import { type Cipher, CRYPTO_OVERHEAD_BYTES, createCipher, type MasterKey } from '../kernels/cipher.ts'
import { sha256Hex } from '../kernels/sha256.ts'
import type { Zstd } from '../kernels/zstd.ts'
import { describeFile, type FileRef, type NamedFileKind, type Storage } from '../storage/storage.ts'
import { findBegun } from './begun-repository.ts'
import type { BlobLocation, BlobType } from './blob.ts'
import { useCache } from './cache-directory.ts'
import { type CompressionMode, compresses, createCompressor } from './compression.ts'
import { decodeConfig, encodeConfig, newConfig, type RepositoryConfig, type RepositoryVersion } from './config.ts'
import type { Credentials } from './credentials.ts'
import { IndexCache } from './index/index-cache.ts'
import { loadIndexFiles } from './index/load-index.ts'
import { MasterIndex } from './index/master-index.ts'
import type { KeyEnvelope } from './key-envelope.ts'
import { createKeyFile, type NewKeyOptions, newMasterKey } from './keys.ts'
import { listKeys, openMasterKey, readConfig } from './master-key.ts'
import type { ExtraVerify } from './pack/pack-writer.ts'
import { decodePayload, encodePayload } from './unpacked.ts'

export const DEFAULT_PACK_BYTES: number = 16 * 1024 * 1024
export const MIN_TARGET_PACK_BYTES: number = 4 * 1024 * 1024
export const MAX_TARGET_PACK_BYTES: number = 128 * 1024 * 1024

/** Packs with trees are kept on this machine up to this size; restic allows packs of 128 MiB and a blob. */
const LARGEST_KEPT_PACK_BYTES = 256 * 1024 * 1024

export interface RepositoryOptions {
  readonly compression?: CompressionMode | undefined
  /** Size at which a pack is closed, 4 to 128 MiB. */
  readonly packBytes?: number | undefined
  readonly extraVerify?: ExtraVerify | undefined
  /** Directory for what may be kept locally between runs; absent: nothing is kept. */
  readonly cacheDirectory?: string | undefined
  readonly clock?: Clock | undefined
}

/** Of opening alone; what is done with the repository has its own signal. */
export interface OpenOptions extends RepositoryOptions {
  readonly signal?: AbortSignal | undefined
}

export interface InitOptions extends OpenOptions {
  readonly version?: RepositoryVersion | undefined
  /** Cut files as another repository does, so that copies between the two share blobs. */
  readonly chunkerPolynomial?: bigint | undefined
  readonly key?: Omit<NewKeyOptions, 'envelope'> | undefined
  /** Seals the password for keys that lie elsewhere, once the id of the new repository is known. */
  readonly seal?: ((repository: Id) => Promise<KeyEnvelope>) | undefined
}

/** Memory for opening a blob, each of exactly so many bytes. */
export interface BlobRoom {
  opened(length: number): Uint8Array
  decompressed(length: number): Uint8Array
}

const newMemory: BlobRoom = {
  opened: (length) => new Uint8Array(length),
  decompressed: (length) => new Uint8Array(length),
}

/** An open repository: its files sealed and unsealed, its index, its blobs. Locking, snapshots and writing packs build on it. */
export class Repository {
  readonly storage: Storage
  readonly masterKey: MasterKey
  /** The key file that opened it. */
  readonly keyId: Id
  readonly compression: CompressionMode
  readonly packBytes: number
  readonly extraVerify: ExtraVerify
  readonly clock: Clock
  /** `<cache directory>/<repository id>`, when something may be kept locally. */
  readonly cacheDirectory: string | undefined
  readonly cipher: Cipher
  #config: RepositoryConfig
  readonly #zstd: Zstd
  #index = new MasterIndex()
  #loadedIndexes: ReadonlySet<Id> = new Set()
  #loading: Promise<unknown> = Promise.resolve()

  constructor(storage: Storage, config: RepositoryConfig, masterKey: MasterKey, keyId: Id, options: RepositoryOptions) {
    this.storage = storage
    this.#config = config
    this.masterKey = masterKey
    this.keyId = keyId
    this.compression = options.compression ?? 'auto'
    this.packBytes = options.packBytes ?? DEFAULT_PACK_BYTES
    this.extraVerify = options.extraVerify ?? 'compare'
    this.clock = options.clock ?? systemClock
    this.cacheDirectory = options.cacheDirectory && join(options.cacheDirectory, config.id)
    this.cipher = createCipher(masterKey)
    this.#zstd = createCompressor(this.compression)
  }

  get config(): RepositoryConfig {
    return this.#config
  }

  /** The index as loaded, plus what this process has written since. */
  get index(): MasterIndex {
    return this.#index
  }

  /** Ids of the index files that `index` holds. */
  get loadedIndexes(): ReadonlySet<Id> {
    return this.#loadedIndexes
  }

  /** Names of all files of a kind, ascending. */
  async list(kind: NamedFileKind, signal?: AbortSignal): Promise<Id[]> {
    const names: Id[] = []
    for await (const file of this.storage.list(kind, { signal })) names.push(file.name)
    return names.sort()
  }

  /**
   * Reads an index, snapshot or lock file: checks its hash, opens it, returns the JSON.
   * @throws HoldfastError HF_STORAGE_NOT_FOUND, HF_DATA_DAMAGED, HF_CRYPTO_AUTH
   */
  async loadUnpacked(kind: 'index' | 'snapshot' | 'lock', name: Id, signal?: AbortSignal): Promise<Uint8Array> {
    const file = { kind, name }
    return await this.#orFromStore(file, () => this.#loadUnpacked(kind, name, signal))
  }

  async #loadUnpacked(
    kind: 'index' | 'snapshot' | 'lock',
    name: Id,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const file = { kind, name }
    const stored = await this.storage.get(file, undefined, { signal })
    if (sha256Hex(stored) !== name)
      throw new HoldfastError(
        'HF_DATA_DAMAGED',
        `${describeFile(file)} is damaged: its content does not match its name`,
        {
          context: { kind, name },
          hint:
            kind === 'index'
              ? 'run "holdfast repair index"'
              : 'restore this file from a copy of the repository if there is one',
        },
      )
    return decodePayload(this.#open(stored, describeFile(file)), describeFile(file))
  }

  /** Seals and stores an index, snapshot or lock file. Returns its name. */
  async saveUnpacked(kind: 'index' | 'snapshot' | 'lock', json: Uint8Array, signal?: AbortSignal): Promise<Id> {
    const payload = encodePayload(json, this.config.version, this.#zstd)
    const sealed = this.#seal(payload)
    if (this.extraVerify !== 'off') {
      const back = decodePayload(this.#open(sealed, kind), kind)
      if (Buffer.compare(back, json) !== 0)
        throw new HoldfastError(
          'HF_INTERNAL',
          `a ${kind} file does not read back as what was to be written; nothing was stored`,
        )
    }
    const name = sha256Hex(sealed)
    try {
      await this.storage.put({ kind, name }, sealed, { signal })
    } catch (error) {
      // Named by content with a random nonce: an existing file of this name is an earlier try of this very put.
      if (!isHoldfastError(error, 'HF_STORAGE_EXISTS')) throw error
    }
    return name
  }

  /** Loads all index files. Load snapshots first: a snapshot listed after that may need index files written later. */
  async loadIndex(signal?: AbortSignal): Promise<MasterIndex> {
    const loading = this.#loadIndex(signal)
    this.#loading = loading.catch(() => undefined)
    return await loading
  }

  /**
   * That the index files which were loaded, or are being loaded, are still there: nobody has rewritten the index meanwhile.
   * @throws HoldfastError HF_REPO_LOCKED
   */
  async requireIndexStays(signal?: AbortSignal): Promise<void> {
    await this.#loading
    const present = new Set(await this.list('index', signal))
    for (const id of this.#loadedIndexes)
      if (!present.has(id))
        throw new HoldfastError('HF_REPO_LOCKED', 'somebody tidied the repository while it was being opened', {
          hint: 'Run the command again.',
          context: { index: id },
        })
  }

  async #loadIndex(signal: AbortSignal | undefined): Promise<MasterIndex> {
    const cache = await this.#indexCache()
    const index = new MasterIndex()
    this.#loadedIndexes = await loadIndexFiles(this, index, cache, signal)
    this.#index = index
    return index
  }

  /** Takes an index that was put together otherwise than by `loadIndex`, and the ids of the index files it holds. */
  useIndex(index: MasterIndex, files: ReadonlySet<Id>): void {
    this.#index = index
    this.#loadedIndexes = files
  }

  /** A compressor of this repository's settings, or undefined when blobs of `type` are stored as they are. */
  compressorFor(type: BlobType): Zstd | undefined {
    return compresses(this.config.version, this.compression, type) ? this.#zstd : undefined
  }

  /**
   * Plaintext of a blob; tries each place it lies in.
   * @throws HoldfastError HF_BLOB_NOT_FOUND, HF_PACK_DAMAGED, or the storage's error
   */
  async loadBlob(type: BlobType, id: Id, signal?: AbortSignal): Promise<Uint8Array> {
    let failure: unknown
    for (const location of this.index.findAll(type, id)) {
      try {
        const file = { kind: 'data', name: location.pack } as const
        const range = { offset: location.offset, length: location.length }
        const options = { signal, cacheable: type === 'tree' && this.#isWorthKeeping(location.pack) }
        return await this.#orFromStore(file, async () =>
          this.openBlob(type, id, location, await this.storage.get(file, range, options)),
        )
      } catch (error) {
        if (isHoldfastError(error, 'HF_INTERRUPTED')) throw error
        failure ??= error
      }
    }
    if (failure !== undefined) throw failure
    throw new HoldfastError('HF_BLOB_NOT_FOUND', `${type} blob ${id} is in no index`, {
      context: { type, id },
      hint: 'run "holdfast repair index"; if the blob is still missing, "holdfast repair snapshots" cuts it out of the snapshots',
    })
  }

  /** Opens, decompresses and checks the stored bytes of one blob, in memory of its own or in that of `room`. */
  openBlob(type: BlobType, id: Id, location: BlobLocation, sealed: Uint8Array, room: BlobRoom = newMemory): Uint8Array {
    const damaged = (what: string, cause?: unknown): HoldfastError =>
      new HoldfastError('HF_PACK_DAMAGED', `${type} blob ${id} in pack ${location.pack} ${what}`, {
        cause,
        context: { type, id, pack: location.pack, offset: location.offset },
        hint: `run "holdfast repair packs ${location.pack}" to save what is intact in that pack`,
      })
    if (location.length < CRYPTO_OVERHEAD_BYTES) throw damaged('is too short')
    let plaintext = room.opened(location.length - CRYPTO_OVERHEAD_BYTES)
    try {
      this.cipher.open(sealed, plaintext)
      if (location.uncompressedLength > 0) {
        const output = room.decompressed(location.uncompressedLength)
        const length = this.#zstd.decompress(plaintext, output)
        plaintext = length === output.length ? output : output.subarray(0, length)
      }
    } catch (cause) {
      throw damaged('cannot be decoded', cause)
    }
    if (sha256Hex(plaintext) !== id) throw damaged('does not have the content its id stands for')
    return plaintext
  }

  /** Replaces the config file; only a migration does this. */
  async replaceConfig(config: RepositoryConfig, signal?: AbortSignal): Promise<void> {
    await this.storage.put({ kind: 'config' }, this.#seal(encodeConfig(config)), { replace: true, signal })
    this.#config = config
  }

  async close(): Promise<void> {
    await this.storage.close()
  }

  /** Reads a file again when what was damaged was its copy on this machine. */
  async #orFromStore<T>(file: FileRef, read: () => Promise<T>): Promise<T> {
    try {
      return await read()
    } catch (error) {
      const isDamaged = isHoldfastError(error, 'HF_DATA_DAMAGED', 'HF_PACK_DAMAGED')
      if (!isDamaged || !(await this.storage.copies?.forget(file))) throw error
      return await read()
    }
  }

  #isWorthKeeping(pack: Id): boolean {
    return (this.index.packFacts(pack)?.sizeBytes ?? 0) <= LARGEST_KEPT_PACK_BYTES
  }

  async #indexCache(): Promise<IndexCache | undefined> {
    if (this.cacheDirectory === undefined) return undefined
    const directory = await useCache(dirname(this.cacheDirectory), this.config.id, this.clock)
    return directory === undefined ? undefined : new IndexCache(directory, this.cipher)
  }

  #seal(plaintext: Uint8Array): Uint8Array {
    return sealWith(this.cipher, plaintext)
  }

  #open(sealed: Uint8Array, what: string): Uint8Array {
    return openWith(this.cipher, sealed, what)
  }
}

/**
 * Makes a repository and opens it. One whose making was cut off is finished, when its key file opens with these credentials.
 * @throws HoldfastError HF_REPO_EXISTS when there is a config, another key or anything that is stored at this place already
 */
export async function initRepository(
  storage: Storage,
  credentials: Credentials,
  options: InitOptions = {},
): Promise<Repository> {
  const exists = (what: string): HoldfastError =>
    new HoldfastError('HF_REPO_EXISTS', `there already is a ${what} at ${storage.location}`, {
      hint: 'choose an empty place, or use the repository that is there',
    })
  if (await isPresent(storage, { kind: 'config' }, options.signal)) throw exists('repository config file')
  const begun = await findBegun(storage, credentials, options.signal)
  if (typeof begun === 'string' && begun !== 'empty') throw exists(`repository ${begun} file`)
  const fresh = newConfig(options.version ?? 2, options.chunkerPolynomial)
  const config = begun === 'empty' ? fresh : { ...fresh, id: begun.id ?? fresh.id }
  await storage.create({ signal: options.signal })
  const { master, keyId } = begun === 'empty' ? await saveFirstKey(storage, credentials, config.id, options) : begun
  await storage.put({ kind: 'config' }, sealWith(createCipher(master), encodeConfig(config)))
  return new Repository(storage, config, master, keyId, options)
}

async function saveFirstKey(
  storage: Storage,
  { password }: Credentials,
  repository: Id,
  { seal, clock, key }: InitOptions,
): Promise<{ readonly master: MasterKey; readonly keyId: Id }> {
  const envelope = await seal?.(repository)
  const master = newMasterKey()
  const file = await createKeyFile(master, password, { clock, ...key, envelope })
  return { master, keyId: await saveKeyFile(storage, file) }
}

/**
 * Opens a repository with a password.
 * @throws HoldfastError HF_REPO_NOT_FOUND, HF_KEY_WRONG_PASSWORD, HF_KEY_INVALID, HF_REPO_VERSION, HF_REPO_CONFIG
 */
export async function openRepository(
  storage: Storage,
  credentials: Credentials,
  options: OpenOptions = {},
): Promise<Repository> {
  const { signal } = options
  // At the same time; but when there is no repository, that is what there is to tell.
  const keys = listKeys(storage, signal)
  keys.catch(() => undefined)
  const stored = await readConfig(storage, signal)
  const { key, id } = await openMasterKey(storage, credentials, { listed: await keys, signal })
  const cipher = createCipher(key)
  return new Repository(storage, decodeConfig(openWith(cipher, stored, 'the config file')), key, id, options)
}

/** Stores a key file under its name. */
export async function saveKeyFile(storage: Storage, json: Uint8Array): Promise<Id> {
  const name = sha256Hex(json)
  await storage.put({ kind: 'key', name }, json)
  return name
}

async function isPresent(storage: Storage, file: FileRef, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await storage.stat(file, { signal })
    return true
  } catch (error) {
    if (isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) return false
    throw error
  }
}

function sealWith(cipher: Cipher, plaintext: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(plaintext.length + CRYPTO_OVERHEAD_BYTES)
  cipher.seal(randomBytes(16), plaintext, sealed)
  return sealed
}

function openWith(cipher: Cipher, sealed: Uint8Array, what: string): Uint8Array {
  if (sealed.length < CRYPTO_OVERHEAD_BYTES)
    throw new HoldfastError('HF_DATA_DAMAGED', `${what} is too short to be sealed`)
  const plaintext = new Uint8Array(sealed.length - CRYPTO_OVERHEAD_BYTES)
  try {
    cipher.open(sealed, plaintext)
  } catch (cause) {
    throw new HoldfastError('HF_CRYPTO_AUTH', `${what} fails its authentication code`, { cause })
  }
  return plaintext
}
