import type { ByteString } from '../../engine/repository/tree/node.ts'
import { HoldfastError } from '../../lib/errors.ts'

/** What an extended header says of the next member; other keywords repeat what the plain header has. */
export interface PaxFields {
  readonly path?: ByteString
  readonly linkTarget?: ByteString
  readonly size?: number
}

const SPACE = 0x20
const NEWLINE = 0x0a

/**
 * Reads the records of a pax extended header: `LENGTH KEYWORD=VALUE\n`, the length in decimal and that of the whole record
 * (POSIX.1-2001, pax, "pax Extended Header").
 * @throws HoldfastError HF_SOURCE_DAMAGED
 */
export function applyPaxRecords(records: Buffer): PaxFields {
  let fields: PaxFields = {}
  for (let at = 0; at < records.length; ) {
    const space = records.indexOf(SPACE, at)
    const digits = records.toString('latin1', at, Math.max(at, space))
    const end = /^[1-9][0-9]{0,8}$/.test(digits) ? at + Number(digits) : 0
    const equals = records.indexOf('=', space)
    if (end <= space || end > records.length || records[end - 1] !== NEWLINE || equals < 0 || equals >= end)
      throw malformed()
    const value = records.toString('latin1', equals + 1, end - 1)
    const keyword = records.toString('latin1', space + 1, equals)
    if (keyword === 'path') fields = { ...fields, path: value }
    else if (keyword === 'linkpath') fields = { ...fields, linkTarget: value }
    else if (keyword === 'size') {
      const size = /^[0-9]+$/.test(value) ? Number(value) : Number.NaN
      if (!Number.isSafeInteger(size)) throw malformed()
      fields = { ...fields, size }
    }
    at = end
  }
  return fields
}

const malformed = (): HoldfastError =>
  new HoldfastError('HF_SOURCE_DAMAGED', 'the archive the server sends has a malformed extended header')
