import { advance, INITIAL_REGISTER } from '../../../engine/kernels/crc32c.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { positionText, type Segment, segmentsBetween } from './log-position.ts'

/** The stretch of the log to be read. */
export interface WalRange {
  readonly majorVersion: number
  readonly systemId: string
  readonly segmentBytes: number
  readonly timeline: number
  /** Where a record begins. */
  readonly start: bigint
  /** Where one ends. */
  readonly end: bigint
  /** The content of a segment; undefined when it is not there. */
  readonly open: (name: string) => AsyncIterable<Uint8Array> | undefined
}

/** First bytes of every page, by major version (XLOG_PAGE_MAGIC). */
const magics: ReadonlyMap<number, number> = new Map([
  [13, 0xd106],
  [14, 0xd10d],
  [15, 0xd110],
  [16, 0xd113],
  [17, 0xd116],
  [18, 0xd118],
])

const SHORT_HEADER_BYTES = 24
const LONG_HEADER_BYTES = 40
const CONTINUES_RECORD = 0x01
const LONG_HEADER = 0x02
/** The record that the page before began was never ended: the server failed there, and went on. */
const REPLACES_RECORD = 0x08

const RECORD_HEADER_BYTES = 24
const CRC_OFFSET = 20
const MAX_RECORD_BYTES = 1020 * 1024 * 1024
const ALIGNMENT = 8n
/** The record after which the rest of a segment is empty. */
const RESOURCE_XLOG = 0
const INFO_SWITCH = 0x40
const PAGE_BYTES = 8192

/**
 * Reads the log record by record and checks what recovery will check: headers of pages, the chain of records, and the checksum of each
 * (PostgreSQL, `src/include/access/xlogrecord.h` and `xlog_internal.h`; little-endian machines, pages of 8 KiB).
 *
 * @returns how many records there are
 * @throws HoldfastError HF_DATA_DAMAGED naming the segment and the position of the first fault; whatever `open` throws
 */
export async function checkWal(range: WalRange, signal?: AbortSignal): Promise<number> {
  const reader = new WalReader(range)
  for (const segment of segmentsBetween(range.timeline, range.start, range.end, range.segmentBytes)) {
    signal?.throwIfAborted()
    const content = range.open(segment.name)
    if (content === undefined) throw fault(segment, segment.start, 'the segment is missing')
    await reader.segment(segment, content)
  }
  return reader.finish()
}

class WalReader {
  readonly #range: WalRange
  readonly #header = Buffer.alloc(RECORD_HEADER_BYTES)
  #headerBytes = 0
  /** Of the record that is being read, not yet seen. */
  #left = 0
  #crc = INITIAL_REGISTER
  #recordStart = 0n
  #previous: bigint | undefined
  /** Up to here there is nothing more. */
  #position: bigint
  #records = 0
  #segment: Segment | undefined

  constructor(range: WalRange) {
    this.#range = range
    this.#position = range.start
  }

