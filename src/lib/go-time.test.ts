import { execFileSync } from 'node:child_process'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  compareTimes,
  formatTime,
  localTimestamp,
  parseLocalTime,
  parseTime,
  sameInstant,
  type Timestamp,
  toEpochNanoseconds,
  utcTimestamp,
  wallFields,
  zeroTime,
} from './go-time.ts'

const timestamps: fc.Arbitrary<Timestamp> = fc.record({
  seconds: fc.integer({ min: -62_135_000_000, max: 253_402_000_000 }),
  nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
  offsetSeconds: fc.integer({ min: -14 * 60, max: 14 * 60 }).map((minutes) => minutes * 60 || 0),
})

describe('text of a time', () => {
  test.each([
    [{ seconds: 0, nanoseconds: 0, offsetSeconds: 0 }, '1970-01-01T00:00:00Z'],
    [{ seconds: 0, nanoseconds: 120_000_000, offsetSeconds: 0 }, '1970-01-01T00:00:00.12Z'],
    [{ seconds: 0, nanoseconds: 1, offsetSeconds: 3600 }, '1970-01-01T01:00:00.000000001+01:00'],
    [{ seconds: -1, nanoseconds: 500_000_000, offsetSeconds: -16_200 }, '1969-12-31T19:29:59.5-04:30'],
    [{ seconds: 951_782_400, nanoseconds: 0, offsetSeconds: 0 }, '2000-02-29T00:00:00Z'],
    [{ seconds: -6e9, nanoseconds: 0, offsetSeconds: -17_762 }, '1779-11-13T08:23:58-04:56'],
    [{ seconds: 0, nanoseconds: 0, offsetSeconds: -30 }, '1969-12-31T23:59:30+00:00'],
    [zeroTime, '0001-01-01T00:00:00Z'],
  ])('%o is %s', (time, text) => {
    expect(formatTime(time)).toBe(text)
  })

  test('comes back as the same instant and zone', () => {
    void fc.assert(
      fc.property(timestamps, (time) => {
        expect(parseTime(formatTime(time))).toEqual(time)
      }),
    )
  })

  test('agrees with the platform for whole milliseconds', () => {
    void fc.assert(
      fc.property(fc.date({ min: new Date(-62e12), max: new Date(253e12), noInvalidDate: true }), (date) => {
        const text = date.toISOString().replace(/\.?0+Z$/, 'Z')
        expect(formatTime(utcTimestamp(BigInt(date.getTime()) * 1_000_000n))).toBe(text)
      }),
    )
  })

  test('digits beyond a nanosecond are dropped and a zero offset is UTC', () => {
    expect(formatTime(parseTime('2020-01-01T00:00:00.1234567899+00:00')!)).toBe('2020-01-01T00:00:00.123456789Z')
    expect(formatTime(parseTime('2020-01-01T00:00:00.500-00:00')!)).toBe('2020-01-01T00:00:00.5Z')
  })

  test.each([
    '',
    'now',
    '2020-01-01',
    '2020-01-01 00:00:00Z',
    '2020-01-01T00:00:00',
    '2020-01-01T00:00:00.Z',
    '2020-01-01T00:00:00,5Z',
    '2020-01-01T0:00:00Z',
    '2020-13-01T00:00:00Z',
    '2020-00-01T00:00:00Z',
    '2021-02-29T00:00:00Z',
    '2020-01-01T24:00:00Z',
    '2020-01-01T00:60:00Z',
    '2020-01-01T00:00:60Z',
    '2020-01-01T00:00:00+24:00',
    '2020-01-01T00:00:00+0100',
    '2020-01-01T00:00:00Z ',
    '+2020-01-01T00:00:00Z',
    '2020-01-0\u0131T00:00:00Z',
  ])('%j is no time', (text) => {
    expect(parseTime(text)).toBeUndefined()
  })
})

test('nanoseconds since the epoch survive the round trip, before 1970 too', () => {
  void fc.assert(
    fc.property(fc.bigInt({ min: -62_000_000_000_000_000_000n, max: 253_000_000_000_000_000_000n }), (nanoseconds) => {
      expect(toEpochNanoseconds(utcTimestamp(nanoseconds))).toBe(nanoseconds)
      expect(toEpochNanoseconds(localTimestamp(nanoseconds))).toBe(nanoseconds)
    }),
  )
})

test('order and sameness are of the instant, not of the text', () => {
  const a = parseTime('2020-06-01T12:00:00.000000001+02:00')!
  const b = parseTime('2020-06-01T10:00:00.000000001Z')!
  expect(sameInstant(a, b)).toBe(true)
  expect(compareTimes(a, b)).toBe(0)
  expect(compareTimes(a, parseTime('2020-06-01T10:00:00.000000002Z')!)).toBeLessThan(0)
  expect(wallFields(a)).toEqual({ year: 2020, month: 6, day: 1, hour: 12, minute: 0, second: 0 })
})

