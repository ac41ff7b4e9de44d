import { describe, expect, test } from 'vitest'
import { parseExpectation } from './expectation.ts'

const now = new Date('2026-11-21T12:00:00Z')
const holds = (text: string, value: unknown, rows: readonly unknown[] = []): boolean =>
  parseExpectation(text)({ value, rows, now })

describe('what an assertion expects', () => {
  test.each([
    ['value > 0', 3, true],
    ['value > 0', 0, false],
    ['value > 0', 3n, true],
    ['value >= 2.5', 2.4, false],
    ['value == "yes"', 'yes', true],
    ['value == null', null, true],
    ['value.startsWith("v18")', 'v18.4', true],
    ['now - value < duration("24h")', new Date('2026-11-21T01:00:00Z'), true],
    ['now - value < duration("24h")', new Date('2026-11-19T01:00:00Z'), false],
  ])('%s of %s is %s', (text, value, expected) => expect(holds(text, value)).toBe(expected))

  test('looks at all rows', () => {
    const rows = [
      { city: 'Ulm', n: 2 },
      { city: 'Bonn', n: 0 },
    ]
    expect(holds('size(rows) == 2 && rows.all(row, row.n >= 0)', undefined, rows)).toBe(true)
    expect(holds('rows.exists(row, row.city == "Köln")', undefined, rows)).toBe(false)
  })

  test.each([
    ['value >', /Unexpected token/],
    ['count > 0', /Unknown variable: count/],
    ['size(rows)', /not to true or false/],
  ])('%s is refused when it is read', (text, message) => expect(() => parseExpectation(text)).toThrow(message))

  test.each([
    ['value > 0', 'many'],
    ['value > 0', null],
    ['value', 7],
    ['rows[3].n == 1', 1],
  ])('%s of %s is no success but an error', (text, value) => expect(() => holds(text, value)).toThrow())
})
