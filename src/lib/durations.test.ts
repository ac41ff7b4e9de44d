import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  formatCalendarDuration,
  formatElapsed,
  formatGoDuration,
  isNoDuration,
  NO_DURATION,
  parseCalendarDuration,
  parseGoDuration,
  timeBefore,
} from './durations.ts'
import { formatTime, parseTime } from './go-time.ts'

describe('durations of retention', () => {
  test.each([
    ['6y5m234d37h', '6y5m234d37h'],
    ['37h6y', '6y37h'],
    ['1d2d', '2d'],
    [' 3d ', '3d'],
    ['', ''],
    ['0y', ''],
  ])('%j is %j', (text, canonical) => {
    expect(formatCalendarDuration(parseCalendarDuration(text))).toBe(canonical)
    expect(isNoDuration(parseCalendarDuration(text))).toBe(canonical === '')
  })

  test.each(['3', 'd', '3w', '-1d', '1.5d', '1d 2h', '99999999999y', '1D'])('%j is refused', (text) => {
    expect(() => parseCalendarDuration(text)).toThrow(expect.objectContaining({ code: 'HF_PATTERN_INVALID' }))
  })

  // Recorded from a Go program: AddDate(-y, -m, -d) and then Add(-h).
  test.each([
    ['2024-03-31T10:00:00Z', '1m', '2024-03-02T10:00:00Z'],
    ['2024-02-29T10:00:00Z', '1y', '2023-03-01T10:00:00Z'],
    ['2024-01-01T00:30:00.5+05:30', '1h', '2023-12-31T23:30:00.5+05:30'],
    ['2024-05-15T12:00:00-03:00', '1y14m40d', '2022-02-03T12:00:00-03:00'],
    ['2016-01-18T12:02:03Z', '9999y', '-7983-01-18T12:02:03Z'],
    ['2016-01-18T12:02:03Z', '', '2016-01-18T12:02:03Z'],
  ])('%s minus %s is %s', (from, duration, to) => {
    const before = timeBefore(parseTime(from)!, parseCalendarDuration(duration))
    if (to.startsWith('-')) expect(before.seconds).toBe(-314_084_779_077)
    else expect(formatTime(before)).toBe(to)
  })

  test('no duration leads nowhere', () => {
    const time = parseTime('2020-02-02T02:02:02.2+02:00')!
    expect(timeBefore(time, NO_DURATION)).toEqual(time)
  })
})

describe('Go durations', () => {
  test.each([
    ['0', 0n, '0s'],
    ['5m30s', 330_000_000_000n, '5m30s'],
    ['1.5h', 5_400_000_000_000n, '1h30m0s'],
    ['1h', 3_600_000_000_000n, '1h0m0s'],
    ['300ms', 300_000_000n, '300ms'],
    ['1.5us', 1_500n, '1.5\u00b5s'],
    ['1.5\u00b5s', 1_500n, '1.5\u00b5s'],
    ['7ns', 7n, '7ns'],
    ['-2s', -2_000_000_000n, '-2s'],
    ['+.5s', 500_000_000n, '500ms'],
    ['2.s', 2_000_000_000n, '2s'],
    ['60s', 60_000_000_000n, '1m0s'],
    ['1s250ms', 1_250_000_000n, '1.25s'],
  ])('%s', (text, nanoseconds, printed) => {
    expect(parseGoDuration(text)).toBe(nanoseconds)
    expect(formatGoDuration(nanoseconds)).toBe(printed)
  })

  test.each(['', '5', 's', '5 m', '5d', '1h-5m', '.s', '3000000h', '--1s', '1m5', '0x1s'])('%j is refused', (text) => {
    expect(() => parseGoDuration(text)).toThrow(expect.objectContaining({ code: 'HF_PATTERN_INVALID' }))
  })

  test('what is printed is read back', () => {
    void fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }), (nanoseconds) => {
        expect(parseGoDuration(formatGoDuration(nanoseconds))).toBe(nanoseconds)
      }),
    )
  })
})

test.each([
  [0, '0:00'],
  [7.9, '0:07'],
  [754, '12:34'],
  [3723, '1:02:03'],
  [360_000, '100:00:00'],
])('%d seconds elapsed are shown as %s', (seconds, text) => {
  expect(formatElapsed(seconds)).toBe(text)
})
