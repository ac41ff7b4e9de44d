import { type ByteString, byteStringToText } from '../../engine/repository/tree/node.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { ByteInput } from './byte-input.ts'

const PREFIX = 'INCREMENTAL.'
const MAGIC = 0xd3ae1f0d
const FIXED_BYTES = 12

/** Folders of relations: only there does the name mean something. */
const relationFolder = /^(global|base\/[0-9]+|pg_tblspc\/[0-9]+\/PG_[0-9]+_[0-9]+\/[0-9]+)\//

/** The file that an incremental one is about; undefined when it is none. */
export function incrementalTarget(path: ByteString): ByteString | undefined {
  const folder = relationFolder.exec(path)?.[0]
  if (folder === undefined || !path.startsWith(PREFIX, folder.length)) return undefined
  return folder + path.slice(folder.length + PREFIX.length)
}

/**
 * Whether a file, sent as it is or as an incremental one, is a visibility map. When a row changes, the server takes the mark of its page out of the
 * map without naming the map's page in the WAL, so summaries miss it: of an incremental backup alone, pages would be taken for all visible
 * that are not, and index-only scans would show what was deleted. Seen with PostgreSQL 18.4.
 */
export const isVisibilityMap = (path: ByteString): boolean => /\/(INCREMENTAL\.)?[0-9]+_vm(\.[0-9]+)?$/.test(path)

/** The sizes of a cluster that bound what an incremental file may say. */
export interface PageSizes {
  readonly pageBytes: number
  /** Of one file of a relation. */
  readonly segmentBytes: number
}

/** An incremental file: which pages of a file have changed, and these pages. */
export interface IncrementalFile {
  /** Ascending. */
  readonly changed: Uint32Array
  /** What the file has now. */
  readonly pages: number
  /** Copies the next of the changed pages into `page`, which has its size. @throws HoldfastError HF_SOURCE_DAMAGED */
  readPage(page: Uint8Array): Promise<void>
  /** @throws HoldfastError HF_SOURCE_DAMAGED unless every page was read and nothing is left */
  finish(): Promise<void>
}

/**
 * Reads an incremental file as it comes. All numbers are little-endian and of 32 bits: magic, number of changed pages, length below which
 * nothing was cut off, in pages; then the numbers of the changed pages. When there are any, zeros up to a whole page and the pages follow
 * (src/backend/backup/basebackup.c, sendFile, of PostgreSQL 17).
 *
 * The server may be hostile: nothing is allocated before the counts fit `size`, the size of the member it arrives in, and `limits`.
 * @throws HoldfastError HF_SOURCE_DAMAGED; whatever `content` throws
 */
export async function readIncrementalFile(
  path: ByteString,
  size: number,
  content: AsyncIterable<Uint8Array>,
  { pageBytes, segmentBytes }: PageSizes,
): Promise<IncrementalFile> {
  const damaged = (how: string): HoldfastError =>
    new HoldfastError('HF_SOURCE_DAMAGED', `the incremental file ${JSON.stringify(byteStringToText(path))} ${how}`, {
      hint: 'nothing was kept; if it happens again, something between here and the server changes the bytes',
    })
  const input = new ByteInput(content)
  const take = async (count: number): Promise<Uint8Array> => {
    const bytes = await input.take(count)
    if (bytes.length < count) throw damaged('ends early')
    return bytes
  }
  const maxPages = segmentBytes / pageBytes
  const fixed = Buffer.from(await take(FIXED_BYTES))
  if (fixed.readUInt32LE(0) !== MAGIC) throw damaged('does not begin as one')
  const count = fixed.readUInt32LE(4)
  const cutTo = fixed.readUInt32LE(8)
  if (count > maxPages || cutTo > maxPages) throw damaged('speaks of more pages than a file can have')
  const listEnd = FIXED_BYTES + 4 * count
  const padding = count === 0 ? 0 : (pageBytes - (listEnd % pageBytes)) % pageBytes
  if (size !== listEnd + padding + count * pageBytes) throw damaged(`has ${size} bytes, which do not fit its pages`)
  const list = Buffer.from(await take(4 * count))
  const changed = Uint32Array.from({ length: count }, (_, i) => list.readUInt32LE(4 * i))
  for (let i = 0; i < count; i++)
    if (changed[i]! >= maxPages || (i > 0 && changed[i]! <= changed[i - 1]!))
      throw damaged('has page numbers that do not ascend or lie behind the end')
  if ((await take(padding)).some((byte) => byte !== 0)) throw damaged('has bytes where zeros belong')
  let left = count
  return {
    changed,
    pages: count === 0 ? cutTo : Math.max(cutTo, changed[count - 1]! + 1),
    readPage: async (page) => {
      if (left-- === 0) throw damaged('has no more pages')
      if ((await input.fill(page)) < pageBytes) throw damaged('ends early')
    },
    finish: async () => {
      if (left > 0 || (await input.some(1)).length > 0) throw damaged('has more than was asked for')
    },
  }
}
