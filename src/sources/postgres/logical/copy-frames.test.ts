import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { unframe } from './copy-frames.ts'

describe('messages with rows', () => {
  const framed = (rows: readonly Uint8Array[]): Buffer =>
    Buffer.concat(
      rows.map((row) => {
        const message = Buffer.alloc(5 + row.length)
        message[0] = 0x64
        message.writeUInt32BE(row.length + 4, 1)
        message.set(row, 5)
        return message
      }),
    )

  test('give their rows, in whatever pieces they come', () => {
    const row = fc.uint8Array({ maxLength: 200 })
    fc.assert(
      fc.property(fc.array(row, { maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 300 })), (rows, sizes) => {
        const stream = Buffer.concat([framed(rows), Buffer.from('c\0\0\0\u0004')])
        const data: Buffer[] = []
        let [held, left, count] = [Buffer.alloc(0), 0, 0]
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = sizes[i] ?? 1000
          held = Buffer.concat([held, stream.subarray(at, at + size)])
          at += size
          const { used, end, rows: begun, left: rest } = unframe(held, left)
          data.push(Buffer.from(held.subarray(0, end)))
          held = held.subarray(used)
          left = rest
          count += begun
        }
        expect(Buffer.concat(data).equals(Buffer.concat(rows))).toBe(true)
        expect(count).toBe(rows.length)
        expect(held.toString('latin1')).toBe('c\0\0\0\u0004')
      }),
    )
  })

  test('of impossible length are refused', () => {
    expect(() => unframe(Buffer.from('d\0\0\0\u0002xx'), 0)).toThrow(
      expect.objectContaining({ code: 'HF_SOURCE_DAMAGED' }),
    )
  })
})
