import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatTime } from '../../lib/go-time.ts'
import type { ValueKind } from './option.ts'
import { durationKind, keepWithinKind, maxUnusedKind, readSubsetKind, sizeKind, smallerThanKind } from './quantities.ts'
import {
  groupingKind,
  integerKind,
  keepCountKind,
  looseTimeKind,
  markerFileKind,
  packSizeKind,
  rateKind,
  splitCommas,
  timeKind,
} from './values.ts'

function refuses(kind: ValueKind<unknown>, texts: readonly string[]): void {
  for (const text of texts) expect(() => kind.parse(text), text).toThrow()
}

describe('numbers', () => {
  test('whole numbers in a range', () => {
    expect(integerKind('n').parse('0')).toBe(0)
    expect(integerKind('n').parse('+12')).toBe(12)
    refuses(integerKind('n'), ['', '-1', '1.5', '1e3', '0x10', ' 1', '2147483648', '９'])
  })

  test('pack sizes in MiB, rates in KiB per second', () => {
    expect(packSizeKind.parse('64')).toBe(64 * 2 ** 20)
    expect(packSizeKind.parse('0')).toBeUndefined()
    refuses(packSizeKind, ['1', '3', '129', '16M', '-4'])
    expect(rateKind.parse('100')).toBe(102_400)
    expect(rateKind.parse('0')).toBeUndefined()
    refuses(rateKind, ['1.5', '10M'])
  })

  test('how many snapshots to keep', () => {
    expect(keepCountKind.parse('unlimited')).toBe('unlimited')
    expect(keepCountKind.parse('7')).toBe(7)
    refuses(keepCountKind, ['-1', 'all', ''])
  })
})

describe('quantities', () => {
  test('sizes', () => {
    expect(sizeKind('size').parse('16M')).toBe(2 ** 24)
    refuses(sizeKind('size'), ['', 'M', '1Q', '-1', '99999999999T'])
    expect(smallerThanKind.parse('4m')).toBe(2 ** 22)
    refuses(smallerThanKind, ['0', '0K'])
  })

  test('limits of unused data', () => {
    expect(maxUnusedKind.parse('unlimited')).toEqual({ kind: 'unlimited' })
    expect(maxUnusedKind.parse(' 5% ')).toEqual({ kind: 'percent', percent: 5 })
    expect(maxUnusedKind.parse('2.5%')).toEqual({ kind: 'percent', percent: 2.5 })
    expect(maxUnusedKind.parse('1G')).toEqual({ kind: 'bytes', bytes: 2 ** 30 })
    refuses(maxUnusedKind, ['', '100%', '-1%', '%', 'x'])
  })

  test('parts of the packs', () => {
    expect(readSubsetKind.parse('2/7')).toEqual({ kind: 'part', part: 2, parts: 7 })
    expect(readSubsetKind.parse('100%')).toEqual({ kind: 'percent', percent: 100 })
    expect(readSubsetKind.parse('0.5%')).toEqual({ kind: 'percent', percent: 0.5 })
    expect(readSubsetKind.parse('10G')).toEqual({ kind: 'bytes', bytes: 10 * 2 ** 30 })
    refuses(readSubsetKind, ['0/1', '3/2', '1/0', '1/257', '1/2/3', '0%', '101%', '0', 'half', ''])
  })

  test('durations', () => {
    expect(durationKind.parse('1h1m1.5s')).toBe(3_661_500)
    expect(durationKind.parse('0')).toBe(0)
    refuses(durationKind, ['5', '-5m', '', '1d', '1h 1m'])
    expect(keepWithinKind.parse('1y5m7d2h')).toEqual({ years: 1, months: 5, days: 7, hours: 2 })
    refuses(keepWithinKind, ['5', '5x', '-1d', 'd'])
  })
})

describe('words', () => {
  test('groupings', () => {
    expect(groupingKind.parse('host,paths')).toEqual({ host: true, paths: true, tags: false })
    expect(groupingKind.parse('tag')).toEqual({ host: false, paths: false, tags: true })
    expect(groupingKind.parse('')).toEqual({ host: false, paths: false, tags: false })
    refuses(groupingKind, ['hostname', 'host;paths', 'host, paths'])
  })

  test('marker files', () => {
    expect(markerFileKind.parse('.nobackup')).toEqual({ name: '.nobackup', header: undefined })
    expect(markerFileKind.parse('CACHEDIR.TAG:Signature: 8a')).toEqual({
      name: 'CACHEDIR.TAG',
      header: 'Signature: 8a',
    })
    refuses(markerFileKind, ['', ':x'])
  })

  test('fields between commas, quoted or not', () => {
    expect(splitCommas('')).toEqual([])
    expect(splitCommas('a,,"b,c","d""e",')).toEqual(['a', '', 'b,c', 'd"e', ''])
    for (const text of ['"a', '"a"b', 'a"b"', 'a,"']) expect(() => splitCommas(text)).toThrow()
  })

  test('what is joined with quotes is split into the same fields', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1 }), (fields) => {
        expect(splitCommas(fields.map((field) => `"${field.replaceAll('"', '""')}"`).join(','))).toEqual(fields)
      }),
    )
  })
})

describe('times', () => {
  // The wall clock of the zone the tests run in; what a time means as an instant is proved in lib/go-time.test.ts.
  const wall = (text: string): string => formatTime(looseTimeKind.parse(text)).slice(0, 19)

  test('of a snapshot', () => {
    expect(formatTime(timeKind.parse('2012-11-01 22:08:41')).slice(0, 19)).toBe('2012-11-01T22:08:41')
    refuses(timeKind, ['2012-11-01', '2012-11-31 00:00:00', 'now', ''])
  })

  test.each([
    ['2024-02-29', '2024-02-29T00:00:00'],
    ['2024-02-29 7:05', '2024-02-29T07:05:00'],
    ['2024-02-29 17:05:09', '2024-02-29T17:05:09'],
    ['29.02.2024', '2024-02-29T00:00:00'],
    ['29.02.2024 17:05', '2024-02-29T17:05:00'],
    ['29.02.2024 17:05:09', '2024-02-29T17:05:09'],
  ])('find takes %s', (text, expected) => {
    expect(wall(text)).toBe(expected)
  })

  test.each([
    ['2024-02-29 17:05:09 +0200', '2024-02-29T17:05:09+02:00'],
    ['29.02.2024 17:05:09 -0330', '2024-02-29T17:05:09-03:30'],
    ['2024-02-29 17:05:09 UTC', '2024-02-29T17:05:09Z'],
    ['Thu Feb 29 17:05:09 +0100 CET 2024', '2024-02-29T17:05:09+01:00'],
  ])('find takes %s with its zone', (text, expected) => {
    expect(formatTime(looseTimeKind.parse(text))).toBe(expected)
  })

  test('find refuses anything else', () => {
    refuses(looseTimeKind, [
      '',
      'yesterday',
      '2024-13-01',
      '2023-02-29',
      '2024-02-29T10:00:00',
      '1.2.2024',
      '2024-02-29 17:05 UTC',
    ])
  })
})
