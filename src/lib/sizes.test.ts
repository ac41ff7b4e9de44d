import { expect, test } from 'vitest'
import { formatPercent, formatSize, parsePercent, parseSize } from './sizes.ts'

test.each([
  ['0', 0],
  ['512', 512],
  ['512b', 512],
  ['64k', 65_536],
  ['64K', 65_536],
  ['16M', 16_777_216],
  ['1.5G', 1_610_612_736],
  ['2t', 2_199_023_255_552],
  ['0.3K', 307],
  ['.5M', 524_288],
])('%s', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes)
})

test.each(['', 'M', '-1', '1MB', '1KiB', '1e3', '1,5G', ' 1', '9000000T', '1..2', '0x10', '5%'])(
  '%j is no size',
  (text) => {
    expect(() => parseSize(text)).toThrow(expect.objectContaining({ code: 'HF_PATTERN_INVALID' }))
  },
)

test('percentages', () => {
  expect(parsePercent('5%')).toBe(5)
  expect(parsePercent('2.5%')).toBe(2.5)
  for (const text of ['5', '%', '-5%', '5 %', 'x%', '1e1%'])
    expect(() => parsePercent(text)).toThrow(expect.objectContaining({ code: 'HF_PATTERN_INVALID' }))
})

// The halves are rounded to even, as restic's own output does: 1088 bytes are 1.0625 KiB.
test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.000 KiB'],
  [1088, '1.062 KiB'],
  [1216, '1.188 KiB'],
  [1536, '1.500 KiB'],
  [2 ** 20 - 1, '1023.999 KiB'],
  [2 ** 20, '1.000 MiB'],
  [123_456_789_012, '114.978 GiB'],
  [2n ** 64n - 1n, '16777216.000 TiB'],
])('%d bytes are shown as %s', (bytes, text) => {
  expect(formatSize(bytes)).toBe(text)
})

test.each([
  [0, 100, '0.00%'],
  [1, 800, '0.12%'],
  [1, 3, '33.33%'],
  [5, 4, '100.00%'],
  [1, 0, ''],
])('%d of %d is %j', (part, whole, text) => {
  expect(formatPercent(part, whole)).toBe(text)
})
