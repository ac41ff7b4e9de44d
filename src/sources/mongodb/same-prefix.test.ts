import { BSON } from 'mongodb'
import { expect, test } from 'vitest'
import { numbered } from '../../../test/support/servers/mongo-source.ts'
import type { DocumentBatch } from './bson/batch.ts'
import { SamePrefix } from './same-prefix.ts'

function batchOf(documents: readonly object[]): DocumentBatch {
  const encoded = documents.map((one) => BSON.serialize(one))
  const bytes = Buffer.concat(encoded)
  return { bytes, count: documents.length, lastStart: bytes.length - (encoded.at(-1)?.length ?? 0) }
}

const documents = numbered(10)

test('what was given on before is held back, wherever replies end now', () => {
  for (const width of [1, 2, 3, 7, 10]) {
    const prefix = new SamePrefix()
    const given: Buffer[] = []
    const read = (count: number): void => {
      for (let at = 0; at < count; at += width) {
        const batch = batchOf(documents.slice(at, Math.min(at + width, count)))
        const fresh = prefix.pass(batch)
        if (fresh === 'other') throw new Error('taken for changed')
        if (fresh === undefined) continue
        given.push(fresh.bytes)
        expect(fresh.bytes.subarray(fresh.lastStart)).toEqual(batch.bytes.subarray(batch.lastStart))
        expect(batchOf(documents.slice(0, fresh.count)).bytes.length).toBe(fresh.bytes.length)
      }
    }
    read(4)
    prefix.startAgain()
    read(2)
    expect(prefix.isPassed).toBe(false)
    prefix.startAgain()
    read(7)
    prefix.startAgain()
    read(10)
    expect(prefix.isPassed).toBe(true)
    expect(Buffer.concat(given)).toEqual(batchOf(documents).bytes)
  }
})

test('another document before the place where it broke is noticed', () => {
  const prefix = new SamePrefix()
  prefix.pass(batchOf(documents.slice(0, 4)))
  prefix.startAgain()
  expect(prefix.pass(batchOf([{ ...documents[0], text: 'document 9' }, ...documents.slice(1)]))).toBe('other')
})
