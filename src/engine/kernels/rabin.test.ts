import { createCipheriv } from 'node:crypto'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { toHex } from '../../lib/bytes.ts'
import { remainder } from './polynomial.ts'
import { createRabinScanner, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, type RabinScanner } from './rabin.ts'
import { rabinTables, scanRabinPlain } from './rabin-plain.ts'
import { wasmRabinScan } from './rabin-wasm.ts'
import { sha256Hex } from './sha256.ts'
import { sharedWasmMemory, WASM_PAGE_BYTES } from './wasm.ts'

const MIB = 1024 * 1024
const polynomial = 0x3da3358b4dc173n

/** Lengths of the chunks of `data`, read in pieces of `pieceBytes`. */
function cut(scanner: RabinScanner, data: Uint8Array, pieceBytes: number): number[] {
  const lengths: number[] = []
  let start = 0
  let scannedTo = 0
  for (let end = 0; end < data.length; ) {
    const next = Math.min(end + pieceBytes, data.length)
    scanner.memory.set(data.subarray(end, next), end)
    end = next
    for (let p = scanner.findCut(start, scannedTo, end); p >= 0; p = scanner.findCut(start, scannedTo, end)) {
      lengths.push(p - start)
      start = p
      scannedTo = p
    }
    scannedTo = end
  }
  if (start < data.length) lengths.push(data.length - start)
  return lengths
}

describe("restic's cuts", () => {
  let keystream: Uint8Array
  beforeAll(() => {
    const key = new Uint8Array(32).map((_, i) => i)
    keystream = createCipheriv('aes-256-ctr', key, new Uint8Array(16)).update(new Uint8Array(32 * MIB))
    expect(sha256Hex(keystream)).toBe('e0d2b84696de202cab53b45740e4599e8083c2c756c33d8b92ee928b36bfe854')
  })

  const vectors = [
    {
      polynomial: 0x3da3358b4dc173n,
      lengths: [
        1628493, 707545, 1290311, 4382520, 715088, 2567716, 855193, 5306547, 724959, 2879233, 922449, 986179, 1243178,
        3226849, 1043032, 3631610, 541966, 901564,
      ],
      first: 'ddff9453dfaf974405dd2398a63305fab0c1246c6524c938ff56a3e97e9588a3',
      ids: 'f2108813aebb53cce6c3a9ad51f1c76fbdd3f610f5afe3ec814046791b51f039',
    },
    {
      polynomial: 0x25b468838dcb75n,
      lengths: [
        1012304, 1577986, 2257015, 2126594, 963816, 1751676, 577198, 1866350, 648005, 1588852, 573235, 1672757, 3464803,
        3500773, 1646255, 1268222, 3016876, 1429823, 661595, 1003739, 946558,
      ],
      first: '32de61f5efff12e00ec560b54e6f6bb2eb8ee643abaaeaf979c9cf303de650f8',
      ids: '17d5557e43f5f3d9f8505887936788b61cdc06a08adf53f77264dc6cac5c84c5',
    },
  ]

  test.each(vectors)('of a keystream, by polynomial $polynomial', (vector) => {
    const scanner = createRabinScanner(vector.polynomial, keystream.length)
    for (const pieceBytes of [keystream.length, MIB, 999_999]) {
      expect(cut(scanner, keystream, pieceBytes)).toEqual(vector.lengths)
    }
    let start = 0
    const ids = vector.lengths.map((length) => {
      start += length
      return sha256Hex(keystream.subarray(start - length, start))
    })
    expect(ids[0]).toBe(vector.first)
    expect(sha256Hex(Buffer.from(ids.join(''), 'hex'))).toBe(vector.ids)
  })

  test('of zeros, which may be cut anywhere, come after the least', () => {
    expect(cut(createRabinScanner(polynomial, 2 * MIB), new Uint8Array(2 * MIB), 300_000)).toEqual(
      Array(4).fill(MIN_CHUNK_BYTES),
    )
  })

  test.each([
    ['the same byte', (): number => 0xff],
    ['counting bytes', (i: number): number => i],
  ])('of %s come after the most', (_, byte) => {
    const data = new Uint8Array(20 * MIB)
    for (let i = 0; i < data.length; i++) data[i] = byte(i)
    expect(cut(createRabinScanner(polynomial, data.length), data, 3 * MIB)).toEqual([
      MAX_CHUNK_BYTES,
      MAX_CHUNK_BYTES,
      4 * MIB,
    ])
  })

  test('do not lie beyond what has been read, nor in what was searched', () => {
    const scanner = createRabinScanner(polynomial, 2 * MIB)
    expect(scanner.findCut(100, 100, 100 + MIN_CHUNK_BYTES - 1)).toBe(-1)
    expect(scanner.findCut(100, 100, 100 + MIN_CHUNK_BYTES)).toBe(100 + MIN_CHUNK_BYTES)
    expect(scanner.findCut(100, 100 + MIN_CHUNK_BYTES, 2 * MIB)).toBe(100 + MIN_CHUNK_BYTES + 1)
    expect(scanner.findCut(100, 2 * MIB, 2 * MIB)).toBe(-1)
  })

  test('are searched in memory that threads share and that direct I/O accepts', () => {
    const { memory } = createRabinScanner(polynomial, 123_456)
    expect(memory.length).toBe(123_456)
    expect(memory.buffer).toBeInstanceOf(SharedArrayBuffer)
    expect(memory.byteOffset % 4096).toBe(0)
  })

  test('need a polynomial of degree 53', () => {
    expect(() => createRabinScanner(0x1da3358b4dc173n, 1000)).toThrow(
      expect.objectContaining({ code: 'HF_REPO_CONFIG' }),
    )
  })
})

