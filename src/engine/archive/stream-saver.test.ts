import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { noise } from '../../../test/support/storage-victims.ts'
import type { CutRule } from './cut-stream.ts'
import { type BlobSaver, StreamSaver } from './stream-saver.ts'

const MIB = 1024 * 1024
const POLYNOMIAL = 0x25b468838dcb75n

const cutsOnly: Omit<BlobSaver, 'saveCut'> = {
  threads: 2,
  savePatched: () => Promise.reject(new Error('nothing is patched here')),
}

/** Noise is cut like anything; zeros never are, so that blobs become as large as they may be. */
async function* input(mebibytes: number): AsyncGenerator<Uint8Array> {
  const random = noise(1, MIB)
  for (let i = 0; i < mebibytes; i++) yield Math.floor(i / 20) % 2 === 0 ? random : new Uint8Array(MIB)
}

test.each<CutRule>([
  { kind: 'content' },
  { kind: 'content', averageBytes: 64 * 1024 },
  { kind: 'blocks', blockBytes: 64 * 1024 },
])('streams cut by %o take few buffers, however long they are, and wait for the threads', async (rule) => {
  const memories = new Set<ArrayBufferLike>()
  let underWay = 0
  let most = 0
  const saver = new StreamSaver(
    {
      ...cutsOnly,
      saveCut: async (bytes, ends) => {
        memories.add(bytes.buffer)
        most = Math.max(most, ++underWay)
        expect(ends.at(-1)).toBe(bytes.length)
        await setImmediate()
        underWay--
        return {
          ids: new Uint8Array(32 * ends.length),
          newBlobs: ends.length,
          newBytes: bytes.length,
          storedBytes: ends.length,
          stored: new Uint32Array(ends.length).fill(1),
        }
      },
    },
    POLYNOMIAL,
  )
  const streams = [saver.save(input(160), rule), saver.save(input(80), rule)]
  const saved = await Promise.all(streams.map(async (stream) => (await stream).saved))
  expect(saved.map(({ size }) => size)).toEqual([160 * MIB, 80 * MIB])
  expect(saved[0]!.added.newBytes).toBe(160 * MIB)
  expect(most).toBeLessThanOrEqual(6)
  expect(memories.size).toBeLessThanOrEqual(8)
})

test.each([0, 5])('a blob of the largest size fits behind small ones, %i MiB before the end', async (behind) => {
  // Bytes that are all the same are never cut, unless they are zeros.
  const parts = [noise(7, 3 * MIB), new Uint8Array(8 * MIB - 1000).fill(1), noise(8, behind * MIB)]
  const bytes = Buffer.concat(parts)
  const sent: Buffer[] = []
  const saver = new StreamSaver(
    {
      ...cutsOnly,
      saveCut: async (batch, ends) => {
        sent.push(Buffer.from(batch))
        const count = ends.length
        return {
          ids: new Uint8Array(32 * count),
          newBlobs: count,
          newBytes: batch.length,
          storedBytes: count,
          stored: new Uint32Array(count).fill(1),
        }
      },
    },
    POLYNOMIAL,
  )
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000)
  }
  const { saved } = await saver.save(pieces(), { kind: 'content' })
  expect((await saved).size).toBe(bytes.length)
  expect(Buffer.concat(sent).equals(bytes)).toBe(true)
})

test('a stream is not read on once something could not be saved', async () => {
  let read = 0
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (; read < 1000; read++) yield new Uint8Array(MIB)
  }
  const saver = new StreamSaver(
    {
      ...cutsOnly,
      saveCut: async () => {
        await setImmediate()
        throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
      },
    },
    POLYNOMIAL,
  )
  await expect(saver.save(endless(), { kind: 'blocks', blockBytes: MIB })).rejects.toThrow('no space left on device')
  expect(read).toBeLessThan(100)
})

test('what is left of many streams travels together, and each is told what it came to', async () => {
  let messages = 0
  const saver = new StreamSaver(
    {
      ...cutsOnly,
      saveCut: async (bytes, ends) => {
        messages++
        const copy = Buffer.from(bytes)
        await setImmediate()
        const stored = Uint32Array.from(ends, (_, i) => (copy[ends[i - 1] ?? 0]! % 2 === 0 ? 0 : 10))
        return {
          ids: Buffer.concat(Array.from(ends, (_, i) => Buffer.alloc(32, copy[ends[i - 1] ?? 0]))),
          newBlobs: 0,
          newBytes: 0,
          storedBytes: 0,
          stored,
        }
      },
    },
    POLYNOMIAL,
  )
  async function* file(number: number): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(100 + number, number)
  }
  const streams = []
  for (let i = 1; i <= 200; i++) streams.push((await saver.save(file(i), { kind: 'blocks', blockBytes: 64 })).saved)
  const saved = await Promise.all(streams)
  expect(messages).toBeLessThan(50)
  for (const [i, { ids, size, added }] of saved.entries()) {
    const number = i + 1
    const blobs = Math.ceil(size / 64)
    expect(size).toBe(100 + number)
    expect(Buffer.from(ids).equals(Buffer.alloc(32 * blobs, number))).toBe(true)
    expect(added).toEqual(
      number % 2 === 0
        ? { newBlobs: 0, newBytes: 0, storedBytes: 0 }
        : { newBlobs: blobs, newBytes: size, storedBytes: 10 * blobs },
    )
  }
})
