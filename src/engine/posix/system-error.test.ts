import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { describe, expect, test } from 'vitest'
import { systemErrorCode } from '../../lib/errors.ts'
import { ownSystemError, printablePath, systemError, systemErrorAbout } from './system-error.ts'

test('a system error reads as one of Node', () => {
  const caught = (work: () => unknown): Error => {
    try {
      work()
    } catch (error) {
      return error as Error
    }
    throw new Error('nothing was thrown')
  }
  const theirs = caught(() => readFileSync('/none'))
  const ours = systemError(constants.errno.ENOENT, 'open', Buffer.from('/none'))
  expect(ours.message).toBe(theirs.message)
  expect({ ...ours }).toEqual({ ...theirs })
  expect(systemErrorCode(ours)).toBe('ENOENT')
})

test('numbers Node has no text for keep their name', () => {
  expect(systemError(constants.errno.ENOSTR, 'ioctl').message).toBe('ENOSTR: system error, ioctl')
  expect(systemError(4000, 'ioctl').code).toBe('E4000')
})

test('an error can be told about another path; what is no system error stays what it is', () => {
  const error = ownSystemError('EACCES', 'open', Buffer.from('/proc/self/fd/7/name'))
  expect(systemErrorAbout(error, Buffer.from('/real/name'))).toMatchObject({
    message: "EACCES: permission denied, open '/real/name'",
    code: 'EACCES',
    path: '/real/name',
  })
  const other = new TypeError('wrong')
  expect(systemErrorAbout(other, Buffer.from('/x'))).toBe(other)
})

describe('printable paths', () => {
  test.each([
    ['/plain/ünï 文', '/plain/ünï 文'],
    ['/a\nb\x1b[2J', '/a\\x0ab\\x1b[2J'],
    ['/right\u202eleft', '/right\\xe2\\x80\\xaeleft'],
  ])('%j', (text, expected) => expect(printablePath(Buffer.from(text))).toBe(expected))

  test('bytes that are no text', () => {
    expect(printablePath(Buffer.from([0x2f, 0xc3, 0x28, 0xff]))).toBe('/\\xc3(\\xff')
  })
})
