import { BSON } from 'mongodb'
import { describe, expect, test } from 'vitest'
import { type DocumentRun, documentRuns } from './stream.ts'

const documents = [{ n: 1 }, {}, { text: 'x'.repeat(100) }, { list: [1, 2, 3] }].map((one) => BSON.serialize(one))
const whole = Buffer.concat(documents)

async function* pieces(bytes: Buffer, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}

const runsOf = async (bytes: Buffer, length: number): Promise<readonly DocumentRun[]> =>
  await Array.fromAsync(documentRuns(pieces(bytes, length), 'a.bson'))

describe('a stream of documents', () => {
  test.for([1, 2, 3, 4, 5, 7, 64, 1000])(
    'is cut into whole ones whatever it comes in: pieces of %i bytes',
    async (length) => {
      const runs = await runsOf(whole, length)
      expect(Buffer.concat(runs.map(({ bytes }) => bytes))).toEqual(whole)
      expect(runs.reduce((sum, { count }) => sum + count, 0)).toBe(documents.length)
      for (const { bytes, count } of runs) {
        let found = 0
        for (let at = 0; at < bytes.length; at += bytes.readInt32LE(at)) found++
        expect(found).toBe(count)
      }
    },
  )

  test.for([1, 5, 1000])('says at which byte it is damaged: pieces of %i bytes', async (length) => {
    const [first] = documents
    const bad = (change: (bytes: Buffer) => void): Buffer => {
      const copy = Buffer.from(whole)
      change(copy)
      return copy
    }
    await expect(
      runsOf(
        bad((copy) => copy.writeInt32LE(4, first!.length)),
        length,
      ),
    ).rejects.toThrow(`a.bson is damaged: no document begins at byte ${first!.length}`)
    await expect(
      runsOf(
        bad((copy) => copy.writeInt32LE(1 << 30, 0)),
        length,
      ),
    ).rejects.toThrow('at byte 0')
    await expect(
      runsOf(
        bad((copy) => copy.fill(1, first!.length - 1, first!.length)),
        length,
      ),
    ).rejects.toThrow('a document does not end where it says at byte 0')
    await expect(runsOf(whole.subarray(0, -1), length)).rejects.toThrow('a document is cut off')
    await expect(runsOf(whole.subarray(0, first!.length + 2), length)).rejects.toThrow(
      `a document is cut off at byte ${first!.length}`,
    )
  })
})
