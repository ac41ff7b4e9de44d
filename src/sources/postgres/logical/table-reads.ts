import type { ByteString } from '../../../engine/repository/tree/node.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import type { CopySession } from './copy-session.ts'
import { decoded } from './names.ts'
import type { TocEntry } from './toc.ts'

/** The data of one table, and how it is read. */
export interface TableRead {
  readonly entry: TocEntry
  readonly schema: string
  readonly name: string
  readonly columns: readonly string[]
  /** Of the table on the disk of the server: where reading begins with the largest. */
  readonly sizeBytes: number
  /** Statements whose results one behind the other are the data. As bytes, since names are. */
  readonly statements: readonly ByteString[]
}

/** Slices by ranges of pages are read by index-like scans from this version on; before, each would read the whole table. */
const FIRST_WITH_RANGE_SCANS = 14
const OIDS_PER_STATEMENT = 1000

/**
 * How the tables of a dump are read. `sliceBytes`: larger ones are read in slices that begin at multiples of it, so that they stay where they
 * are while a table grows.
 */
export async function planTableReads(
  session: CopySession,
  entries: readonly TocEntry[],
  majorVersion: number,
  sliceBytes: number,
): Promise<readonly TableRead[]> {
  const data = entries.filter(({ kind }) => kind === 'TABLE DATA')
  const facts = new Map<string, RelationFacts>()
  for (let at = 0; at < data.length; at += OIDS_PER_STATEMENT) {
    const oids = data.slice(at, at + OIDS_PER_STATEMENT).map(({ oid }) => Number(oid))
    for (const row of await session.rows(relationQuery(oids)))
      facts.set(row.oid!, {
        pages: Number(row.pages),
        pageBytes: Number(row.page_bytes),
        sizeBytes: Number(row.size),
        isHeap: row.heap === 't',
        condition:
          row.condition === undefined || row.condition === ''
            ? undefined
            : Buffer.from(row.condition).toString('latin1'),
      })
  }
  return data
    .map((entry) => planRead(entry, facts.get(entry.oid ?? ''), majorVersion, sliceBytes))
    .sort((a, b) => b.sizeBytes - a.sizeBytes)
}

interface RelationFacts {
  readonly pages: number
  readonly pageBytes: number
  readonly sizeBytes: number
  readonly isHeap: boolean
  /** Which rows of a table of an extension its users have added: `WHERE …`. */
  readonly condition: ByteString | undefined
}

const relationQuery = (oids: readonly number[]): string => `
  SELECT c.oid::text AS oid, pg_relation_size(c.oid) / current_setting('block_size')::int AS pages,
         current_setting('block_size') AS page_bytes, pg_table_size(c.oid) AS size,
         c.relkind = 'r' AND am.amname = 'heap' AS heap,
         (SELECT e.extcondition[array_position(e.extconfig, c.oid)] FROM pg_catalog.pg_extension e
           WHERE c.oid = ANY (e.extconfig)) AS condition
    FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
   WHERE c.oid IN (${oids.join(', ')})`

function planRead(
  entry: TocEntry,
  facts: RelationFacts | undefined,
  majorVersion: number,
  sliceBytes: number,
): TableRead {
  const { target, columns } = splitCopyStatement(entry)
  const list = columns.join(', ')
  const read = {
    entry,
    schema: decoded(entry.schema ?? ''),
    name: decoded(entry.tag),
    columns: columns.map((column) => decoded(unquoted(column))),
    sizeBytes: facts?.sizeBytes ?? 0,
  }
  if (facts?.condition !== undefined)
    return { ...read, statements: [`COPY (SELECT ${list} FROM ONLY ${target} ${facts.condition}) TO STDOUT`] }
  const pagesOfSlice = facts === undefined ? 0 : Math.max(1, Math.floor(sliceBytes / facts.pageBytes))
  const slices =
    facts?.isHeap === true && majorVersion >= FIRST_WITH_RANGE_SCANS ? Math.ceil(facts.pages / pagesOfSlice) : 1
  if (slices <= 1 || columns.length === 0)
    return { ...read, statements: [`COPY ${target}${columns.length === 0 ? '' : ` (${list})`} TO STDOUT`] }
  const statements = Array.from({ length: slices }, (_, i) => {
    const from = i === 0 ? [] : [`ctid >= '(${i * pagesOfSlice},0)'::pg_catalog.tid`]
    // What was added since the pages were counted is in none of them, as the snapshot is older.
    const to = i === slices - 1 ? [] : [`ctid < '(${(i + 1) * pagesOfSlice},0)'::pg_catalog.tid`]
    return `COPY (SELECT ${list} FROM ONLY ${target} WHERE ${[...from, ...to].join(' AND ')}) TO STDOUT`
  })
  return { ...read, statements }
}

const BEGIN = 'COPY '
const END = ' FROM stdin;\n'

/** What `COPY schema.table (columns) FROM stdin;` of an entry names, as it is written there. */
export function splitCopyStatement({ copyStatement = '', tag }: Pick<TocEntry, 'copyStatement' | 'tag'>): {
  readonly target: ByteString
  readonly columns: readonly ByteString[]
} {
  if (!copyStatement.startsWith(BEGIN) || !copyStatement.endsWith(END))
    throw new HoldfastError('HF_SOURCE_DAMAGED', `the dump has no COPY statement for ${JSON.stringify(decoded(tag))}`)
  const middle = copyStatement.slice(BEGIN.length, -END.length)
  const pieces = splitUnquoted(middle, '(')
  const target = pieces[0]!.trimEnd()
  if (pieces.length === 1) return { target, columns: [] }
  const list = middle.slice(pieces[0]!.length + 1, middle.lastIndexOf(')'))
  return { target, columns: splitUnquoted(list, ',').map((column) => column.trim()) }
}

/** Splits at a letter, except within double quotes. */
function splitUnquoted(text: ByteString, at: string): readonly ByteString[] {
  const parts: ByteString[] = []
  let start = 0
  let isQuoted = false
  for (let i = 0; i < text.length; i++)
    if (text[i] === '"') isQuoted = !isQuoted
    else if (text[i] === at && !isQuoted) {
      parts.push(text.slice(start, i))
      start = i + 1
    }
  parts.push(text.slice(start))
  return parts
}

const unquoted = (name: ByteString): ByteString =>
  name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name