describe('zone of the machine', () => {
  // Recorded from a Go program: time.Unix(seconds, 123000000) with the year clamped as restic does, formatted as RFC3339Nano.
  const seconds = [0, 1e9, -1, -6e9, 253_436_860_799, -62_167_478_400, 1e13, -1e13, 4e9, 1_711_846_799, 1_711_846_800]
  const recorded: Record<string, readonly string[]> = {
    UTC: [
      '1970-01-01T00:00:00.123Z',
      '2001-09-09T01:46:40.123Z',
      '1969-12-31T23:59:59.123Z',
      '1779-11-13T13:20:00.123Z',
      '9999-02-03T23:59:59.123Z',
      '0000-12-29T00:00:00.123Z',
      '9999-05-20T17:46:40.123Z',
      '0000-08-13T06:13:20.123Z',
      '2096-10-02T07:06:40.123Z',
      '2024-03-31T00:59:59.123Z',
      '2024-03-31T01:00:00.123Z',
    ],
    'Europe/Berlin': [
      '1970-01-01T01:00:00.123+01:00',
      '2001-09-09T03:46:40.123+02:00',
      '1970-01-01T00:59:59.123+01:00',
      '1779-11-13T14:13:28.123+00:53',
      '9999-02-04T00:59:59.123+01:00',
      '0000-12-29T00:53:28.123+00:53',
      '9999-05-20T19:46:40.123+02:00',
      '0000-08-13T07:06:48.123+00:53',
      '2096-10-02T09:06:40.123+02:00',
      '2024-03-31T01:59:59.123+01:00',
      '2024-03-31T03:00:00.123+02:00',
    ],
    'Asia/Kolkata': [
      '1970-01-01T05:30:00.123+05:30',
      '2001-09-09T07:16:40.123+05:30',
      '1970-01-01T05:29:59.123+05:30',
      '1779-11-13T19:13:28.123+05:53',
      '9999-02-04T05:29:59.123+05:30',
      '0000-12-29T05:53:28.123+05:53',
      '9999-05-20T23:16:40.123+05:30',
      '0000-08-13T12:06:48.123+05:53',
      '2096-10-02T12:36:40.123+05:30',
      '2024-03-31T06:29:59.123+05:30',
      '2024-03-31T06:30:00.123+05:30',
    ],
  }
  const inZone = (zone: string, expression: string): unknown => {
    const program = `import * as t from ${JSON.stringify(new URL('./go-time.ts', import.meta.url).href)}; console.log(JSON.stringify(${expression}))`
    return JSON.parse(
      execFileSync(process.execPath, ['--input-type=module', '-e', program], {
        env: { ...process.env, TZ: zone },
        encoding: 'utf8',
      }),
    )
  }

  test.each(Object.keys(recorded))('file times in %s read as Go writes them', (zone) => {
    const expression = `${JSON.stringify(seconds)}.map((s) => t.formatTime(t.localTime(s, 123000000)))`
    expect(inZone(zone, expression)).toEqual(recorded[zone])
  })

  test('--time is read in the local zone, on either side of a change of the clocks', () => {
    const texts = ['2024-03-31 01:59:59', '2024-03-31 03:00:00', '2024-10-27 12:00:00', '2024-07-01 5:06:07.25']
    const read = inZone('Europe/Berlin', `${JSON.stringify(texts)}.map((s) => t.formatTime(t.parseLocalTime(s)))`)
    expect(read).toEqual([
      '2024-03-31T01:59:59+01:00',
      '2024-03-31T03:00:00+02:00',
      '2024-10-27T12:00:00+01:00',
      '2024-07-01T05:06:07.25+02:00',
    ])
  })

  test('calendar steps keep the clock on the wall through changes of the clocks, when the time is a local one', () => {
    // Recorded from a Go program in this zone: AddDate(0, -m, -d).
    const steps = [
      ['2024-07-01T12:00:00+02:00', 4, 0],
      ['2024-03-31T12:00:00+02:00', 0, 1],
      ['2024-10-27T02:30:00+01:00', 0, 1],
      ['2024-07-01T12:00:00-04:00', 6, 0],
    ]
    const moved = `${JSON.stringify(steps)}.map(([s, m, d]) => t.formatTime(t.addDate(t.parseTime(s), 0, -m, -d)))`
    expect(inZone('Europe/Berlin', moved)).toEqual([
      '2024-03-01T12:00:00+01:00',
      '2024-03-30T12:00:00+01:00',
      '2024-10-26T02:30:00+02:00',
      '2024-01-01T12:00:00-04:00',
    ])
  })

  test.each([
    '',
    '2024-02-30 00:00:00',
    '2024-01-01',
    '2024-01-01T00:00:00',
    '2024-01-01 24:00:00',
    '24-01-01 00:00:00',
  ])('%j is no time for --time', (text) => {
    expect(parseLocalTime(text)).toBeUndefined()
  })
})
