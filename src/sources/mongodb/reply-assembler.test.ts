import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ReplyAssembler } from './reply-assembler.ts'
import { ReplyMemory } from './reply-memory.ts'

const OP_MSG = 2013
const OP_COMPRESSED = 2012
const MIB = 1024 * 1024

function message(bodyBytes: number, fill: number, kind: number = OP_MSG): Buffer {
  const bytes = Buffer.alloc(16 + bodyBytes, fill)
  bytes.writeInt32LE(bytes.length, 0)
  bytes.writeInt32LE(kind, 12)
  return bytes
}

/** A piece of a connection: memory of its own. */
const pieceOf = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes)

/** What the driver does with each piece. */
function messagesOf(assembler: ReplyAssembler): Buffer[] {
  const found: Buffer[] = []
  while (assembler.length > 0) {
    const size = assembler.getInt32()
    if (size === null || size > assembler.length) break
    found.push(assembler.read(size))
  }
  return found
}

describe('replies', () => {
  test('come out whole, in whatever pieces they arrive', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 200_000 }), { maxLength: 8 })
    const pieces = fc.array(fc.integer({ min: 1, max: 90_000 }), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(sizes, pieces, fc.constantFrom(OP_MSG, OP_COMPRESSED), (lengths, cuts, kind) => {
        const sent = lengths.map((length, i) => message(length, i + 1, kind))
        const stream = Buffer.concat(sent)
        const memory = new ReplyMemory()
        const assembler = new ReplyAssembler(memory)
        let count = 0
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = cuts[i % cuts.length]!
          assembler.append(pieceOf(stream.subarray(at, at + size)))
          at += size
          for (const found of messagesOf(assembler)) {
            expect(found.equals(sent[count++]!)).toBe(true)
            memory.release(found)
          }
        }
        expect(count).toBe(sent.length)
        expect(assembler.length).toBe(0)
      }),
      { numRuns: 50 },
    )
  })

  test('lie in memory that is used again once it is given back, and not before', () => {
    const memory = new ReplyMemory()
    const assembler = new ReplyAssembler(memory)
    const next = (fill: number): Buffer => {
      assembler.append(pieceOf(message(MIB, fill)))
      return messagesOf(assembler)[0]!
    }
    const [first, second] = [next(1), next(2)]
    expect(second.buffer).not.toBe(first.buffer)
    expect(first.readUInt8(16)).toBe(1)
    memory.release(first.subarray(100, 200))
    memory.release(first)
    const third = next(3)
    expect(third.buffer).toBe(first.buffer)
    expect(next(4).buffer).not.toBe(first.buffer)
    expect(second.readUInt8(16)).toBe(2)
  })

  test('of any size come into memory that is there, and goes when it is given back', () => {
    const memory = new ReplyMemory()
    const assembler = new ReplyAssembler(memory)
    const sent = message(9 * MIB, 7)
    for (let at = 0; at < sent.length; at += 60_000) assembler.append(pieceOf(sent.subarray(at, at + 60_000)))
    const [found] = messagesOf(assembler)
    expect(found!.equals(sent)).toBe(true)
    memory.release(found!)
    expect(found!.buffer.byteLength).toBe(0)
  })

  test('leave nothing behind of the pieces they came in, unless others hold their memory', () => {
    const assembler = new ReplyAssembler(new ReplyMemory())
    const own = pieceOf(message(10, 1))
    assembler.append(own)
    expect(own.buffer.byteLength).toBe(0)
    const shared = pieceOf(Buffer.concat([message(10, 2), Buffer.from('others')]))
    assembler.append(shared.subarray(0, 26))
    expect(Buffer.from(shared.subarray(26)).toString()).toBe('others')
  })

  test.each([-5, 0, 15])('that say they have %i bytes are refused, whatever follows', (size) => {
    const assembler = new ReplyAssembler(new ReplyMemory())
    const bad = message(0, 0)
    bad.writeInt32LE(size, 0)
    assembler.append(pieceOf(bad))
    expect(assembler.getInt32()).toBeLessThan(0)
    assembler.append(pieceOf(message(100, 1)))
    expect(assembler.getInt32()).toBeLessThan(0)
  })

  test('that claim two gigabytes get memory as they come', () => {
    const memory = new ReplyMemory()
    let most = 0
    const taken = memory.take.bind(memory)
    memory.take = (bytes) => {
      most = Math.max(most, bytes)
      return taken(bytes)
    }
    const assembler = new ReplyAssembler(memory)
    const claim = message(100, 1)
    claim.writeInt32LE(2 ** 31 - 1, 0)
    assembler.append(pieceOf(claim))
    expect(messagesOf(assembler)).toEqual([])
    expect(most).toBeLessThanOrEqual(4 * MIB)
  })
})
