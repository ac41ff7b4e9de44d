import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { editDistance, nearest } from './nearest.ts'

describe('the nearest known word', () => {
  const names = ['snapshots', 'restore', 'backup', 'force', 'files-from', 'files-from-raw', 'ls']
  test.each([
    ['snapshts', 'snapshots'],
    ['snaphsots', 'snapshots'],
    ['bakcup', 'backup'],
    ['frce', 'force'],
    ['l', 'ls'],
    ['snap', 'snapshots'],
  ])('%s is %s', (word, expected) => {
    expect(nearest(word, names)).toBe(expected)
  })
  test.each(['frobnicate', 'xyz', '', 'files'])('nothing is near "%s"', (word) => {
    expect(nearest(word, names)).toBeUndefined()
  })
})

describe('edit distance', () => {
  test('counts a swap of neighbours as one edit', () => {
    expect(editDistance('ab', 'ba')).toBe(1)
    expect(editDistance('backup', 'bakcup')).toBe(1)
    expect(editDistance('', 'abc')).toBe(3)
  })
  test('is symmetric, zero only for equal words, and bounded by the longer one', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (a, b) => {
        const distance = editDistance(a, b)
        expect(distance).toBe(editDistance(b, a))
        expect(distance === 0).toBe(a === b)
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length))
      }),
    )
  })
})
