import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { equalBytes, toHex, utf8 } from '../../../lib/bytes.ts'
import { randomBytes } from '../../../lib/random.ts'
import { type Cipher, createCipher, type MasterKey } from '../../kernels/cipher.ts'
import { sha256, sha256Hex } from '../../kernels/sha256.ts'
import { compressBound, createZstd, type Zstd } from '../../kernels/zstd.ts'
import { errorFrom } from '../../storage/testing.ts'
import { newMasterKey } from '../keys.ts'
import { entriesOf } from './blob-rows.ts'
import { decodeHeader, MAX_PACK_ENTRIES, packBytes, sealedHeaderBytes } from './header.ts'
import { type FinishedPack, PackWriter, type PackWriterOptions } from './pack-writer.ts'

const cipher = createCipher(newMasterKey())
const zstd = createZstd({ level: 3 })
const defaults: PackWriterOptions = { type: 'data', cipher, targetBytes: 4 << 20, extraVerify: 'compare' }
const writer = (options: Partial<PackWriterOptions> = {}): PackWriter => new PackWriter({ ...defaults, ...options })

function add(pack: PackWriter, content: Uint8Array): number {
  return pack.add(sha256(content), 0, content)
}

/** All blobs of a pack, read with nothing but the key and the header at its end. */
function read({ id, bytes, rows }: FinishedPack, key: Cipher = cipher): Uint8Array[] {
  expect(sha256Hex(bytes)).toBe(id)
  const headerBytes = sealedHeaderBytes(bytes.slice(-4), bytes.length, id)
  const header = new Uint8Array(headerBytes - 32)
  key.open(bytes.subarray(bytes.length - 4 - headerBytes, bytes.length - 4), header)
  const entries = decodeHeader(header, id)
  expect(entries).toEqual(entriesOf(rows))
  expect(packBytes(entries)).toBe(bytes.length)
  return entries.map(({ offset, length, uncompressedLength, id: blob }) => {
    let plain = new Uint8Array(length - 32)
    key.open(bytes.subarray(offset, offset + length), plain)
    if (uncompressedLength > 0) {
      const frame = plain
      plain = new Uint8Array(uncompressedLength)
      expect(zstd.decompress(frame, plain)).toBe(uncompressedLength)
    }
    expect(sha256Hex(plain)).toBe(blob)
    return plain
  })
}

describe('a pack', () => {
  test('has the bytes an independent implementation gives it', () => {
    const counting = (length: number, from: number): Uint8Array => new Uint8Array(length).map((_, i) => from + i)
    const key: MasterKey = { encrypt: counting(32, 0), macK: counting(16, 32), macR: counting(16, 48) }
    const sealing = createCipher(key)
    let sealed = 0
    // The writer's own nonces are random; the blob of the known pack has 01 sixteen times, its header 02.
    const known: Cipher = {
      seal: (_, plain, output) => sealing.seal(new Uint8Array(16).fill(++sealed), plain, output),
      open: (bytes, output) => sealing.open(bytes, output),
      authenticates: (bytes) => sealing.authenticates(bytes),
      close: () => sealing.close(),
    }
    const pack = writer({ type: 'tree', cipher: known })
    expect(add(pack, utf8('{"nodes":[]}\n'))).toBe(45 + 37)
    const finished = pack.finish()
    expect(finished.id).toBe('65a0df607d9067e24d38e08e2665e13dd27c632dee08d5cf9a07d227227f2f6e')
    expect(toHex(finished.bytes)).toBe(
      `${'01'.repeat(16)}0ec0664673446199c8fb104021b0ecdce2e3dec01895c9ccb8f0771e97${'02'.repeat(16)}663b0470468efb466e4d869c42bd61701e1f20cda21c87eaec3aa9b986810f9343fe9f5612e47b4c8432658f317b27feaf76dddbbd45000000`,
    )
  })

  test('gives back every blob, and says what each takes', () => {
    void fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 5000 }), { minLength: 1, maxLength: 30 }),
        fc.boolean(),
        fc.constantFrom('compare' as const, 'hash' as const, 'off' as const),
        (blobs, compress, extraVerify) => {
          const pack = writer({ zstd: compress ? zstd : undefined, extraVerify })
          expect(pack.isEmpty).toBe(true)
          const taken = blobs.reduce((sum, blob) => sum + add(pack, blob), 0)
          const finished = pack.finish()
          expect(finished.bytes.length).toBe(taken + 36)
          expect(read(finished).map(toHex)).toEqual(blobs.map(toHex))
          // Nothing empty is ever compressed: its plaintext length could not be told from "not compressed".
          for (const { length, uncompressedLength } of entriesOf(finished.rows))
            expect(uncompressedLength > 0).toBe(compress && length > 32)
          expect([pack.isEmpty, pack.usedBytes]).toEqual([true, 0])
        },
      ),
      { numRuns: 40 },
    )
  })

  test('is full at its size or at as many blobs as a header holds, and takes a blob of any size', () => {
    const pack = writer({ targetBytes: 16 << 20 })
    while (!pack.isFull) add(pack, randomBytes(100_000))
    expect(pack.usedBytes).toBeGreaterThanOrEqual(16 << 20)
    expect(pack.usedBytes).toBeLessThan((16 << 20) + 100_100)
    const huge = randomBytes(30 << 20)
    add(pack, huge)
    const blobs = read(pack.finish())
    expect(equalBytes(blobs.at(-1)!, huge)).toBe(true)
    add(pack, utf8('next'))
    expect(read(pack.finish())).toHaveLength(1)
    const sealed = new Uint8Array(32)
    for (let i = 1; i < MAX_PACK_ENTRIES; i++) pack.addSealed(sealed, 0, sealed, 1)
    expect(pack.isFull).toBe(false)
    pack.addSealed(sealed, 0, sealed, 1)
    expect(pack.isFull).toBe(true)
    const { id, bytes } = pack.finish()
    expect(sealedHeaderBytes(bytes.slice(-4), bytes.length, id)).toBe(MAX_PACK_ENTRIES * 41 + 32)
  })

  test('has the same name however its hash was computed', () => {
    const [together, alone] = [writer(), writer()]
    for (let i = 0; i < 20; i++) {
      const content = randomBytes(10_000)
      add(together, content)
      add(alone, content)
      for (const job of together.hashJobs()) if ('stream' in job) job.stream.update(job.bytes)
    }
    for (const pack of [together, alone]) expect(read(pack.finish())).toHaveLength(20)
  })

  test('can be continued by another writer, which need not open it', () => {
    const first = writer({ zstd })
    const contents = [utf8('one '.repeat(100)), utf8('two'), new Uint8Array(0)]
    for (const content of contents) add(first, content)
    const { bytes, rows } = first.takePartial()
    // What the first one does from here on is nobody's business.
    add(first, utf8('more '.repeat(200)))
    const second = writer()
    for (const { id, offset, length, uncompressedLength } of entriesOf(rows))
      second.addSealed(Buffer.from(id, 'hex'), 0, bytes.slice(offset, offset + length), uncompressedLength)
    expect(read(second.finish()).map(toHex)).toEqual(contents.map(toHex))
    expect(first.takePartial().rows.length).toBeGreaterThan(0)
    expect(first.isEmpty).toBe(true)
  })

  test('takes what is compressed already as it is', () => {
    const content = utf8('some text '.repeat(50))
    const frame = new Uint8Array(compressBound(content.length))
    const pack = writer()
    const length = zstd.compress(content, frame)
    expect(pack.addCompressed(sha256(content), 0, frame.subarray(0, length), content.length)).toBe(length + 32 + 41)
    expect(read(pack.finish()).map(toHex)).toEqual([toHex(content)])
  })
})

