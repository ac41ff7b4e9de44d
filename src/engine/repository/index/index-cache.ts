import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex } from '../../../lib/bytes.ts'
import { isHoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import { type Id, isId } from '../../../lib/id.ts'
import { randomBytes } from '../../../lib/random.ts'
import { type Cipher, CRYPTO_OVERHEAD_BYTES } from '../../kernels/cipher.ts'
import type { PackListing } from '../pack/blob-rows.ts'
import { decodeListings, encodeListings } from './cached-listing.ts'

/**
 * Decoded index files, kept locally by index id so that opening a repository parses no JSON. Sealed with the repository's key: ids are
 * hashes of the owner's data and nobody else's business. Losing or damaging the cache costs time only; it is never an error.
 */
export class IndexCache {
  readonly #directory: string
  readonly #cipher: Cipher

  /** `directory` is the repository's folder in the cache. */
  constructor(directory: string, cipher: Cipher) {
    this.#directory = join(directory, 'decoded-index')
    this.#cipher = cipher
  }

  /** The decoded index file `name`, or undefined when it is not here or not intact. */
  async read(name: Id): Promise<PackListing[] | undefined> {
    try {
      const sealed = await readFile(join(this.#directory, name))
      const packed = new Uint8Array(Math.max(0, sealed.length - CRYPTO_OVERHEAD_BYTES))
      this.#cipher.open(sealed, packed)
      return decodeListings(packed)
    } catch (error) {
      if (isHoldfastError(error, 'HF_CRYPTO_AUTH') || systemErrorCode(error) !== undefined) return undefined
      throw error
    }
  }

  /** Keeps what the index file `name` lists. */
  async write(name: Id, packs: readonly PackListing[]): Promise<void> {
    const packed = encodeListings(packs)
    const sealed = new Uint8Array(packed.length + CRYPTO_OVERHEAD_BYTES)
    this.#cipher.seal(randomBytes(16), packed, sealed)
    const temporary = join(this.#directory, `${name}.${toHex(randomBytes(4))}.tmp`)
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 })
      const file = await open(temporary, 'wx', 0o600)
      try {
        await file.writeFile(sealed)
      } finally {
        await file.close()
      }
      await rename(temporary, join(this.#directory, name))
    } catch (error) {
      if (systemErrorCode(error) === undefined) throw error
      await rm(temporary, { force: true }).catch(() => undefined)
    }
  }

  /** Drops what belongs to no index file of `names`. */
  async retain(names: ReadonlySet<Id>): Promise<void> {
    let present: string[]
    try {
      present = await readdir(this.#directory)
    } catch {
      return
    }
    for (const file of present)
      if (isId(file) && !names.has(file)) await rm(join(this.#directory, file), { force: true }).catch(() => undefined)
  }
}
