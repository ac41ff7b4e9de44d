import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { utf8 } from '../../lib/bytes.ts'
import { isHoldfastError, systemErrorCode } from '../../lib/errors.ts'
import { deviceNumber, lstat } from './attributes.ts'
import { libc } from './libc.ts'
import { makeNode, nativeNodeMaker, refuseNode } from './nodes.ts'

const library = libc()
const root = mkdtempSync(join(tmpdir(), 'posix-nodes-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

describe.skipIf(!library)('special files (needs the native library)', () => {
  test('fifos are made with their permissions', () => {
    const path = utf8(join(root, 'fifo'))
    makeNode(path, 0o010640)
    expect(lstat(path)).toMatchObject({ type: 'fifo', mode: 0o010640, rdev: 0 })
    expect(() => makeNode(path, 0o010640)).toThrow(`EEXIST: file already exists, mknod '${join(root, 'fifo')}'`)
  })

  test.skipIf(process.geteuid!() !== 0)('devices keep their number (needs root)', ({ skip }) => {
    const path = utf8(join(root, 'device'))
    const rdev = deviceNumber(259, 0x12345)
    try {
      makeNode(path, 0o060600, rdev)
    } catch (error) {
      if (systemErrorCode(error) !== 'EPERM') throw error
      skip('this root may not make devices, as in most containers')
    }
    expect(lstat(path)).toMatchObject({ type: 'dev', mode: 0o060600, rdev })
  })

  test('a number no kernel takes is refused', () => {
    const make = nativeNodeMaker(library!)
    expect(() => make(utf8(join(root, 'wide')), 0o020600, 2n ** 40n)).toThrow('EINVAL')
  })
})

test('without the native library they are refused by name', () => {
  expect(() => refuseNode(utf8('/a/fifo'), 0o010600, 0)).toThrow(
    expect.toSatisfy((error) => isHoldfastError(error, 'HF_UNSUPPORTED') && error.message.includes('/a/fifo')),
  )
})
