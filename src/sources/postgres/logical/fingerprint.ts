import type { CutRule } from '../../../engine/archive/cut-stream.ts'
import { StreamDigester } from '../../../engine/archive/stream-digest.ts'
import { LineSum, lineSumText } from '../../../engine/kernels/line-sum.ts'
import { ByteInput } from '../byte-input.ts'
import type { CopySession } from './copy-session.ts'
import { END_OF_ROWS, fingerprintOf } from './dump-files.ts'
import { LargeObjectsDigest, readLargeObject } from './dump-large-objects.ts'
import type { DatabaseRecord, LogicalManifest, TableRecord } from './manifest.ts'
import type { TableRead } from './table-reads.ts'

/** What identifies the rows of a table. */
export interface TableFingerprint {
  readonly rows: number
  readonly bytes: number
  /** Of the rows in their order; undefined when there is a sum, which their order does not change. */
  readonly fingerprint: string | undefined
  readonly rowSum: string | undefined
}

/** Reads what a backup has read, and says what it would be in the repository, without storing it. */
export class Fingerprinter {
  readonly #digester: StreamDigester
  readonly #rule: CutRule
  readonly #rowSumKey: string | undefined

  constructor({
    chunkerPolynomial,
    averageBytes,
    rowSumKey,
  }: Pick<LogicalManifest, 'chunkerPolynomial' | 'averageBytes' | 'rowSumKey'>) {
    this.#rowSumKey = rowSumKey
    this.#digester = new StreamDigester(BigInt(`0x${chunkerPolynomial}`))
    this.#rule = { kind: 'content', averageBytes }
  }

  /** The rows of a table as the session sees them, added up, or cut where those of the record were, whichever it knows. */
  async table(
    session: CopySession,
    { statements }: Pick<TableRead, 'statements'>,
    { slices, rowSum }: Pick<TableRecord, 'slices' | 'rowSum'>,
  ): Promise<TableFingerprint> {
    if (rowSum !== undefined) return await this.#sum(session, statements)
    let rows = 0
    const input = new ByteInput(
      rowsOf(session, statements, (count) => {
        rows += count
      }),
    )
    const ids: Uint8Array[] = []
    let bytes = 0
    for (const [i, size] of slices.entries()) {
      // What there is too much of is in the last one.
      const slice = takeBytes(input, i === slices.length - 1 ? Number.POSITIVE_INFINITY : size)
      const digest = await this.#digester.digest(slice, this.#rule)
      ids.push(digest.ids)
      bytes += digest.size
    }
    return { rows, bytes, fingerprint: fingerprintOf(Buffer.concat(ids)), rowSum: undefined }
  }

  async #sum(session: CopySession, statements: readonly string[]): Promise<TableFingerprint> {
    const sum = new LineSum(Buffer.from(this.#rowSumKey ?? '', 'hex'))
    let bytes = END_OF_ROWS.length
    for (const statement of statements)
      for await (const piece of session.copyOut(Buffer.from(statement, 'latin1'))) {
        sum.update(piece)
        bytes += piece.length
      }
    return { rows: sum.lines, bytes, fingerprint: undefined, rowSum: lineSumText([sum.sum]) }
  }

  /** All large objects of a database. */
  async largeObjects(session: CopySession): Promise<NonNullable<DatabaseRecord['largeObjects']>> {
    const digest = new LargeObjectsDigest()
    for (const { oid } of await session.rows(
      'SELECT m.oid::text AS oid FROM pg_catalog.pg_largeobject_metadata m ORDER BY m.oid',
    )) {
      const { ids, size } = await this.#digester.digest(readLargeObject(session, oid!), this.#rule)
      digest.add(oid!, fingerprintOf(ids), size)
    }
    const { count, bytes, fingerprint } = digest
    return { count, bytes, fingerprint }
  }
}

async function* rowsOf(
  session: CopySession,
  statements: readonly string[],
  onRows: (rows: number) => void,
): AsyncGenerator<Uint8Array> {
  for (const statement of statements) yield* session.copyOut(Buffer.from(statement, 'latin1'), onRows)
  yield END_OF_ROWS
}

async function* takeBytes(input: ByteInput, count: number): AsyncGenerator<Uint8Array> {
  for (let left = count; left > 0; ) {
    const piece = await input.some(left)
    if (piece.length === 0) return
    left -= piece.length
    yield piece
  }
}
