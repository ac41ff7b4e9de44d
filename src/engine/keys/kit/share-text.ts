import { createHash } from 'node:crypto'

/** Letters and digits that are not taken for each other on paper (Crockford's base 32). */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const ROW_CHARACTERS = 20
const CHECK_CHARACTERS = 4
const GROUP_CHARACTERS = 4
const BITS = 5

/** Which row of which page: a row in the wrong place does not pass its check. */
type Place = (row: number) => string

/** Bytes as rows to be printed and typed: groups of four characters, the last group is a check of the row. */
export function toRows(bytes: Uint8Array, place: Place): readonly string[] {
  const text = toBase32(bytes)
  const rows: string[] = []
  for (let at = 0; at < text.length; at += ROW_CHARACTERS) {
    const row = text.slice(at, at + ROW_CHARACTERS)
    rows.push(grouped(row + checkOf(row, place(rows.length + 1))))
  }
  return rows
}

/** The bytes of rows, or the number of the first row that was mistyped. `O` passes for `0`, `I` and `L` for `1`; case and spaces do not count. */
export function fromRows(
  rows: readonly string[],
  place: Place,
  length: number,
): Uint8Array | { readonly wrongRow: number } {
  let text = ''
  for (const [index, raw] of rows.entries()) {
    const typed = raw.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1')
    const row = typed.slice(0, -CHECK_CHARACTERS)
    const isWhole = index === rows.length - 1 || row.length === ROW_CHARACTERS
    if (!isWhole || typed.slice(-CHECK_CHARACTERS) !== checkOf(row, place(index + 1))) return { wrongRow: index + 1 }
    text += row
  }
  if (text.length !== Math.ceil((length * 8) / BITS)) return { wrongRow: rows.length + 1 }
  return fromBase32(text, length)
}

function checkOf(row: string, place: string): string {
  return toBase32(createHash('sha256').update(`${place} ${row}`).digest()).slice(0, CHECK_CHARACTERS)
}

const grouped = (text: string): string => text.match(new RegExp(`.{1,${GROUP_CHARACTERS}}`, 'g'))!.join(' ')

function toBase32(bytes: Uint8Array): string {
  let text = ''
  let [bits, value] = [0, 0]
  for (const byte of bytes) {
    value = (value << 8) | byte
    bits += 8
    for (; bits >= BITS; bits -= BITS) text += ALPHABET[(value >> (bits - BITS)) & 31]
    value &= (1 << bits) - 1
  }
  return bits === 0 ? text : text + ALPHABET[(value << (BITS - bits)) & 31]
}

function fromBase32(text: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let [bits, value, at] = [0, 0, 0]
  for (const character of text) {
    value = (value << BITS) | ALPHABET.indexOf(character)
    bits += BITS
    if (bits >= 8) {
      bits -= 8
      if (at < length) bytes[at++] = (value >> bits) & 255
    }
    value &= (1 << bits) - 1
  }
  return bytes
}
