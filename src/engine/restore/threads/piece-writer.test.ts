import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { scratchFolder } from '../../../../test/support/test-repository.ts'
import { randomBytes } from '../../../lib/random.ts'
import { DIRECT_BLOCK_BYTES, directMemory, type OnEnd, openDirectly } from '../../posix/async-io.ts'
import type { OpenFile } from './entry-writer.ts'
import { type DirectPieces, PieceWriter } from './piece-writer.ts'

const SIZE = 80 * DIRECT_BLOCK_BYTES + 100

/** Ends writes in turn, each with what `result` says. */
class ScriptedWrites implements DirectPieces {
  readonly begun: number[] = []
  readonly #ends: (() => void)[] = []
  readonly #result: (bytes: Uint8Array) => number | undefined

  constructor(result: (bytes: Uint8Array) => number | undefined) {
    this.#result = result
  }

  get pending(): number {
    return this.#ends.length
  }

  write(fd: number, bytes: Uint8Array, offset: number, onEnd: OnEnd): boolean {
    const result = this.#result(bytes)
    if (result === undefined) return false
    this.begun.push(offset)
    this.#ends.push(() => {
      if (result > 0) writeSync(fd, bytes, 0, result, offset)
      onEnd(result)
    })
    return true
  }

  waitForOne(): void {
    this.#ends.shift()?.()
  }
}

const ordinary = {
  write: (file: OpenFile, bytes: Uint8Array, offset: number): void => {
    writeSync(file.fd, bytes, 0, bytes.length, offset)
  },
}

function writeTwoPieces(path: string, direct: DirectPieces, write = ordinary.write): unknown[] {
  const memory = directMemory(2 * SIZE)
  memory.set(randomBytes(SIZE))
  const file = { entry: 1, fd: openSync(path, 'w'), hasHoles: false, mayBeDirect: true }
  const pieces = new PieceWriter({ write }, direct)
  const told: unknown[] = []
  const cut = 33 * DIRECT_BLOCK_BYTES
  try {
    pieces.write(file, memory.subarray(0, cut), 0, (error) => told.push(error))
    pieces.endBatch(1)
    pieces.write(file, memory.subarray(cut, SIZE), cut, (error) => told.push(error))
    pieces.endBatch(0)
  } finally {
    pieces.close()
    closeSync(file.fd)
  }
  if (!told.some(Boolean)) expect(readFileSync(path).equals(memory.subarray(0, SIZE))).toBe(true)
  return told
}

const lacksDirect = ((): boolean => {
  using scratch = scratchFolder()
  const fd = openSync(scratch.join('file'), 'w')
  const direct = openDirectly(fd)
  closeSync(fd)
  if (direct === undefined) return true
  closeSync(direct)
  return false
})()

describe.skipIf(lacksDirect)('pieces that go past the cache', () => {
  test.each([
    ['end well', (bytes: Uint8Array) => bytes.length],
    ['are cut short', (bytes: Uint8Array) => bytes.length - DIRECT_BLOCK_BYTES],
    ['fail', () => -5],
    ['are refused', () => undefined],
  ] as const)('are in the file when direct writes %s', (_, result) => {
    using scratch = scratchFolder()
    const direct = new ScriptedWrites(result)
    expect(writeTwoPieces(scratch.join('file'), direct)).toEqual([undefined, undefined])
    expect(direct.pending).toBe(0)
    // The second one has whole blocks and a rest.
    if (result(directMemory(SIZE)) !== undefined) expect(direct.begun).toEqual([0, 33 * DIRECT_BLOCK_BYTES])
  })

  test('of a file that was given up are not written again, as its descriptor may be of another file', () => {
    using scratch = scratchFolder()
    const direct = new ScriptedWrites(() => -28)
    const again: number[] = []
    const pieces = new PieceWriter({ write: (_, bytes) => bytes.length > 0 && again.push(bytes.length) }, direct)
    const files = [1, 2].map((entry) => {
      const fd = openSync(scratch.join(`file-${entry}`), 'w')
      return { entry, fd, hasHoles: false, mayBeDirect: true }
    })
    const told: number[] = []
    const bytes = directMemory(33 * DIRECT_BLOCK_BYTES)
    for (const file of files) pieces.write(file, bytes, 0, () => told.push(file.entry))
    pieces.giveUp(1)
    pieces.close()
    for (const { fd } of files) closeSync(fd)
    expect(direct.pending).toBe(0)
    expect(again).toEqual([bytes.length])
    expect(told).toEqual([2])
  })

  test('tell what is wrong when the ordinary way fails as well', () => {
    using scratch = scratchFolder()
    const full = Object.assign(new Error('full'), { code: 'ENOSPC' })
    const write: typeof ordinary.write = (file, bytes, offset) => {
      if (bytes.length > DIRECT_BLOCK_BYTES) throw full
      ordinary.write(file, bytes, offset)
    }
    const told = writeTwoPieces(scratch.join('file'), new ScriptedWrites(() => 0), write)
    expect(told).toEqual([full, full])
  })
})
