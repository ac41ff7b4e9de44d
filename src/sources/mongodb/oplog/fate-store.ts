import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { HoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import { documentsOf } from '../bson/batch.ts'
import { type Fate, followed } from './fate.ts'

/** Of the index of what is stored, so much is kept in memory. */
const CACHE_KIBIBYTES = 32 * 1024
const WRITE_BYTES = 1024 * 1024
const KINDS = ['is', 'gone', 'changed'] as const

interface Row {
  readonly k: Uint8Array
  readonly kind: number
  readonly place: number
  readonly length: number
}

/**
 * What becomes of documents, on disk: in files without names, so that they are gone when this process is, however it ends. They lie in
 * HOLDFAST_SANDBOX_DIR, else in the folder for temporary files; the index of them is SQLite's temporary database.
 */
export class FateStore implements Disposable {
  readonly #database: DatabaseSync
  readonly #file: number
  readonly #insert: StatementSync
  readonly #find: StatementSync
  readonly #forget: StatementSync
  #end = 0
  #order = 0

  /** @throws HoldfastError HF_RESTORE_FAILED when nothing can be written there */
  constructor() {
    this.#file = guarded(openUnnamed)
    // Loaded by the few that need it.
    const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
    this.#database = new DatabaseSync('')
    this.#database.exec(`PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -${CACHE_KIBIBYTES};
      CREATE TABLE fates (c INTEGER, k BLOB, n INTEGER, kind INTEGER, place INTEGER, length INTEGER, PRIMARY KEY (c, k, n)) WITHOUT ROWID`)
    this.#insert = this.#database.prepare('INSERT INTO fates VALUES (?, ?, ?, ?, ?, ?)')
    this.#find = this.#database.prepare('SELECT k, kind, place, length FROM fates WHERE c = ? AND k = ? ORDER BY n')
    this.#forget = this.#database.prepare('DELETE FROM fates WHERE c = ? AND k = ?')
  }

  /** Adds what happened to documents of a collection after all that is stored. Keys are bytes as latin1. */
  add(collection: number, fates: ReadonlyMap<string, Fate>): void {
    const pieces: Buffer[] = []
    let length = 0
    const flush = (): void => {
      writeAll(this.#file, Buffer.concat(pieces), this.#end)
      this.#end += length
      pieces.length = length = 0
    }
    const rows = Array.from(fates, ([key, fate]) => {
      const bytes = fate.kind === 'is' ? [fate.document] : fate.kind === 'changed' ? fate.updates : []
      const place = this.#end + length
      let size = 0
      for (const piece of bytes) size += piece.length
      pieces.push(...bytes)
      length += size
      if (length >= WRITE_BYTES) guarded(flush)
      return { key, n: this.#order++, kind: KINDS.indexOf(fate.kind), place, size }
    })
    guarded(() => {
      flush()
      this.#database.exec('BEGIN')
      // In the order of the index, which is many times quicker than in any other.
      for (const { key, n, kind, place, size } of rows.sort((a, b) => (a.key < b.key ? -1 : 1)))
        this.#insert.run(collection, Buffer.from(key, 'latin1'), n, kind, place, size)
      this.#database.exec('COMMIT')
    })
  }

  /** What is stored of a document, which is gone from then on. */
  take(collection: number, key: string): Fate | undefined {
    const bytes = Buffer.from(key, 'latin1')
    const rows = this.#find.all(collection, bytes) as unknown as readonly Row[]
    if (rows.length === 0) return undefined
    guarded(() => {
      this.#forget.run(collection, bytes)
      this.#insert.run(collection, bytes, this.#order++, KINDS.indexOf('gone'), 0, 0)
    })
    return this.#fateOf(rows)
  }

  /** What is stored of a collection, documents in the order in which they first turned up. */
  *rest(collection: number): Generator<readonly [key: string, fate: Fate]> {
    const keys = this.#database.prepare('SELECT k, min(n) AS first FROM fates WHERE c = ? GROUP BY k ORDER BY first')
    for (const { k } of keys.iterate(collection)) {
      const rows = this.#find.all(collection, k as Uint8Array) as unknown as readonly Row[]
      yield [Buffer.from(k as Uint8Array).toString('latin1'), this.#fateOf(rows)!]
    }
  }

  /** Forgets a collection. */
  clear(collection: number): void {
    guarded(() => this.#database.prepare('DELETE FROM fates WHERE c = ?').run(collection))
  }

  [Symbol.dispose](): void {
    this.#database.close()
    closeSync(this.#file)
  }

  #fateOf(rows: readonly Row[]): Fate | undefined {
    let fate: Fate | undefined
    for (const { kind, place, length } of rows) {
      const name = KINDS[kind]!
      const bytes = Buffer.allocUnsafe(length)
      if (readSync(this.#file, bytes, 0, length, place) !== length)
        throw new HoldfastError('HF_RESTORE_FAILED', 'a temporary file is shorter than what was written to it')
      const next: Fate =
        name === 'is'
          ? { kind: 'is', document: bytes }
          : name === 'gone'
            ? { kind: 'gone' }
            : { kind: 'changed', updates: [...documentsOf(bytes)] }
      fate = followed(fate, next)
    }
    return fate
  }
}

/** A new file that has no name any more. */
function openUnnamed(): number {
  const folder = mkdtempSync(join(process.env.HOLDFAST_SANDBOX_DIR || tmpdir(), 'holdfast-oplog-'))
  try {
    return openSync(join(folder, 'documents'), 'wx+', 0o600)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function writeAll(file: number, bytes: Buffer, place: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, place + at)
}

function guarded<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    const isFull = systemErrorCode(error) === 'ENOSPC' || /disk is full/.test((error as Error).message)
    throw new HoldfastError(
      'HF_RESTORE_FAILED',
      `what the oplog changes cannot be written to temporary files: ${(error as Error).message}`,
      {
        cause: error,
        hint: isFull
          ? 'make room, or name another folder in TMPDIR'
          : 'name a folder that you may write to in TMPDIR, and in HOLDFAST_SANDBOX_DIR if that is set',
      },
    )
  }
}
