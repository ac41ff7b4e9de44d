import { describe, expect, test } from 'vitest'
import { fileNameOf, matches, programPattern } from './names.ts'
import { splitCopyStatement } from './table-reads.ts'

describe('names', () => {
  test('of files are one for each object', () => {
    expect(fileNameOf('public', 'orders')).toBe('public.orders')
    expect(fileNameOf('a.b', 'c')).not.toBe(fileNameOf('a', 'b.c'))
    expect(fileNameOf('..', '/etc/ä')).toBe('%2e%2e.%2fetc%2f%c3%a4')
    expect(fileNameOf('x'.repeat(130), '/'.repeat(60))).toBeUndefined()
  })

  test('match patterns as PostgreSQL’s programs understand them', () => {
    expect(matches('public.*', 'public', 'a')).toBe(true)
    expect(matches('public.*', 'publix', 'a')).toBe(false)
    expect(matches('a?c', 'abc')).toBe(true)
    expect(matches('a+c', 'aac')).toBe(false)
    expect(programPattern('Main.order*"x"')).toBe('"Main"."order"*"""x"""')
  })

  test('of a COPY statement are taken as they are written', () => {
    const copyStatement = 'COPY "Odd (s".t ("a (b", "c,d", "FROM stdin;") FROM stdin;\n'
    expect(splitCopyStatement({ copyStatement, tag: 't' })).toEqual({
      target: '"Odd (s".t',
      columns: ['"a (b"', '"c,d"', '"FROM stdin;"'],
    })
    expect(splitCopyStatement({ copyStatement: 'COPY public.none  FROM stdin;\n', tag: 'none' })).toEqual({
      target: 'public.none',
      columns: [],
    })
    expect(() => splitCopyStatement({ copyStatement: 'DROP TABLE x;', tag: 'x' })).toThrow(
      expect.objectContaining({ code: 'HF_SOURCE_DAMAGED' }),
    )
  })
})