/** The definition: the 64 bytes before a position as a polynomial, divided. */
function mayCut(data: Uint8Array, position: number, cutBits: number): boolean {
  const window = BigInt(`0x${toHex(data.subarray(position - 64, position))}`)
  return (remainder(window, polynomial) & (2n ** BigInt(cutBits) - 1n)) === 0n
}

describe('the searches', () => {
  const capacity = 256 * 1024
  const tables = rabinTables(polynomial)
  const wasmMemory = sharedWasmMemory(1 + capacity / WASM_PAGE_BYTES)
  const memory = new Uint8Array(wasmMemory.buffer, WASM_PAGE_BYTES)
  const inWasm = wasmRabinScan(tables, wasmMemory, WASM_PAGE_BYTES)
  const cutBits = fc.integer({ min: 14, max: 20 })

  test('by vectors works with this Node', () => {
    expect(inWasm).toBeDefined()
  })

  /** Random bytes hardly ever may be cut; zeros may everywhere once 64 have gone by. */
  const bytesWithZeros = fc
    .array(
      fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 300 }),
        fc.integer({ min: 60, max: 70 }).map((n) => new Uint8Array(n)),
      ),
      {
        minLength: 1,
        maxLength: 20,
      },
    )
    .map((parts) => new Uint8Array(Buffer.concat(parts)))

  test('in plain code finds what the definition says', () => {
    fc.assert(
      fc.property(bytesWithZeros, fc.nat(400), cutBits, (data, from, bits) => {
        let expected = -1
        for (let p = Math.max(64, from); p <= data.length && expected < 0; p++) if (mayCut(data, p, bits)) expected = p
        expect(scanRabinPlain(tables, data, from, data.length, bits)).toBe(expected)
      }),
    )
  })

  test('by vectors finds what plain code finds, wherever the stretches and hits lie', () => {
    const random = createCipheriv('aes-128-ctr', new Uint8Array(16), new Uint8Array(16)).update(
      new Uint8Array(capacity),
    )
    const holes = fc.array(fc.tuple(fc.nat(capacity - 70), fc.integer({ min: 63, max: 70 })), { maxLength: 4 })
    fc.assert(
      fc.property(holes, fc.nat(capacity), fc.nat(capacity), (zeros, a, b) => {
        memory.set(random)
        for (const [at, length] of zeros) memory.fill(0, at, at + length)
        const [from, end] = [Math.min(a, b), Math.max(a, b)]
        expect(inWasm!(from, end)).toBe(scanRabinPlain(tables, memory, from, end))
      }),
      { numRuns: 300 },
    )
  })

  test('by vectors finds what plain code finds for smaller chunks too', () => {
    const random = createCipheriv('aes-128-ctr', new Uint8Array(16), Buffer.alloc(16, 1)).update(
      new Uint8Array(capacity),
    )
    fc.assert(
      fc.property(cutBits, fc.nat(capacity), fc.nat(capacity), (bits, a, b) => {
        const search = wasmRabinScan(tables, wasmMemory, WASM_PAGE_BYTES, bits)!
        memory.set(random)
        const [from, end] = [Math.min(a, b), Math.max(a, b)]
        expect(search(from, end)).toBe(scanRabinPlain(tables, memory, from, end, bits))
      }),
      { numRuns: 100 },
    )
  })
})

describe('chunks of 64 KiB on average', () => {
  const KIB = 1024

  test('keep within half and eight times of it, and are cut where the fingerprint says', () => {
    const random = createCipheriv('aes-128-ctr', new Uint8Array(16), new Uint8Array(16)).update(
      new Uint8Array(16 * MIB),
    )
    const scanner = createRabinScanner(polynomial, random.length, 64 * KIB)
    const lengths = cut(scanner, random, 999_999)
    expect(cut(createRabinScanner(polynomial, random.length, 64 * KIB), random, 70_000)).toEqual(lengths)
    expect(Math.min(...lengths.slice(0, -1))).toBeGreaterThanOrEqual(32 * KIB)
    expect(Math.max(...lengths)).toBeLessThanOrEqual(512 * KIB)
    // Half of the average at least, and from there a cut every 64 KiB.
    expect(random.length / lengths.length).toBeGreaterThan(80 * KIB)
    expect(random.length / lengths.length).toBeLessThan(112 * KIB)
    let at = 0
    for (const length of lengths.slice(0, -1)) {
      at += length
      expect(length === 512 * KIB || mayCut(random, at, 16)).toBe(true)
    }
  })

  test.each([3 * KIB, 8 * KIB, 2 * MIB, 100_000])('are no other than a power of two within limits: %i', (average) => {
    expect(() => createRabinScanner(polynomial, MIB, average)).toThrow(expect.objectContaining({ code: 'HF_INTERNAL' }))
  })
})
