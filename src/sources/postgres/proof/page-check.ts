import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { CheckList, Fault } from './check-list.ts'
import { FileReader } from './file-reader.ts'
import { canCheckPages, isPageSound } from './page-checksum.ts'

const NAME = 'checksums of pages'
/** A relation's file: its number, the fork, the segment. */
const RELATION_FILE = /^[0-9]+(?:_(?:fsm|vm|init))?(?:\.([0-9]+))?$/
/** What servers can be built with. */
const PAGE_SIZES: ReadonlySet<number> = new Set([1, 2, 4, 8, 16, 32].map((kib) => kib * 1024))
/** Damaged pages named of one file. */
const MAX_PAGES_NAMED = 5

export interface PageLayout {
  readonly pageBytes: number
  /** Of a segment of a relation: 1 GiB unless the server was built otherwise. */
  readonly segmentBytes: number
}

/** Reads every page of every relation in a data directory nobody writes to, and checks it; a damaged one is named by file and number. */
export async function checkPages(
  checks: CheckList,
  dataDirectory: string,
  layout: PageLayout,
  signal?: AbortSignal,
): Promise<void> {
  if (!canCheckPages()) {
    checks.skipped(NAME, 'this machine has another byte order than the pages')
    return
  }
  if (!PAGE_SIZES.has(layout.pageBytes)) {
    checks.failed(NAME, `no server has pages of ${layout.pageBytes} bytes`)
    return
  }
  const faults: Fault[] = []
  let pages = 0
  const reader = new FileReader(signal)
  for await (const path of relationFiles(dataDirectory)) {
    const segment = Number(RELATION_FILE.exec(path.slice(path.lastIndexOf('/') + 1))?.[1] ?? 0)
    const found = await checkFile(reader, join(dataDirectory, path), segment, layout)
    pages += found.pages
    if (found.what !== undefined) faults.push({ item: path, what: found.what })
  }
  checks.faults(NAME, faults, `${pages} pages`)
}

async function checkFile(
  reader: FileReader,
  path: string,
  segment: number,
  { pageBytes, segmentBytes }: PageLayout,
): Promise<{ readonly pages: number; readonly what: string | undefined }> {
  const wordsPerPage = pageBytes / 4
  const first = segment * (segmentBytes / pageBytes)
  const damaged: number[] = []
  let pages = 0
  let rest = 0
  for await (const piece of reader.pieces(path)) {
    const words = new Int32Array(piece.buffer, piece.byteOffset, Math.floor(piece.length / 4))
    const count = Math.floor(piece.length / pageBytes)
    for (let page = 0; page < count; page++)
      if (!isPageSound(words, page * wordsPerPage, wordsPerPage, first + pages + page)) damaged.push(pages + page)
    pages += count
    rest = piece.length % pageBytes
  }
  if (rest > 0) return { pages, what: `it ends in the middle of a page, ${rest} bytes behind page ${pages - 1}` }
  if (damaged.length === 0) return { pages, what: undefined }
  const named = damaged.slice(0, MAX_PAGES_NAMED).join(', ')
  const more = damaged.length > MAX_PAGES_NAMED ? ` and ${damaged.length - MAX_PAGES_NAMED} more` : ''
  return { pages, what: `the checksum of page ${named}${more} is wrong` }
}

/** Paths of all files with pages, in the data directory. */
async function* relationFiles(dataDirectory: string): AsyncGenerator<string> {
  yield* filesIn(dataDirectory, 'global')
  for (const database of await foldersIn(dataDirectory, 'base')) yield* filesIn(dataDirectory, database)
  for (const space of await foldersIn(dataDirectory, 'pg_tblspc'))
    for (const version of await foldersIn(dataDirectory, space))
      for (const database of await foldersIn(dataDirectory, version)) yield* filesIn(dataDirectory, database)
}

async function* filesIn(dataDirectory: string, folder: string): AsyncGenerator<string> {
  for (const entry of await readdir(join(dataDirectory, folder), { withFileTypes: true }))
    if (entry.isFile() && RELATION_FILE.test(entry.name)) yield `${folder}/${entry.name}`
}

async function foldersIn(dataDirectory: string, folder: string): Promise<string[]> {
  const entries = await readdir(join(dataDirectory, folder), { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => `${folder}/${name}`)
}
