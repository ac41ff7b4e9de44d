import { createHash } from 'node:crypto'
import type { CopySession } from './copy-session.ts'
import type { DumpFiles, ReadPart } from './dump-files.ts'
import type { DatabaseRecord } from './manifest.ts'

const PIECE_BYTES = 1024 * 1024
const OBJECTS_AT_A_TIME = 1000

/** Name of the file with a large object, as `pg_dump` has it. */
export const largeObjectFile = (oid: string): string => `blob_${oid}.dat`

/** Writes each large object as a file of its own, and the list of them, `blobs.toc`. */
export async function dumpLargeObjects(
  session: CopySession,
  files: DumpFiles,
  folder: string,
): Promise<NonNullable<DatabaseRecord['largeObjects']>> {
  const rows = await session.rows('SELECT oid::text AS oid FROM pg_catalog.pg_largeobject_metadata m ORDER BY m.oid')
  const oids = rows.map(({ oid }) => oid!)
  const digest = new LargeObjectsDigest()
  const list: string[] = []
  for (let at = 0; at < oids.length; at += OBJECTS_AT_A_TIME) {
    const some: { readonly oid: string; readonly part: ReadPart }[] = []
    for (const oid of oids.slice(at, at + OBJECTS_AT_A_TIME))
      some.push({ oid, part: await files.read(readLargeObject(session, oid)) })
    for (const { oid, part } of some) {
      const stored = await files.finish(`${folder}/${largeObjectFile(oid)}`, [part])
      digest.add(oid, stored.fingerprint, stored.bytes)
      list.push(`${oid} ${largeObjectFile(oid)}\n`)
    }
  }
  const listed = await files.read(textOf(list))
  await files.finish(`${folder}/blobs.toc`, [listed])
  const { count, bytes, fingerprint } = digest
  return { count, bytes, fingerprint }
}

/** The bytes of a large object, as the session's snapshot has them. */
export async function* readLargeObject(session: CopySession, oid: string): AsyncGenerator<Uint8Array> {
  for (let at = 0; ; at += PIECE_BYTES) {
    const { data } = await session.row(`SELECT pg_catalog.lo_get(${oid}, ${at}, ${PIECE_BYTES}) AS data`)
    const piece = Buffer.from(data!.slice(2), 'hex')
    if (piece.length > 0) yield piece
    if (piece.length < PIECE_BYTES) return
  }
}

/** What identifies large objects together: each by its oid and the blobs of its content. */
export class LargeObjectsDigest {
  readonly #sum = createHash('sha256')
  count = 0
  bytes = 0

  /** In the order of the oids. */
  add(oid: string, fingerprint: string, size: number): void {
    this.#sum.update(`${oid} ${fingerprint}\n`)
    this.count++
    this.bytes += size
  }

  get fingerprint(): string {
    return this.#sum.copy().digest('hex')
  }
}

async function* textOf(lines: readonly string[]): AsyncGenerator<Uint8Array> {
  if (lines.length > 0) yield Buffer.from(lines.join(''))
}
