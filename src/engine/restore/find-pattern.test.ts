import { describe, expect, test } from 'vitest'
import { createFindPattern, type FindOptions } from './find-pattern.ts'
import { parseFindTime } from './find-time.ts'

const at = (text: string) => ({ seconds: Date.parse(text) / 1000, nanoseconds: 0, offsetSeconds: 0 })
const anyTime = at('2024-06-01T00:00:00Z')

function finds(options: Partial<FindOptions>, path: string, mtime = anyTime): boolean {
  return createFindPattern({ patterns: ['*'], ...options })(path, false, mtime).found
}

describe('what a search finds', () => {
  test.each([
    [['*.conf'], '/etc/a.conf', true],
    [['*.conf'], '/etc/a.cfg', false],
    [['*.conf', '*.cfg'], '/etc/a.cfg', true],
    // What lies below a match is found too, as restic does.
    [['etc'], '/etc/a.cfg', true],
    [['/etc/*.cfg'], '/home/etc/a.cfg', false],
    [['a?c'], '/x/a\xffc', true],
    [[''], '/anything', true],
    [['!a'], '/a', true],
    [['!a'], '/b', false],
    [['!!a'], '/!a', true],
    [['!!a'], '/b', false],
    [['!'], '/a', false],
    [['*', '!a'], '/a', true],
  ])('%j in %s: %s', (patterns, path, expected) => {
    expect(finds({ patterns }, path)).toBe(expected)
  })

  test('letter case counts unless told otherwise', () => {
    expect(finds({ patterns: ['ReadMe*'] }, '/README.md')).toBe(false)
    expect(finds({ patterns: ['ReadMe*'], ignoreCase: true }, '/README.md')).toBe(true)
  })

  test('goes into no directory in which nothing can be found', () => {
    const find = createFindPattern({ patterns: ['/home/*/notes', '/etc/**/x'] })
    expect(find('/home', true, anyTime)).toEqual({ found: false, descend: true })
    expect(find('/home/me/music', true, anyTime)).toEqual({ found: false, descend: false })
    expect(find('/etc/a/b', true, anyTime)).toEqual({ found: false, descend: true })
    expect(find('/var', true, anyTime)).toEqual({ found: false, descend: false })
    expect(find('/home/me/notes', true, anyTime)).toEqual({ found: true, descend: true })
    expect(find('/home/me/notes', false, anyTime)).toEqual({ found: true, descend: false })
  })

  test('is of the time asked for, bounds included; directories of other times are still searched', () => {
    const options = { oldest: at('2024-03-01T00:00:00Z'), newest: at('2024-03-31T00:00:00Z') }
    expect(finds(options, '/a', at('2024-02-29T23:59:59Z'))).toBe(false)
    expect(finds(options, '/a', at('2024-03-01T00:00:00Z'))).toBe(true)
    expect(finds(options, '/a', at('2024-03-31T00:00:00Z'))).toBe(true)
    expect(finds(options, '/a', { ...at('2024-03-31T00:00:00Z'), nanoseconds: 1 })).toBe(false)
    const directory = createFindPattern({ patterns: ['*'], ...options })('/a', true, anyTime)
    expect(directory).toEqual({ found: false, descend: true })
  })

  test('has its bounds in order', () => {
    const wrong = { oldest: at('2024-03-02T00:00:00Z'), newest: at('2024-03-01T00:00:00Z') }
    expect(() => finds(wrong, '/a')).toThrow(expect.objectContaining({ code: 'HF_USAGE' }))
    expect(finds({ oldest: anyTime, newest: anyTime }, '/a')).toBe(true)
  })

  test('names a pattern that cannot be understood', () => {
    expect(() => finds({ patterns: ['[a'] }, '/a')).toThrow(expect.objectContaining({ code: 'HF_PATTERN_INVALID' }))
  })
})

describe('times of a search', () => {
  test.each([
    ['2024-03-01', '2024-03-01T00:00:00'],
    ['2024-03-01 14:30', '2024-03-01T14:30:00'],
    ['2024-03-01 4:30', '2024-03-01T04:30:00'],
    ['2024-03-01  14:30:05', '2024-03-01T14:30:05'],
    ['29.02.2024', '2024-02-29T00:00:00'],
    ['01.03.2024 14:30', '2024-03-01T14:30:00'],
    ['01.03.2024 14:30:05', '2024-03-01T14:30:05'],
    ['2024-03-01 14:30:05 +0130', '2024-03-01T13:00:05Z'],
    ['2024-03-01 14:30:05 -0100', '2024-03-01T15:30:05Z'],
    ['01.03.2024 14:30:05 +0000', '2024-03-01T14:30:05Z'],
    ['2024-03-01 14:30:05 UTC', '2024-03-01T14:30:05Z'],
    ['01.03.2024 14:30:05 GMT', '2024-03-01T14:30:05Z'],
    ['2024-03-01 14:30:05 GMT-8', '2024-03-01T22:30:05Z'],
    ['Fri Mar 1 14:30:05 +0100 CET 2024', '2024-03-01T13:30:05Z'],
    ['fri mar 01 14:30:05 -0300 -03 2024', '2024-03-01T17:30:05Z'],
  ])('%s is %s', (text, expected) => {
    expect(parseFindTime(text)).toMatchObject({ seconds: Date.parse(expected) / 1000, nanoseconds: 0 })
  })

  test('may have parts of a second', () => {
    expect(parseFindTime('2024-03-01 14:30:05.25 UTC').nanoseconds).toBe(250_000_000)
    expect(parseFindTime('2024-03-01 14:30:05,1234567891 UTC').nanoseconds).toBe(123_456_789)
  })

  test.each([
    '',
    'yesterday',
    '2024',
    '2024-3-1',
    '2024-02-30',
    '2023-02-29',
    '2024-13-01',
    '2024-00-10',
    '2024-03-00',
    '2024-03-01 24:00',
    '2024-03-01 14:60',
    '2024-03-01 14:30:60',
    '2024-03-01T14:30:05Z',
    '2024-03-01 14:30 +0100',
    '2024-03-01 14:30:05 +01',
    '2024-03-01 14:30:05 CET',
    '2024-03-01 14:30:05 GMT+24',
    '2024-03-01 14:30:05 +0170',
    '01.13.2024',
    'Xyz Mar 1 14:30:05 +0100 CET 2024',
    'Fri Mxr 1 14:30:05 +0100 CET 2024',
    ' 2024-03-01',
  ])('%j is refused', (text) => {
    expect(() => parseFindTime(text)).toThrow(expect.objectContaining({ code: 'HF_PATTERN_INVALID' }))
  })
})
