import type { ByteString } from './node.ts'
import { isPrintable } from './printable.ts'

/*
 * Text as Go writes it. Everything here works on byte strings: one character per byte. A name is written in two layers, first quoted as
 * Go source, which keeps bytes that are not UTF-8, then as a JSON string; other strings have the second layer only.
 */

const REPLACEMENT = '\u00ef\u00bf\u00bd' // U+FFFD in UTF-8

/** Code point of the valid UTF-8 sequence at `at`, or -1. */
export function codePointAt(bytes: ByteString, at: number): number {
  const first = bytes.charCodeAt(at)
  if (first < 0x80) return first
  if (first < 0xc2 || first > 0xf4) return -1
  const second = bytes.charCodeAt(at + 1) ^ 0x80
  // A missing byte is NaN, and NaN ^ 0x80 is 0x80: refused like any byte that does not continue a sequence.
  if (second > 0x3f) return -1
  if (first < 0xe0) return ((first & 0x1f) << 6) | second
  const third = bytes.charCodeAt(at + 2) ^ 0x80
  if (third > 0x3f) return -1
  if (first < 0xf0) {
    const point = ((first & 0x0f) << 12) | (second << 6) | third
    return point < 0x800 || (point >= 0xd800 && point <= 0xdfff) ? -1 : point
  }
  const fourth = bytes.charCodeAt(at + 3) ^ 0x80
  if (fourth > 0x3f) return -1
  const point = ((first & 0x07) << 18) | (second << 12) | (third << 6) | fourth
  return point < 0x10000 || point > 0x10ffff ? -1 : point
}

/** Length in bytes of a code point in UTF-8. */
export const utf8Length = (codePoint: number): number =>
  codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4

export function isUtf8(bytes: ByteString): boolean {
  for (let at = 0; at < bytes.length; ) {
    const point = codePointAt(bytes, at)
    if (point < 0) return false
    at += utf8Length(point)
  }
  return true
}

/** UTF-8 of a code point; of U+FFFD for what is none. */
export function encodeCodePoint(point: number): ByteString {
  if (point < 0x80) return String.fromCharCode(point)
  if (point < 0x800) return String.fromCharCode(0xc0 | (point >> 6), 0x80 | (point & 0x3f))
  if ((point >= 0xd800 && point <= 0xdfff) || point > 0x10ffff) return REPLACEMENT
  if (point < 0x10000)
    return String.fromCharCode(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f))
  return String.fromCharCode(
    0xf0 | (point >> 18),
    0x80 | ((point >> 12) & 0x3f),
    0x80 | ((point >> 6) & 0x3f),
    0x80 | (point & 0x3f),
  )
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')

const shortQuotes = new Map<number, string>([
  [0x22, '\\"'],
  [0x5c, '\\\\'],
  [0x07, '\\a'],
  [0x08, '\\b'],
  [0x0c, '\\f'],
  [0x0a, '\\n'],
  [0x0d, '\\r'],
  [0x09, '\\t'],
  [0x0b, '\\v'],
])

/** Bytes as a Go string literal without its quotes (strconv.Quote). */
export function quoteGo(bytes: ByteString): ByteString {
  let out = ''
  for (let at = 0; at < bytes.length; ) {
    const point = codePointAt(bytes, at)
    if (point < 0) {
      out += `\\x${hex(bytes.charCodeAt(at), 2)}`
      at++
      continue
    }
    const length = utf8Length(point)
    const short = shortQuotes.get(point)
    if (short !== undefined) out += short
    else if (isPrintable(point)) out += bytes.slice(at, at + length)
    else if (point < 0x20 || point === 0x7f) out += `\\x${hex(point, 2)}`
    else if (point < 0x10000) out += `\\u${hex(point, 4)}`
    else out += `\\U${hex(point, 8)}`
    at += length
  }
  return out
}

const simpleEscapes: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
}

