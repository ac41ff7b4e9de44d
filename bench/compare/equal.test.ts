import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lacks } from '../../test/support/requirements.ts'
import { findDifference } from './equal.ts'

let scratch: string
let original: string
let copy: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'holdfast-equal-'))
  original = join(scratch, 'original')
  copy = join(scratch, 'copy')
  mkdirSync(join(original, 'deep/er'), { recursive: true })
  writeFileSync(join(original, 'deep/er/large'), Buffer.alloc(3_000_000, 'abc'))
  writeFileSync(join(original, 'deep/small'), 'text')
  linkSync(join(original, 'deep/small'), join(original, 'linked'))
  symlinkSync('deep/small', join(original, 'pointer'))
  spawnSync('cp', ['-a', original, copy])
})
afterEach(() => {
  rmSync(scratch, { recursive: true, force: true })
})

test('a faithful copy is equal', () => {
  expect(findDifference(original, copy)).toBeUndefined()
})

const when = new Date(1_700_000_000_000)

test.each<[string, () => void, string]>([
  ['a missing file', () => rmSync(join(copy, 'deep/small')), 'deep: modified'],
  ['an additional file', () => writeFileSync(join(copy, 'more'), ''), 'other names'],
  ['a mode', () => chmodSync(join(copy, 'deep/small'), 0o600), 'deep/small: mode 100600 instead of'],
  [
    'a time',
    () => utimesSync(join(copy, 'deep/small'), when, when),
    'deep/small: modified 1700000000000000000 instead of',
  ],
  ['the time of a folder', () => utimesSync(join(copy, 'deep/er'), when, when), 'deep/er: modified'],
  [
    'a target',
    () => {
      rmSync(join(copy, 'pointer'))
      symlinkSync('deep/other', join(copy, 'pointer'))
      spawnSync('touch', ['-h', '-r', join(original, 'pointer'), join(copy, 'pointer')])
    },
    'pointer: other target',
  ],
])('%s is noticed', (_, spoil, difference) => {
  spoil()
  expect(findDifference(original, copy)).toContain(difference)
})

test('one other byte, or one more, is noticed although size and time are right', () => {
  const bytes = Buffer.alloc(3_000_000, 'abc')
  bytes[2_500_000]! ^= 1
  writeFileSync(join(copy, 'deep/er/large'), bytes)
  spawnSync('touch', ['-r', join(original, 'deep/er/large'), join(copy, 'deep/er/large')])
  expect(findDifference(original, copy)).toBe('deep/er/large: other bytes between 2097152 and 3145728')
  copyFileSync(join(original, 'deep/er/large'), join(copy, 'deep/er/large'))
  appendFileSync(join(copy, 'deep/er/large'), 'd')
  spawnSync('touch', ['-r', join(original, 'deep/er/large'), join(copy, 'deep/er/large')])
  expect(findDifference(original, copy)).toContain('deep/er/large: other bytes')
})

test('two files that were one are noticed', () => {
  rmSync(join(copy, 'linked'))
  copyFileSync(join(copy, 'deep/small'), join(copy, 'linked'))
  spawnSync('touch', ['-r', join(original, 'linked'), join(copy, 'linked')])
  expect(findDifference(original, copy)).toBe('linked: no longer a hard link')
})

test.skipIf(lacks('setfattr'))('an extended attribute is noticed', () => {
  const set = (path: string, value: string): unknown => spawnSync('setfattr', ['-n', 'user.note', '-v', value, path])
  set(join(original, 'deep/small'), 'one')
  expect(findDifference(original, copy)).toBe('deep/small: other extended attributes:  instead of user.note')
  set(join(copy, 'deep/small'), 'two')
  expect(findDifference(original, copy)).toContain('other extended attributes')
  set(join(copy, 'deep/small'), 'one')
  expect(findDifference(original, copy)).toBeUndefined()
})

test.skipIf(lacks('root'))('an owner is noticed', () => {
  chownSync(join(copy, 'deep/er/large'), 65534, 65534)
  expect(findDifference(original, copy)).toBe('deep/er/large: owner 65534:65534 instead of 0:0')
})
