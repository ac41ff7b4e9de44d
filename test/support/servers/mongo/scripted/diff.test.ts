import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeDocument, doc } from './bson.ts'
import { applyDiff, diffDocuments } from './diff.ts'

const shown = (before: object, after: object): unknown => {
  const diff = diffDocuments(doc(before as never), doc(after as never))
  return diff === undefined ? undefined : decodeDocument(diff)
}

test('differences have the form of oplog entries', () => {
  expect(shown({ _id: 1, a: 1, b: 1 }, { _id: 1, b: 2, c: 3 })).toEqual({ d: { a: false }, u: { b: 2 }, i: { c: 3 } })
  expect(shown({ a: { b: { c: 1, d: 1 } } }, { a: { b: { c: 2, d: 1 } } })).toEqual({ sa: { sb: { u: { c: 2 } } } })
  expect(shown({ a: [1, 2, 3] }, { a: [1, 9] })).toEqual({ sa: { a: true, l: 2, u1: 9 } })
  expect(shown({ a: [{ b: 1 }] }, { a: [{ b: 2 }, 5] })).toEqual({ sa: { a: true, s0: { u: { b: 2 } }, u1: 5 } })
  expect(shown({ a: 1 }, { a: '1' })).toEqual({ u: { a: '1' } })
})

test('fields that change places cannot be told', () => {
  expect(shown({ a: 1, b: 2 }, { b: 2, a: 1 })).toBeUndefined()
  expect(shown({ a: 1, b: 2 }, { a: 1, c: 3, b: 2 })).toBeUndefined()
})

test('a difference makes the one document out of the other', () => {
  const leaf = fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.constant(null))
  const name = fc.constantFrom('a', 'b', 'c', 's', 'u', 'i', 'd', 'l', '0', '10')
  const { document } = fc.letrec((tie) => ({
    value: fc.oneof({ depthSize: 'small' }, leaf, tie('document'), fc.array(tie('value'), { maxLength: 4 })),
    document: fc
      .uniqueArray(fc.tuple(name, tie('value')), { selector: ([key]) => key, maxLength: 5 })
      .map((entries) => new Map(entries)),
  }))
  let told = 0
  fc.assert(
    fc.property(document, document, (before, after) => {
      const [from, to] = [doc(before as Map<string, unknown>), doc(after as Map<string, unknown>)]
      const diff = diffDocuments(from, to)
      if (diff === undefined) return
      told++
      expect(applyDiff(from, diff).equals(to)).toBe(true)
    }),
    { numRuns: 500 },
  )
  expect(told).toBeGreaterThan(100)
})

test('a difference that does not fit is refused', () => {
  const refused = (before: object, diff: object): void => {
    expect(() => applyDiff(doc(before as never), doc(diff as never))).toThrow()
  }
  refused({ a: 1 }, { sa: { u: { b: 1 } } })
  refused({ a: [1] }, { sa: { u: { b: 1 } } })
  refused({ a: { b: 1 } }, { sa: { a: true, u0: 1 } })
  refused({}, { x: 1 })
})
