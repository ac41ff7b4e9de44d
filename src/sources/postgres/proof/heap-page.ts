/**
 * The rules of a page of a table (PostgreSQL 13, `src/include/storage/bufpage.h`, `itemid.h`, `src/include/access/htup_details.h`), as the
 * `verify_heapam` of later versions knows them. Values of rows are not looked at: reading the rows does that.
 */
export interface HeapRules {
  /** Columns the table has, dropped ones included. */
  readonly columns: number
  /** `relfrozenxid`: no transaction before it is in a row that is not frozen. */
  readonly oldest: number
  /** The next transaction: none from it on is in any row. */
  readonly next: number
}

const HEADER_BYTES = 24
const LAYOUT_VERSION = 4
const ITEM_BYTES = 4
const ALIGNMENT = 8
const ROW_HEADER_BYTES = 23

/** `lp_flags`; what is dead has no row. */
const itemKinds = { unused: 0, normal: 1, redirect: 2 } as const

/** Of `t_infomask`, and of `t_infomask2`. */
const HAS_NULL = 0x0001
const XMAX_COMMITTED = 0x0400
const XMAX_INVALID = 0x0800
const XMAX_IS_MULTI = 0x1000
const XMIN_FROZEN = 0x0300
const COLUMNS_MASK = 0x07ff
/** Numbers below it stand for no transaction. */
const FIRST_TRANSACTION = 3

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT

/** What is wrong with a page, undefined when nothing is. Little-endian machines only. */
export function heapPageFault(page: Buffer, rules: HeapRules): string | undefined {
  const lower = page.readUInt16LE(12)
  const upper = page.readUInt16LE(14)
  const special = page.readUInt16LE(16)
  if (upper === 0)
    return page.every((byte) => byte === 0) ? undefined : 'it says that it was never used, and is not empty'
  const version = page.readUInt16LE(18)
  if (version !== (page.length | LAYOUT_VERSION)) return `its size and version are ${version}`
  if (
    lower < HEADER_BYTES ||
    (lower - HEADER_BYTES) % ITEM_BYTES !== 0 ||
    lower > upper ||
    upper > special ||
    special !== page.length
  )
    return `its free space lies from ${lower} to ${upper}, before ${special}`
  const items = (lower - HEADER_BYTES) / ITEM_BYTES
  for (let number = 1; number <= items; number++) {
    const what = itemFault(page, number, items, upper, rules)
    if (what !== undefined) return `line ${number}: ${what}`
  }
  return undefined
}

interface Item {
  readonly offset: number
  readonly kind: number
  readonly bytes: number
}

function itemAt(page: Buffer, number: number): Item {
  const word = page.readUInt32LE(HEADER_BYTES + (number - 1) * ITEM_BYTES)
  return { offset: word & 0x7fff, kind: (word >>> 15) & 3, bytes: word >>> 17 }
}

function itemFault(page: Buffer, number: number, items: number, upper: number, rules: HeapRules): string | undefined {
  const { offset, kind, bytes } = itemAt(page, number)
  if (kind === itemKinds.redirect) {
    if (offset < 1 || offset > items) return `it leads to line ${offset} of ${items}`
    return itemAt(page, offset).kind === itemKinds.unused ? `it leads to line ${offset}, which is not used` : undefined
  }
  if (kind !== itemKinds.normal) return undefined
  if (offset !== aligned(offset)) return `the row begins at ${offset}, which is not aligned`
  if (bytes < aligned(ROW_HEADER_BYTES)) return `the row has ${bytes} bytes`
  if (offset < upper || offset + bytes > page.length)
    return `the row lies from ${offset} to ${offset + bytes}, and rows from ${upper} to ${page.length}`
  return rowFault(page.subarray(offset, offset + bytes), rules)
}

function rowFault(row: Buffer, { columns, oldest, next }: HeapRules): string | undefined {
  const [mask, mask2] = [row.readUInt16LE(20), row.readUInt16LE(18)]
  const count = mask2 & COLUMNS_MASK
  if (count > columns) return `the row has ${count} columns, and the table ${columns}`
  const begin = row[22]!
  const expected = aligned(ROW_HEADER_BYTES + (mask & HAS_NULL ? Math.ceil(count / 8) : 0))
  if (begin !== expected || begin > row.length)
    return `its values begin at ${begin} of ${row.length} bytes, and should at ${expected}`
  if ((mask & XMAX_COMMITTED) !== 0 && (mask & XMAX_IS_MULTI) !== 0)
    return 'a group of transactions is marked as committed'
  const isPossible = (transaction: number): boolean =>
    transaction < FIRST_TRANSACTION || (((transaction - oldest) | 0) >= 0 && ((next - transaction) | 0) > 0)
  const [made, gone] = [row.readUInt32LE(0), row.readUInt32LE(4)]
  const range = `the table knows ${oldest} to before ${next}`
  if ((mask & XMIN_FROZEN) !== XMIN_FROZEN && !isPossible(made))
    return `it was made by transaction ${made}, and ${range}`
  if ((mask & (XMAX_INVALID | XMAX_IS_MULTI)) === 0 && !isPossible(gone))
    return `it was removed by transaction ${gone}, and ${range}`
  return undefined
}