/** The reverse of `quoteGo` (strconv.Unquote of a double-quoted literal); undefined when it is not such a literal. */
export function unquoteGo(quoted: ByteString): ByteString | undefined {
  let out = ''
  let plainFrom = 0
  for (let at = 0; at < quoted.length; ) {
    const c = quoted.charCodeAt(at)
    if (c === 0x22 || c === 0x0a) return undefined
    if (c !== 0x5c) {
      at++
      continue
    }
    out += quoted.slice(plainFrom, at)
    const kind = quoted.charAt(at + 1)
    const simple = Object.hasOwn(simpleEscapes, kind) ? simpleEscapes[kind] : undefined
    if (simple !== undefined) {
      out += simple
      at += 2
    } else if (kind === 'x' || kind === 'u' || kind === 'U') {
      const digits = kind === 'x' ? 2 : kind === 'u' ? 4 : 8
      const text = quoted.slice(at + 2, at + 2 + digits)
      if (text.length !== digits || !/^[0-9a-fA-F]+$/.test(text)) return undefined
      const value = Number.parseInt(text, 16)
      if (kind !== 'x' && (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))) return undefined
      out += kind === 'x' ? String.fromCharCode(value) : encodeCodePoint(value)
      at += 2 + digits
    } else {
      const text = quoted.slice(at + 1, at + 4)
      if (!/^[0-3][0-7]{2}$/.test(text)) return undefined
      out += String.fromCharCode(Number.parseInt(text, 8))
      at += 4
    }
    plainFrom = at
  }
  return out + quoted.slice(plainFrom)
}

const jsonEscapes = new Map<number, string>([
  [0x22, '\\"'],
  [0x5c, '\\\\'],
  [0x08, '\\b'],
  [0x0c, '\\f'],
  [0x0a, '\\n'],
  [0x0d, '\\r'],
  [0x09, '\\t'],
  [0x3c, '\\u003c'],
  [0x3e, '\\u003e'],
  [0x26, '\\u0026'],
  [0x2028, '\\u2028'],
  [0x2029, '\\u2029'],
])

/** The inside of a JSON string as Go's encoder writes it: HTML-safe, each byte that is not UTF-8 as `\ufffd`. */
export function escapeJson(bytes: ByteString): ByteString {
  let out = ''
  for (let at = 0; at < bytes.length; ) {
    const point = codePointAt(bytes, at)
    if (point < 0) {
      out += '\\ufffd'
      at++
      continue
    }
    const length = utf8Length(point)
    out += jsonEscapes.get(point) ?? (point < 0x20 ? `\\u${hex(point, 4)}` : bytes.slice(at, at + length))
    at += length
  }
  return out
}

/**
 * The bytes a JSON string stands for, given what is between its quotes; undefined when an escape or a control character is wrong. As in
 * Go, halves of surrogate pairs and bytes that are not UTF-8 become U+FFFD.
 */
export function unescapeJson(inside: ByteString): ByteString | undefined {
  let out = ''
  for (let at = 0; at < inside.length; ) {
    const point = codePointAt(inside, at)
    if (point < 0) {
      out += REPLACEMENT
      at++
    } else if (point !== 0x5c) {
      if (point < 0x20 || point === 0x22) return undefined
      const length = utf8Length(point)
      out += inside.slice(at, at + length)
      at += length
    } else {
      const kind = inside.charAt(at + 1)
      if (kind === 'u') {
        const unit = codeUnit(inside, at + 2)
        if (unit < 0) return undefined
        at += 6
        const low = unit >= 0xd800 && unit <= 0xdbff && inside.startsWith('\\u', at) ? codeUnit(inside, at + 2) : -1
        if (low >= 0xdc00 && low <= 0xdfff) {
          out += encodeCodePoint(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
          at += 6
        } else out += encodeCodePoint(unit)
      } else {
        const simple = kind === '/' ? '/' : kind !== '' && '"\\bfnrt'.includes(kind) ? simpleEscapes[kind] : undefined
        if (simple === undefined) return undefined
        out += simple
        at += 2
      }
    }
  }
  return out
}

function codeUnit(inside: ByteString, at: number): number {
  const text = inside.slice(at, at + 4)
  return /^[0-9a-fA-F]{4}$/.test(text) ? Number.parseInt(text, 16) : -1
}

/** A valid JSON value without the white space between its parts and with the escapes of `escapeJson`, as Go prints a value it carries along. */
export function compactJson(json: ByteString): ByteString {
  if (!/[\t\n\r <>&\u00e2]/.test(json)) return json
  let out = ''
  for (let at = 0; at < json.length; ) {
    const start = at
    if (json[at] === '"') {
      for (at++; at < json.length && json[at] !== '"'; ) at += json[at] === '\\' ? 2 : 1
      at++
      out += json.slice(start, at).replace(/[<>&]|\u00e2\u0080[\u00a8\u00a9]/g, (c) => escapeJson(c))
    } else {
      while (at < json.length && json[at] !== '"') at++
      out += json.slice(start, at).replace(/[\t\n\r ]+/g, '')
    }
  }
  return out
}