describe('the verification of what was sealed', () => {
  /** A part of the machine that gets one bit wrong when `at` comes by. */
  const wrong = (output: Uint8Array, length: number, at: number): number => {
    if (at < length) output[at]! ^= 0x10
    return length
  }
  const faultyCipher = (at: number): Cipher => ({
    seal: (nonce, plain, output) => wrong(output, cipher.seal(nonce, plain, output), at),
    open: (sealed, output) => cipher.open(sealed, output),
    authenticates: (sealed) => cipher.authenticates(sealed),
    close: () => undefined,
  })
  const faultyZstd: Zstd = {
    // Another content in a frame that is whole.
    compress: (input, output) =>
      zstd.compress(
        input.map((byte, i) => (i === 5 ? byte ^ 1 : byte)),
        output,
      ),
    decompress: (input, output) => zstd.decompress(input, output),
    close: () => undefined,
  }
  const content = utf8('precious '.repeat(20))

  test.each([0, 15, 16, 100, 190, 200])('catches a wrong bit at byte %d of a sealed blob', async (at) => {
    for (const extraVerify of ['compare', 'hash'] as const) {
      const pack = writer({ cipher: faultyCipher(at), extraVerify })
      expect((await errorFrom(() => add(pack, content))).code).toMatch(/^HF_(INTERNAL|CRYPTO_AUTH)$/)
      expect([pack.isEmpty, pack.usedBytes]).toEqual([true, 0])
      const compressed = await errorFrom(() => pack.addCompressed(sha256(content), 0, content, 500))
      expect(compressed.code).toMatch(/^HF_(INTERNAL|CRYPTO_AUTH)$/)
      expect([pack.isEmpty, pack.usedBytes]).toEqual([true, 0])
    }
  })

  test('catches a compressor that changes the content', async () => {
    for (const extraVerify of ['compare', 'hash'] as const) {
      const error = await errorFrom(() => add(writer({ zstd: faultyZstd, extraVerify }), content))
      expect(error.code).toBe('HF_INTERNAL')
      expect(error.message).toMatch(`data blob ${sha256Hex(content)} does not read back`)
    }
    expect(() => add(writer({ zstd: faultyZstd, extraVerify: 'off' }), content)).not.toThrow()
  })

  test('by hash catches a content that is not what its id says', async () => {
    const id = sha256(utf8('something else'))
    const error = await errorFrom(() => writer({ extraVerify: 'hash' }).add(id, 0, content))
    expect(error.code).toBe('HF_INTERNAL')
  })

  test('catches a header that was sealed wrongly, even when blobs are not verified', async () => {
    let faulty = false
    const broken: Cipher = {
      seal: (nonce, plain, output) => wrong(output, cipher.seal(nonce, plain, output), faulty ? 40 : Number.MAX_VALUE),
      open: (sealed, output) => cipher.open(sealed, output),
      authenticates: (sealed) => cipher.authenticates(sealed),
      close: () => undefined,
    }
    const pack = writer({ cipher: broken, extraVerify: 'off' })
    add(pack, content)
    faulty = true
    expect((await errorFrom(() => pack.finish())).code).toMatch(/^HF_(INTERNAL|CRYPTO_AUTH)$/)
  })
})
