import { createHash } from 'node:crypto'
import type { CutRule } from '../../../engine/archive/cut-stream.ts'
import type { EntryAttributes, EntrySink } from '../../../engine/archive/entry-tree.ts'
import type { SavedStream } from '../../../engine/archive/stream-saver.ts'
import { textToByteString } from '../../../engine/repository/tree/node.ts'
import type { StoredFile } from './manifest.ts'

/** Rows that change are few and scattered: small blobs leave the others as they were. */
export const DUMP_AVERAGE_BYTES: number = 64 * 1024

export const dumpCutRule: CutRule = { kind: 'content', averageBytes: DUMP_AVERAGE_BYTES }

/** What `pg_dump` writes behind the rows of a table, in files as well as in scripts. */
export const END_OF_ROWS: Buffer = Buffer.from('\\.\n\n\n')

/** What identifies content without its bytes: SHA-256 over the ids of its blobs. */
export const fingerprintOf = (ids: Uint8Array): string => createHash('sha256').update(ids).digest('hex')

/** A stream that is read, and what it comes to. */
export interface ReadPart {
  readonly saved: Promise<SavedStream>
}

/** Writes the files of a dump below `/<source>/data`. Paths are in text, and not yet those of the snapshot. */
export class DumpFiles {
  readonly #entries: EntrySink
  readonly #source: string
  readonly #attributes: Omit<EntryAttributes, 'mode'>

  constructor(entries: EntrySink, source: string, attributes: Omit<EntryAttributes, 'mode'>) {
    this.#entries = entries
    this.#source = source
    this.#attributes = attributes
  }

  directory(path: string): void {
    this.#entries.directory(this.#place(path), { ...this.#attributes, mode: 0o700 })
  }

  /** Saves a stream that becomes a file, or a part of one, when `finish` names it. */
  async read(input: AsyncIterable<Uint8Array>): Promise<ReadPart> {
    return await this.#entries.part(input, dumpCutRule)
  }

  /** A file of what was read. */
  async finish(path: string, parts: readonly ReadPart[]): Promise<StoredFile & { readonly slices: readonly number[] }> {
    const saved = await Promise.all(parts.map((part) => part.saved))
    this.#entries.joinedFile(this.#place(path), { ...this.#attributes, mode: 0o600 }, saved)
    return {
      path,
      bytes: saved.reduce((sum, { size }) => sum + size, 0),
      fingerprint: fingerprintOf(Buffer.concat(saved.map(({ ids }) => ids))),
      slices: saved.map(({ size }) => size),
    }
  }

  #place(path: string): string {
    return textToByteString(path === '' ? `/${this.#source}/data` : `/${this.#source}/data/${path}`)
  }
}
