import { closeSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { scratchFolder } from '../../../test/support/test-repository.ts'
import { randomBytes } from '../../lib/random.ts'
import { AsyncIo, DIRECT_BLOCK_BYTES, directMemory, openDirectly } from './async-io.ts'

const PIECE = 16 * DIRECT_BLOCK_BYTES
const DEPTH = 32
const PIECES = 3 * DEPTH

const isMissing = ((): boolean => {
  using writes = AsyncIo.create(DEPTH)
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
    using writes = AsyncIo.create(DEPTH)!
    const told = new Array<number>(PIECES).fill(0)
    for (let i = PIECES - 1; i >= 0; i--) {
      const bytes = memory.subarray(i * PIECE, (i + 1) * PIECE)
      const isBegun = writes.write(fd, bytes, i * PIECE, (written) => {
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
    using writes = AsyncIo.create(DEPTH)!
    const never = (): void => expect.unreachable()
    expect(writes.write(ordinary, memory.subarray(512, 512 + PIECE), 0, never)).toBe(false)
    expect(writes.write(ordinary, memory.subarray(0, PIECE - 1), 0, never)).toBe(false)
    expect(writes.write(ordinary, memory.subarray(0, PIECE), 100, never)).toBe(false)
    closeSync(ordinary)
    const readable = openSync(path, 'r')
    expect(writes.write(readable, memory.subarray(0, PIECE), 0, never)).toBe(false)
    closeSync(readable)
    expect(writes.pending).toBe(0)
    expect(readFileSync(path)).toHaveLength(0)
  })

  test('sync a file and a folder, and refuse what is none', () => {
    using scratch = scratchFolder()
    const descriptors = [openSync(scratch.join('file'), 'w'), openSync(scratch.path, 'r')]
    using io = AsyncIo.create(DEPTH)!
    const results: number[] = []
    for (const fd of descriptors) expect(io.sync(fd, (result) => results.push(result))).toBe(true)
    while (io.pending > 0) io.collect()
    expect(results).toEqual([0, 0])
    for (const fd of descriptors) closeSync(fd)
    expect(io.sync(-1, () => expect.unreachable())).toBe(false)
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
