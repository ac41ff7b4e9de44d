import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { FileReader } from './file-reader.ts'
import { type HeapRules, heapPageFault } from './heap-page.ts'
import type { SandboxSession } from './sandbox-session.ts'

/** Where the files of a cluster lie that nobody else works with. */
export interface HeapFiles {
  readonly dataDirectory: string
  readonly pageBytes: number
}

/** As many as `verify_heapam` is asked for. */
const MAX_NAMED = 3

/**
 * Looks through the pages of a table as they lie on the disk, for servers whose amcheck does not know tables. What the server has changed in
 * memory must have been written before.
 * @param oid of the table
 * @returns what is wrong, or an empty string
 * @throws SandboxRefusal, the signal's reason
 */
export async function checkHeapFiles(
  session: SandboxSession,
  { dataDirectory, pageBytes }: HeapFiles,
  oid: string,
  signal?: AbortSignal,
): Promise<string> {
  const [facts] = await session.rows(
    `SELECT pg_catalog.pg_relation_filepath(oid) AS path, relnatts AS columns, relfrozenxid::text::int8 AS oldest,
            (pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::int8 & 4294967295) AS next
       FROM pg_catalog.pg_class WHERE oid = $1`,
    [oid],
  )
  if (facts === undefined) return 'it is not there any more'
  const rules: HeapRules = { columns: Number(facts.columns), oldest: Number(facts.oldest), next: Number(facts.next) }
  const path = join(dataDirectory, String(facts.path))
  if (!existsSync(path)) return 'its file is not there'
  const faults: string[] = []
  const reader = new FileReader(signal)
  let pages = 0
  for (let segment = 0; faults.length < MAX_NAMED; segment++) {
    const file = segment === 0 ? path : `${path}.${segment}`
    if (segment > 0 && !existsSync(file)) break
    for await (const piece of reader.pieces(file)) {
      for (let at = 0; at < piece.length && faults.length < MAX_NAMED; at += pageBytes, pages++) {
        const page = piece.subarray(at, at + pageBytes)
        const what = page.length < pageBytes ? `it has ${page.length} bytes` : heapPageFault(page, rules)
        if (what !== undefined) faults.push(`page ${pages}, ${what}`)
      }
    }
  }
  return faults.join('; ')
}
