import { expect, test } from 'vitest'
import { doc } from './bson.ts'
import { crc32c, MessageReader, parseMessage } from './wire.ts'

const insert = doc({ insert: 'a', $db: 'shop' })
const documents = [doc({ _id: 1 }), doc({ _id: 2 })]

function sequence(name: string, items: readonly Buffer[]): Buffer {
  const content = Buffer.concat([Buffer.from(`${name}\0`), ...items])
  const head = Buffer.alloc(5)
  head[0] = 1
  head.writeInt32LE(content.length + 4, 1)
  return Buffer.concat([head, content])
}

function message(flags: number, ...sections: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(20)
  head.writeInt32LE(7, 4)
  head.writeInt32LE(2013, 12)
  head.writeUInt32LE(flags, 16)
  const whole = Buffer.concat([head, ...sections, ...((flags & 1) === 0 ? [] : [Buffer.alloc(4)])])
  whole.writeInt32LE(whole.length, 0)
  if ((flags & 1) !== 0) whole.writeUInt32LE(crc32c(whole.subarray(0, -4)), whole.length - 4)
  return whole
}

const body = Buffer.concat([Buffer.of(0), insert])

test('CRC-32C has its check value', () => {
  expect(crc32c(Buffer.from('123456789')).toString(16)).toBe('e3069283')
})

test('document sequences are found before and behind the body, and keep their bytes', () => {
  for (const sections of [
    [body, sequence('documents', documents)],
    [sequence('documents', documents), body],
  ]) {
    const request = parseMessage(message(0, ...sections))
    expect(request.requestId).toBe(7)
    expect(request.body.equals(insert)).toBe(true)
    expect(Buffer.concat([...request.sequences.get('documents')!]).equals(Buffer.concat(documents))).toBe(true)
  }
})

test('a checksum is checked', () => {
  const good = message(1, body)
  expect(parseMessage(good).body.equals(insert)).toBe(true)
  good[30] = good[30]! ^ 1
  expect(() => parseMessage(good)).toThrow('checksum')
})

test('flags that must be known are refused, others are not', () => {
  // Exhaust is allowed, which a server may leave be.
  expect(parseMessage(message(1 << 16, body)).moreToCome).toBe(false)
  expect(parseMessage(message(2, body)).moreToCome).toBe(true)
  expect(() => parseMessage(message(4, body))).toThrow('flags')
  expect(() => parseMessage(message(0))).toThrow('no body')
  expect(() => parseMessage(message(0, body, body))).toThrow('two bodies')
})

test('messages are cut out of chunks of any size', () => {
  const all = Buffer.concat([message(0, body), message(1, body), message(0, body, sequence('documents', documents))])
  for (const size of [1, 3, 16, 50, all.length]) {
    const reader = new MessageReader()
    const found: Buffer[] = []
    for (let at = 0; at < all.length; at += size) found.push(...reader.push(all.subarray(at, at + size)))
    expect(found).toHaveLength(3)
    expect(Buffer.concat(found).equals(all)).toBe(true)
  }
  expect(() => new MessageReader().push(Buffer.alloc(16, 0xff))).toThrow(RangeError)
})
