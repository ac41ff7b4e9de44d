import { HoldfastError } from '../../../lib/errors.ts'

/** What an entry of a dump is restored with. */
export const tocSections = { none: 1, preData: 2, data: 3, postData: 4 } as const

/** One object of a dump, or its data. */
export interface TocEntry {
  readonly dumpId: number
  /** Whether it has data besides its statements. */
  readonly hasData: boolean
  /** Of the catalog and the row there that describe it; `0` for what has none. */
  readonly tableOid: string | undefined
  readonly oid: string | undefined
  /** Its name, mostly. */
  readonly tag: string
  /** What it is: `TABLE`, `TABLE DATA`, `FK CONSTRAINT`. */
  readonly kind: string
  readonly section: number
  readonly definition: string | undefined
  readonly dropStatement: string | undefined
  readonly copyStatement: string | undefined
  readonly schema: string | undefined
  readonly tablespace: string | undefined
  readonly tableAccessMethod: string | undefined
  /** Kind of relation, the number of a letter; written from 1.16 on. */
  readonly relationKind: number
  readonly owner: string | undefined
  readonly withOids: string | undefined
  /** Dump ids of what must be restored before. */
  readonly dependencies: readonly string[]
  /** Of its data, in a directory. */
  readonly fileName: string | undefined
}

/** The table of contents of a dump. */
export interface Toc {
  /** Of the format: 14 is 1.14. */
  readonly minorVersion: number
  readonly revision: number
  readonly intBytes: number
  readonly offsetBytes: number
  /** Seconds, minutes, hours, day, month, year since 1900, daylight saving, by the clock of who dumped. */
  readonly created: readonly number[]
  readonly database: string | undefined
  readonly serverVersion: string | undefined
  readonly dumpVersion: string | undefined
  readonly entries: readonly TocEntry[]
}

/** From PostgreSQL 12's on to 18's; `src/bin/pg_dump/pg_backup_archiver.c` of PostgreSQL is the only description of the format. */
const OLDEST_MINOR = 14
const NEWEST_MINOR = 16
const WITH_COMPRESSION_NAME = 15
const WITH_RELATION_KIND = 16

const MAGIC = 'PGDMP'
const FORMAT_CUSTOM = 1
/** The table of contents of a directory says that it is one of a tar archive. */
const FORMAT_DIRECTORY = 3
const MAX_ENTRIES = 50_000_000
/** Above it something is wrong, and reading on would only fill memory. */
export const MAX_TOC_BYTES: number = 1024 * 1024 * 1024

/** The bytes end before the table of contents does. */
class CutOff extends Error {}

/**
 * Reads the beginning of a dump in the custom format, or the `toc.dat` of one in the directory format; undefined when it goes on behind
 * `bytes`.
 *
 * @throws HoldfastError HF_SOURCE_UNSUPPORTED for a version of the format that is not known, HF_SOURCE_DAMAGED for what is no dump
 */
export function readToc(bytes: Buffer): Toc | undefined {
  try {
    return new TocReader(bytes).read()
  } catch (error) {
    if (error instanceof CutOff) return undefined
    throw error
  }
}

