import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { trimSpaceBytes } from '../../../lib/white-space.ts'
import { textToByteString } from '../../repository/tree/node.ts'
import { decodeText, splitLines } from './text-file.ts'

describe('text of a file', () => {
  const text = 'größe\n漢😀'

  test.each([
    ['plain UTF-8', Buffer.from(text)],
    ['UTF-8 with a byte order mark', Buffer.from(`\ufeff${text}`)],
    ['UTF-16, little endian', Buffer.from(`\ufeff${text}`, 'utf16le')],
    ['UTF-16, big endian', Buffer.from(`\ufeff${text}`, 'utf16le').swap16()],
  ])('%s', (_name, bytes) => {
    expect(decodeText(bytes)).toBe(textToByteString(text))
  })

  test('bytes that are not UTF-8 stay as they are', () => {
    expect(decodeText(Uint8Array.of(0x61, 0xff, 0xfe))).toBe('a\xff\xfe')
    expect(decodeText(Uint8Array.of())).toBe('')
  })

  test('lines end with \\n or \\r\\n', () => {
    expect(splitLines('a\r\nb\n\nc\r\r\nd')).toEqual(['a', 'b', '', 'c\r', 'd'])
    expect(splitLines('a\n')).toEqual(['a'])
    expect(splitLines('')).toEqual([])
  })

  test('white space at the ends is any that Unicode calls so', () => {
    // JavaScript also trims U+FEFF and does not trim U+0085; Go, and so restic, does it the other way round.
    const space = fc.constantFrom(...' \t\v\f\r\u0085\u00a0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000')
    const middle = fc.constantFrom('x', 'a b', '漢', '\ufeffx\ufeff', '\u200bx', '')
    fc.assert(
      fc.property(fc.array(space), middle, fc.array(space), (before, word, after) => {
        const front = textToByteString(before.join(''))
        const trimmed = trimSpaceBytes(front + textToByteString(word) + textToByteString(after.join('')))
        expect(trimmed.text).toBe(textToByteString(word))
        if (word !== '') expect(trimmed.cut).toBe(front.length)
      }),
    )
  })
})
