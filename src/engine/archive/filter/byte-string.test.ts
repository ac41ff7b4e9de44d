import { isUtf8 } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { byteStringToText, textToByteString } from '../../repository/tree/node.ts'
import {
  countRunes,
  fromByteString,
  isValidUtf8,
  lowerCase,
  runeAt,
  runeLengthAt,
  toByteString,
} from './byte-string.ts'

describe('byte strings', () => {
  test('hold any bytes exactly', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect([...fromByteString(toByteString(bytes))]).toEqual([...bytes])
      }),
    )
  })

  test('decode every character as UTF-8 says', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const binary = textToByteString(text)
        const runes: number[] = []
        for (let i = 0; i < binary.length; ) {
          const length = runeLengthAt(binary, i)
          runes.push(runeAt(binary, i, length))
          i += length
        }
        expect(runes).toEqual([...text].map((char) => char.codePointAt(0)))
        expect(countRunes(binary)).toBe(runes.length)
        expect(byteStringToText(binary)).toBe(text)
      }),
    )
  })

  test('know valid from invalid UTF-8', () => {
    // Bytes at the borders of the ranges of valid sequences make near misses common.
    const byte = fc.oneof(
      fc.constantFrom(0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf),
      fc.nat(255),
    )
    const lead = fc.constantFrom(0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5)
    fc.assert(
      fc.property(fc.array(fc.oneof(byte, lead), { maxLength: 6 }), (values) => {
        const bytes = Uint8Array.from(values)
        expect(isValidUtf8(toByteString(bytes))).toBe(isUtf8(bytes))
      }),
      { numRuns: 3000 },
    )
  })

  test.each([
    ['ÄÖÜ README', 'äöü readme'],
    // One code point by itself, unlike String.toLowerCase.
    ['İSTANBUL', 'istanbul'],
    ['ΟΔΟΣ', 'οδοσ'],
    ['\u212a', 'k'],
  ])('lower case of %s is %s', (text, lower) => {
    expect(lowerCase(textToByteString(text))).toBe(textToByteString(lower))
  })

  test('lower case makes each invalid byte U+FFFD, as Go does', () => {
    expect(lowerCase('A\xe6\xbcB')).toBe(textToByteString('a\ufffd\ufffdb'))
  })
})