  async segment(segment: Segment, content: AsyncIterable<Uint8Array>): Promise<void> {
    this.#segment = segment
    const page = Buffer.alloc(PAGE_BYTES)
    let filled = 0
    let length = 0
    for await (const piece of content) {
      for (let at = 0; at < piece.length; ) {
        const count = Math.min(PAGE_BYTES - filled, piece.length - at)
        page.set(piece.subarray(at, at + count), filled)
        filled += count
        at += count
        if (filled < PAGE_BYTES) continue
        this.#page(page, segment.start + BigInt(length))
        length += PAGE_BYTES
        filled = 0
      }
      if (this.#isDone) return
    }
    if (length + filled !== this.#range.segmentBytes)
      throw fault(segment, segment.start + BigInt(length), `the segment ends after ${length + filled} bytes`)
  }

  finish(): number {
    if (!this.#isDone) throw fault(this.#segment, this.#position, 'the log ends before the backup does')
    return this.#records
  }

  get #isDone(): boolean {
    return this.#left === 0 && this.#headerBytes === 0 && this.#position >= this.#range.end
  }

  #page(page: Buffer, start: bigint): void {
    const end = start + BigInt(PAGE_BYTES)
    if (this.#isDone) return
    const isFirst = start === this.#segment!.start
    if (!isFirst && end <= this.#position) return
    const headerBytes = this.#pageHeader(page, start, isFirst)
    if (end <= this.#position) return
    let at = headerBytes
    if (this.#position > start + BigInt(headerBytes)) at = Number(this.#position - start)
    else this.#position = start + BigInt(headerBytes)
    while (at < PAGE_BYTES && !this.#isDone)
      at = this.#left === 0 ? this.#begin(page, at, start) : this.#go(page, at, start)
  }

  /** Checks the header of a page. Returns its length. */
  #pageHeader(page: Buffer, start: bigint, isFirst: boolean): number {
    const { majorVersion, systemId, timeline, segmentBytes } = this.#range
    const refuse = (what: string): HoldfastError => fault(this.#segment, start, what)
    const magic = page.readUInt16LE(0)
    if (magic !== magics.get(majorVersion))
      throw refuse(`no page of PostgreSQL ${majorVersion} begins with ${magic.toString(16)}`)
    const info = page.readUInt16LE(2)
    if (page.readUInt32LE(4) !== timeline)
      throw refuse(`the page is of timeline ${page.readUInt32LE(4)}, not ${timeline}`)
    if (page.readBigUInt64LE(8) !== start)
      throw refuse(`the page says it lies at ${positionText(page.readBigUInt64LE(8))}`)
    const isLong = (info & LONG_HEADER) !== 0
    if (isLong !== isFirst) throw refuse('the header of the page has the wrong length')
    if (isFirst) {
      const owner = page.readBigUInt64LE(24).toString()
      if (owner !== systemId) throw refuse(`the segment is of the cluster with system id ${owner}, not ${systemId}`)
      if (page.readUInt32LE(32) !== segmentBytes || page.readUInt32LE(36) !== PAGE_BYTES)
        throw refuse(`the segment is one of ${page.readUInt32LE(32)} bytes with pages of ${page.readUInt32LE(36)}`)
    }
    if (start >= this.#position && this.#left > 0) this.#continue(page, info, refuse)
    return isLong ? LONG_HEADER_BYTES : SHORT_HEADER_BYTES
  }

  #continue(page: Buffer, info: number, refuse: (what: string) => HoldfastError): void {
    if ((info & REPLACES_RECORD) !== 0) {
      this.#left = 0
      this.#headerBytes = 0
      this.#previous = undefined
    } else if ((info & CONTINUES_RECORD) === 0 || page.readUInt32LE(16) !== this.#left)
      throw refuse(`the page does not go on with the record at ${positionText(this.#recordStart)}`)
  }

  /** A record begins at `at`. Returns where reading goes on. */
  #begin(page: Buffer, at: number, start: bigint): number {
    this.#recordStart = start + BigInt(at)
    const length = page.readUInt32LE(at)
    if (length < RECORD_HEADER_BYTES || length > MAX_RECORD_BYTES)
      throw fault(this.#segment, this.#recordStart, `no record of ${length} bytes is possible`)
    this.#left = length
    this.#headerBytes = 0
    this.#crc = INITIAL_REGISTER
    return at
  }

  /** Takes what the page has of the record. */
  #go(page: Buffer, from: number, start: bigint): number {
    let at = from
    if (this.#headerBytes < RECORD_HEADER_BYTES) {
      const count = Math.min(RECORD_HEADER_BYTES - this.#headerBytes, PAGE_BYTES - at)
      page.copy(this.#header, this.#headerBytes, at, at + count)
      this.#headerBytes += count
      this.#left -= count
      at += count
    }
    const count = Math.min(this.#left, PAGE_BYTES - at)
    if (count > 0 && this.#headerBytes === RECORD_HEADER_BYTES) {
      this.#crc = advance(this.#crc, page.subarray(at, at + count))
      this.#left -= count
      at += count
    }
    this.#position = start + BigInt(at)
    if (this.#left > 0) return at
    this.#endRecord()
    const aligned = Number(this.#position - start)
    return Math.min(aligned, PAGE_BYTES)
  }

  #endRecord(): void {
    const crc = ~advance(this.#crc, this.#header.subarray(0, CRC_OFFSET)) >>> 0
    if (crc !== this.#header.readUInt32LE(CRC_OFFSET))
      throw fault(this.#segment, this.#recordStart, 'the checksum of the record is wrong')
    const previous = this.#header.readBigUInt64LE(8)
    if (this.#previous !== undefined && previous !== this.#previous)
      throw fault(
        this.#segment,
        this.#recordStart,
        `the record follows one at ${positionText(previous)}, not the one before it`,
      )
    this.#previous = this.#recordStart
    this.#records++
    this.#headerBytes = 0
    const isSwitch = this.#header[17] === RESOURCE_XLOG && (this.#header[16]! & 0xf0) === INFO_SWITCH
    this.#position += (ALIGNMENT - (this.#position % ALIGNMENT)) % ALIGNMENT
    if (isSwitch) this.#position = this.#segment!.start + BigInt(this.#range.segmentBytes)
  }
}

const fault = (segment: Segment | undefined, position: bigint, what: string): HoldfastError =>
  new HoldfastError('HF_DATA_DAMAGED', `pg_wal/${segment?.name ?? ''} at ${positionText(position)}: ${what}`)
