/**
 * Paths and names as byte strings: one character (0 to 255) per byte, Node's `latin1`.
 *
 * File names are bytes and need not be UTF-8. A byte string keeps them exact, works as a map key and is as quick to search as any string.
 * Whoever needs characters (a `?` in a pattern, letter case) decodes UTF-8 at that spot with `runeAt`, which treats invalid bytes as Go does:
 * each one alone is U+FFFD.
 */

import { asBuffer } from '../../../lib/bytes.ts'
import { type ByteString, textToByteString } from '../../repository/tree/node.ts'

/** The byte string of bytes. */
export const toByteString = (bytes: Uint8Array): ByteString => asBuffer(bytes).toString('latin1')

/** The bytes of a byte string. */
export const fromByteString = (bytes: ByteString): Uint8Array => Buffer.from(bytes, 'latin1')

export const isAscii = (bytes: ByteString): boolean => !/[^\x00-\x7f]/.test(bytes)

export const INVALID_RUNE = 0xfffd

/**
 * Length in bytes of the UTF-8 character at `position`, which must be inside the string: 1 to 4; 1 for an invalid byte.
 * Surrogates, overlong forms and values above U+10FFFF are invalid, as in Go and in the Unicode standard (table 3-7).
 */
export function runeLengthAt(bytes: ByteString, position: number): number {
  const first = bytes.charCodeAt(position)
  if (first < 0xc2 || first > 0xf4) return 1
  const second = bytes.charCodeAt(position + 1)
  // Past the end charCodeAt is NaN, which no comparison accepts.
  if (first < 0xe0) return second >= 0x80 && second <= 0xbf ? 2 : 1
  const lowest = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  const highest = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  if (!(second >= lowest && second <= highest && isContinuation(bytes, position + 2))) return 1
  if (first < 0xf0) return 3
  return isContinuation(bytes, position + 3) ? 4 : 1
}

/** The code point at `position`, of which `length` is what `runeLengthAt` gave; U+FFFD for an invalid byte. */
export function runeAt(bytes: ByteString, position: number, length: number): number {
  const first = bytes.charCodeAt(position)
  if (length === 1) return first < 0x80 ? first : INVALID_RUNE
  let rune = first & (length === 2 ? 0x1f : length === 3 ? 0x0f : 0x07)
  for (let i = 1; i < length; i++) rune = (rune << 6) | (bytes.charCodeAt(position + i) & 0x3f)
  return rune
}

/** Whether the bytes are valid UTF-8. */
export function isValidUtf8(bytes: ByteString): boolean {
  if (isAscii(bytes)) return true
  for (let i = 0; i < bytes.length; ) {
    const length = runeLengthAt(bytes, i)
    if (length === 1 && bytes.charCodeAt(i) >= 0x80) return false
    i += length
  }
  return true
}

/** How many characters the bytes are, an invalid byte counting as one. */
export function countRunes(bytes: ByteString): number {
  let count = 0
  for (let i = 0; i < bytes.length; i += runeLengthAt(bytes, i)) count++
  return count
}

/**
 * Lower case as Go's strings.ToLower: each code point by itself, U+FFFD for each invalid byte.
 * JavaScript's own conversion differs for U+0130 (two code points) and for a final sigma in a word.
 */
export function lowerCase(bytes: ByteString): ByteString {
  if (isAscii(bytes)) return bytes.toLowerCase()
  let lowered = ''
  for (let i = 0; i < bytes.length; ) {
    const length = runeLengthAt(bytes, i)
    const rune = runeAt(bytes, i, length)
    lowered += rune === 0x130 ? 'i' : String.fromCodePoint(rune).toLowerCase()
    i += length
  }
  return textToByteString(lowered)
}

function isContinuation(bytes: ByteString, position: number): boolean {
  const byte = bytes.charCodeAt(position)
  return byte >= 0x80 && byte <= 0xbf
}
