import type { Repository } from '../../engine/repository/repository.ts'
import { textToByteString } from '../../engine/repository/tree/node.ts'
import { findDumpSource } from '../../engine/restore/dump/dump-snapshot.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { loadJson } from '../json-file.ts'
import { documentsOf } from './bson/batch.ts'
import { type CollectionEntry, decodeEntry } from './catalog.ts'
import { CATALOG_FILE, DATA_FOLDER, MANIFEST_FILE, type MongoManifest, mongoManifest } from './manifest.ts'
import { storedContent } from './stored-content.ts'

const MAX_CATALOG_BYTES = 256 * 1024 * 1024

/** A file of a snapshot. */
export interface SnapshotFile {
  readonly size: number
  content(): AsyncIterable<Uint8Array>
}

/** Reads what a backup of a source stored. */
export class SnapshotFiles {
  readonly #repository: Repository
  readonly #tree: Id
  readonly #source: string
  readonly #signal: AbortSignal | undefined

  /** `tree`: the root of the snapshot. */
  constructor(repository: Repository, tree: Id, source: string, signal: AbortSignal | undefined) {
    this.#repository = repository
    this.#tree = tree
    this.#source = source
    this.#signal = signal
  }

  /** @throws HoldfastError HF_PATH_NOT_FOUND when it is not there or no file */
  async file(path: string): Promise<SnapshotFile> {
    const place = `/${this.#source}/${path}`
    const found = await findDumpSource(this.#repository, this.#tree, textToByteString(place), this.#signal)
    if (found.kind !== 'file') throw new HoldfastError('HF_PATH_NOT_FOUND', `path ${place} is no file`)
    const { size, content } = found.node
    return { size: Number(size), content: () => storedContent(this.#repository, content ?? [], this.#signal) }
  }

  /** A file of the dump, as the manifest names it. */
  async data(path: string): Promise<SnapshotFile> {
    return await this.file(`${DATA_FOLDER}/${path}`)
  }

  /** @throws HoldfastError HF_DATA_DAMAGED when it is of no known form, HF_PATH_NOT_FOUND */
  async manifest(): Promise<MongoManifest> {
    const path = `/${this.#source}/${MANIFEST_FILE}`
    return await loadJson(this.#repository, this.#tree, path, (value) => mongoManifest.parse(value), this.#signal)
  }

  /** Collections with options and indexes, in the order of the manifest. @throws HoldfastError as `manifest` */
  async catalog(): Promise<readonly CollectionEntry[]> {
    const file = await this.file(CATALOG_FILE)
    if (file.size > MAX_CATALOG_BYTES) throw this.#unknownCatalog()
    const pieces: Uint8Array[] = []
    for await (const piece of file.content()) pieces.push(Uint8Array.from(piece))
    try {
      return Array.from(documentsOf(Buffer.concat(pieces)), decodeEntry)
    } catch (cause) {
      throw this.#unknownCatalog(cause)
    }
  }

  #unknownCatalog(cause?: unknown): HoldfastError {
    return new HoldfastError('HF_DATA_DAMAGED', `/${this.#source}/${CATALOG_FILE} is of no form this version knows`, {
      hint: 'was it written by a newer Holdfast? Use that one',
      cause,
    })
  }
}

/** The manifest of the snapshot before; undefined when there is none, or it is damaged: it is only needed to compare. */
export async function previousManifest(files: SnapshotFiles): Promise<MongoManifest | undefined> {
  try {
    return await files.manifest()
  } catch (error) {
    if (isHoldfastError(error, 'HF_PATH_NOT_FOUND', 'HF_DATA_DAMAGED')) return undefined
    throw error
  }
}
