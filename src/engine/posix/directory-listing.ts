import { asBuffer } from '../../lib/bytes.ts'
import { decodeStatx, type FileAttributes, STATX_ROW_WORDS, statxMode } from './attributes.ts'
import type { SystemError } from './system-error.ts'

/**
 * One entry of a directory. `name` shares its memory with the other names of the listing: copy it (`slice`) before sending it to another
 * thread.
 */
export type DirectoryEntry =
  | { readonly name: Uint8Array; readonly attributes: FileAttributes; readonly error: undefined }
  | { readonly name: Uint8Array; readonly attributes: undefined; readonly error: SystemError }

/** Names one behind the other and where each ends; what statx said of each, row by row; what it failed with instead. */
export interface ListedRows {
  readonly names: Uint8Array
  readonly ends: Uint32Array
  /** STATX_ROW_WORDS words for each name. */
  readonly rows: Uint32Array
  readonly errors: ReadonlyMap<number, SystemError> | undefined
}

const directoryFormat = 0x4000
const formatMask = 0xf000

/**
 * The entries of a directory in the order of their bytes, each name once. In flat memory: entries become objects when they are asked for,
 * so that listing tens of thousands of directories in advance makes nothing for the garbage collector to look at.
 */
export class DirectoryListing {
  readonly #listed: ListedRows

  constructor(listed: ListedRows) {
    this.#listed = listed
  }

  get count(): number {
    return this.#listed.ends.length
  }

  /** Bytes of all names, one behind the other; see `nameStart` and `nameEnd`. */
  get names(): Uint8Array {
    return this.#listed.names
  }

  nameStart(i: number): number {
    return i === 0 ? 0 : this.#listed.ends[i - 1]!
  }

  nameEnd(i: number): number {
    return this.#listed.ends[i]!
  }

  /** A view of the name; see `DirectoryEntry`. */
  name(i: number): Uint8Array {
    return this.#listed.names.subarray(this.nameStart(i), this.nameEnd(i))
  }

  /** The name, one character per byte. */
  nameString(i: number): string {
    return asBuffer(this.#listed.names).toString('latin1', this.nameStart(i), this.nameEnd(i))
  }

  /** Why the entry could not be looked at; the attributes mean nothing then. */
  error(i: number): SystemError | undefined {
    return this.#listed.errors?.get(i)
  }

  attributes(i: number): FileAttributes {
    return decodeStatx(this.#listed.rows, i * STATX_ROW_WORDS)
  }

  isDirectory(i: number): boolean {
    return (statxMode(this.#listed.rows, i * STATX_ROW_WORDS) & formatMask) === directoryFormat && !this.error(i)
  }

  entry(i: number): DirectoryEntry {
    const error = this.error(i)
    return error === undefined
      ? { name: this.name(i), attributes: this.attributes(i), error }
      : { name: this.name(i), attributes: undefined, error }
  }

  *[Symbol.iterator](): Generator<DirectoryEntry> {
    for (let i = 0; i < this.count; i++) yield this.entry(i)
  }
}
