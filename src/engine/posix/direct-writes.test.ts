import { closeSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { scratchFolder } from '../../../test/support/test-repository.ts'
import { randomBytes } from '../../lib/random.ts'
import { DIRECT_BLOCK_BYTES, DirectWrites, directMemory, openDirectly } from './direct-writes.ts'

const PIECE = 16 * DIRECT_BLOCK_BYTES
/** More than may be under way at a time. */
const PIECES = 100

const isMissing = ((): boolean => {
  using writes = DirectWrites.create()
  return writes === undefined
})()

describe.skipIf(isMissing)('direct writes', () => {
  test('bring each piece to its place, in whatever order, and tell of each once', () => {
    using scratch = scratchFolder()
    const path = scratch.join('file')
    const memory = directMemory(PIECES * PIECE)
    memory.set(randomBytes(memory.length))
    const ordinary = openSync(path, 'w')
    const fd = openDirectly(ordinary) ?? ordinary
    using writes = DirectWrites.create()!
    const told = new Array<number>(PIECES).fill(0)
    for (let i = PIECES - 1; i >= 0; i--) {
      const bytes = memory.subarray(i * PIECE, (i + 1) * PIECE)
      const isBegun = writes.begin(fd, bytes, i * PIECE, (written) => {
        expect(written).toBe(PIECE)
        told[i]!++
      })
      expect(isBegun).toBe(true)
    }
    while (writes.pending > 0) writes.waitForOne()
    if (fd !== ordinary) closeSync(fd)
    closeSync(ordinary)
    expect(told).toEqual(new Array(PIECES).fill(1))
    expect(readFileSync(path).equals(memory)).toBe(true)
  })

  test('refuse what is not whole blocks, and what cannot be written to', () => {
    using scratch = scratchFolder()
    const path = scratch.join('file')
    const ordinary = openSync(path, 'w')
    const memory = directMemory(2 * PIECE)
    using writes = DirectWrites.create()!
    const never = (): void => expect.unreachable()
    expect(writes.begin(ordinary, memory.subarray(512, 512 + PIECE), 0, never)).toBe(false)
    expect(writes.begin(ordinary, memory.subarray(0, PIECE - 1), 0, never)).toBe(false)
    expect(writes.begin(ordinary, memory.subarray(0, PIECE), 100, never)).toBe(false)
    closeSync(ordinary)
    const readable = openSync(path, 'r')
    expect(writes.begin(readable, memory.subarray(0, PIECE), 0, never)).toBe(false)
    closeSync(readable)
    expect(writes.pending).toBe(0)
    expect(readFileSync(path)).toHaveLength(0)
  })
})

test('a direct descriptor is of the same file, though another has taken its name', () => {
  using scratch = scratchFolder()
  const path = scratch.join('file')
  const ordinary = openSync(path, 'w+')
  unlinkSync(path)
  closeSync(openSync(path, 'w'))
  const fd = openDirectly(ordinary)
  if (fd !== undefined) {
    const memory = directMemory(DIRECT_BLOCK_BYTES).fill(7)
    expect(writeSync(fd, memory, 0, memory.length, 0)).toBe(memory.length)
    closeSync(fd)
    expect(readFileSync(ordinary).equals(memory)).toBe(true)
  }
  closeSync(ordinary)
  expect(readFileSync(path)).toHaveLength(0)
})
