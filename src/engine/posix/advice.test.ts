import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { scratchFolder } from '../../../test/support/test-repository.ts'
import { willRead } from './advice.ts'

test('advice is taken or passed over, whatever it is about, and changes nothing', () => {
  using scratch = scratchFolder()
  const path = scratch.join('file')
  writeFileSync(path, 'content')
  const fd = openSync(path, 'r')
  willRead(fd, 0, 4)
  willRead(fd, 2 ** 40, 2 ** 30)
  closeSync(fd)
  willRead(fd, 0, 4)
  willRead(-1, 0, 0)
  expect(readFileSync(path, 'utf8')).toBe('content')
})