class TocReader {
  readonly #bytes: Buffer
  #at = 0
  #intBytes = 4

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  read(): Toc {
    if (this.#take(MAGIC.length).toString('latin1') !== MAGIC) throw damaged('it does not begin as one')
    const [major, minorVersion, revision] = [this.#byte(), this.#byte(), this.#byte()]
    if (major !== 1 || minorVersion < OLDEST_MINOR || minorVersion > NEWEST_MINOR)
      throw new HoldfastError('HF_SOURCE_UNSUPPORTED', `the dump has format version ${major}.${minorVersion}`, {
        hint: `versions 1.${OLDEST_MINOR} to 1.${NEWEST_MINOR} are known: those of pg_dump 13 to 18`,
      })
    this.#intBytes = this.#byte()
    const offsetBytes = this.#byte()
    if (this.#intBytes !== 4 || offsetBytes < 4 || offsetBytes > 8) throw damaged('its numbers have an odd size')
    const format = this.#byte()
    if (format !== FORMAT_CUSTOM && format !== FORMAT_DIRECTORY) throw damaged(`its format has the number ${format}`)
    if (minorVersion >= WITH_COMPRESSION_NAME) this.#byte()
    else this.#int()
    const created = Array.from({ length: 7 }, () => this.#int())
    const [database, serverVersion, dumpVersion] = [this.#text(), this.#text(), this.#text()]
    const count = this.#int()
    if (count < 0 || count > MAX_ENTRIES) throw damaged(`it says to have ${count} entries`)
    const entries: TocEntry[] = []
    for (let i = 0; i < count; i++) entries.push(this.#entry(minorVersion, format, offsetBytes))
    return {
      minorVersion,
      revision,
      intBytes: this.#intBytes,
      offsetBytes,
      created,
      database,
      serverVersion,
      dumpVersion,
      entries,
    }
  }

  #entry(minorVersion: number, format: number, offsetBytes: number): TocEntry {
    const dumpId = this.#int()
    const hasData = this.#int() !== 0
    const [tableOid, oid, tag, kind] = [this.#text(), this.#text(), this.#text(), this.#text()]
    const section = this.#int()
    const [definition, dropStatement, copyStatement] = [this.#text(), this.#text(), this.#text()]
    const [schema, tablespace, tableAccessMethod] = [this.#text(), this.#text(), this.#text()]
    const relationKind = minorVersion >= WITH_RELATION_KIND ? this.#int() : 0
    const [owner, withOids] = [this.#text(), this.#text()]
    const dependencies: string[] = []
    for (let on = this.#text(); on !== undefined; on = this.#text()) dependencies.push(on)
    let fileName: string | undefined
    if (format === FORMAT_CUSTOM) this.#take(1 + offsetBytes)
    else fileName = this.#text() || undefined
    return {
      dumpId,
      hasData,
      tableOid,
      oid,
      tag: tag ?? '',
      kind: kind ?? '',
      section,
      definition,
      dropStatement,
      copyStatement,
      schema,
      tablespace,
      tableAccessMethod,
      relationKind,
      owner,
      withOids,
      dependencies,
      fileName,
    }
  }

  #take(count: number): Buffer {
    if (this.#at + count > this.#bytes.length) throw new CutOff()
    this.#at += count
    return this.#bytes.subarray(this.#at - count, this.#at)
  }

  #byte(): number {
    return this.#take(1)[0]!
  }

  /** A sign and the bytes of the magnitude, the least significant first. */
  #int(): number {
    const negative = this.#byte() !== 0
    const value = this.#take(this.#intBytes).readUInt32LE()
    return negative ? -value : value
  }

  #text(): string | undefined {
    const length = this.#int()
    if (length > MAX_TOC_BYTES) throw damaged(`it has a text of ${length} bytes`)
    // Names may be in any encoding: each byte is kept as it is.
    return length < 0 ? undefined : this.#take(length).toString('latin1')
  }
}

/** The same as the `toc.dat` of a dump in the directory format, whose files are not compressed. */
export function directoryToc(toc: Toc): Buffer {
  const parts: Buffer[] = []
  const byte = (value: number): void => void parts.push(Buffer.of(value))
  const int = (value: number): void => {
    const bytes = Buffer.alloc(1 + toc.intBytes)
    bytes[0] = value < 0 ? 1 : 0
    bytes.writeUInt32LE(Math.abs(value), 1)
    parts.push(bytes)
  }
  const text = (value: string | undefined): void => {
    const bytes = value === undefined ? undefined : Buffer.from(value, 'latin1')
    int(bytes?.length ?? -1)
    if (bytes !== undefined) parts.push(bytes)
  }
  parts.push(Buffer.from(MAGIC))
  for (const value of [1, toc.minorVersion, toc.revision, toc.intBytes, toc.offsetBytes, FORMAT_DIRECTORY]) byte(value)
  if (toc.minorVersion >= WITH_COMPRESSION_NAME) byte(0)
  else int(0)
  for (const value of toc.created) int(value)
  for (const value of [toc.database, toc.serverVersion, toc.dumpVersion]) text(value)
  int(toc.entries.length)
  for (const entry of toc.entries) {
    int(entry.dumpId)
    int(entry.hasData ? 1 : 0)
    for (const value of [entry.tableOid, entry.oid, entry.tag, entry.kind]) text(value)
    int(entry.section)
    for (const value of [entry.definition, entry.dropStatement, entry.copyStatement]) text(value)
    for (const value of [entry.schema, entry.tablespace, entry.tableAccessMethod]) text(value)
    if (toc.minorVersion >= WITH_RELATION_KIND) int(entry.relationKind)
    for (const value of [entry.owner, entry.withOids, ...entry.dependencies, undefined]) text(value)
    text(entry.fileName ?? '')
  }
  return Buffer.concat(parts)
}

const damaged = (what: string): HoldfastError =>
  new HoldfastError('HF_SOURCE_DAMAGED', `the table of contents of a dump is damaged: ${what}`)
