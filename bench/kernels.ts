/** `npm run bench:kernels`: bytes per second of each kernel in each of its implementations, on one thread. */
import { createHash, randomFillSync } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { type Cipher, createCipher, type MasterKey } from '../src/engine/kernels/cipher.ts'
import { createPortableCipher } from '../src/engine/kernels/cipher-portable.ts'
import { createRabinScanner, MAX_CHUNK_BYTES } from '../src/engine/kernels/rabin.ts'
import { rabinTables, scanRabinPlain } from '../src/engine/kernels/rabin-plain.ts'
import { hashTogether, type Sha256Choice, sha256, sha256Calibration, useSha256 } from '../src/engine/kernels/sha256.ts'
import { nativeSha256 } from '../src/engine/kernels/sha256-native.ts'
import { compressBound, createZstd, type Zstd } from '../src/engine/kernels/zstd.ts'
import { createPortableZstd } from '../src/engine/kernels/zstd-portable.ts'
import { monotonicMilliseconds } from '../src/lib/clock.ts'
import { nativeLibrary } from '../src/lib/native.ts'
import { describeMachine } from './compare/machine.ts'

const KIB = 1024
const MIB = 1024 * KIB
const SAMPLES = 12
const SAMPLE_MS = 20

/** Prints the best of several samples: noise only ever adds. */
function measure(name: string, bytes: number, run: () => void): void {
  for (const start = monotonicMilliseconds(); monotonicMilliseconds() - start < SAMPLE_MS; ) run()
  let bestMs = Number.POSITIVE_INFINITY
  for (let sample = 0; sample < SAMPLES; sample++) {
    let runs = 0
    const start = monotonicMilliseconds()
    let elapsedMs = 0
    for (; elapsedMs < SAMPLE_MS; elapsedMs = monotonicMilliseconds() - start) {
      run()
      runs++
    }
    bestMs = Math.min(bestMs, elapsedMs / runs)
  }
  const rate = (bytes / bestMs / 1000).toFixed(0).padStart(7)
  const time = (bestMs < 1 ? `${(bestMs * 1000).toFixed(2)} µs` : `${bestMs.toFixed(2)} ms`).padStart(10)
  console.log(`${name.padEnd(58)}${rate} MB/s ${time}`)
}

/** Machine code: real bytes that every machine with Node has. */
function machineCode(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  const file = openSync(process.execPath, 'r')
  readSync(file, bytes, 0, length, 30 * MIB)
  closeSync(file)
  return bytes
}

const library = nativeLibrary()
const native = library && nativeSha256(library)
const noise = randomFillSync(new Uint8Array(4 * MIB))
const code = machineCode(4 * MIB)

function benchRabin(): void {
  const polynomial = 0x3da3358b4dc173n
  const scanner = createRabinScanner(polynomial, 64 * MIB)
  for (let at = 0; at < scanner.memory.length; at += noise.length) scanner.memory.set(noise, at)
  const tables = rabinTables(polynomial)
  measure('rabin, cutting 64 MiB', scanner.memory.length, () => {
    let start = 0
    for (let cut = 0; cut >= 0; start = cut < 0 ? start : cut)
      cut = scanner.findCut(start, start, scanner.memory.length)
  })
  scanner.memory.fill(0xff)
  const scanned = MAX_CHUNK_BYTES / 2
  measure(
    'rabin, searching without a hit',
    MAX_CHUNK_BYTES - scanned,
    () => void scanner.findCut(0, scanned, MAX_CHUNK_BYTES),
  )
  const plain = new Uint8Array(MIB).fill(0xff)
  measure(
    'rabin, searching without a hit, plain code',
    plain.length,
    () => void scanRabinPlain(tables, plain, 0, plain.length),
  )
}

function benchSha256(): void {
  for (const length of [64, KIB, 4 * KIB, MIB]) {
    const message = noise.subarray(0, length)
    measure(`sha256 alone, ${size(length)}`, length, () => void sha256(message))
    measure(
      `sha256 by a new node:crypto hash, ${size(length)}`,
      length,
      () => void createHash('sha256').update(message).digest(),
    )
  }
  const calibrated = sha256Calibration()
  console.log(`calibration chose ${JSON.stringify(calibrated)}`)
  const choices: Sha256Choice[] = [
    { kernel: 'wasm', lanes: 4, minimumLanes: 2, rate: 0 },
    { kernel: 'alone', lanes: 1, minimumLanes: 1, rate: 0 },
  ]
  if (native?.lanes)
    for (const lanes of [8, 4, 2]) choices.unshift({ kernel: 'native', lanes, minimumLanes: lanes / 2, rate: 0 })
  for (const length of [KIB, 4 * KIB, 64 * KIB]) {
    const jobs = Array.from({ length: 64 }, (_, i) => ({
      bytes: noise.subarray(i * length, (i + 1) * length),
      digest: new Uint8Array(32),
    }))
    for (const choice of choices) {
      useSha256(choice)
      measure(`sha256 of 64 x ${size(length)}, ${choice.kernel} ${choice.lanes}`, 64 * length, () => hashTogether(jobs))
    }
  }
  useSha256(calibrated)
}

function benchCipher(name: string, create: (key: MasterKey) => Cipher): void {
  const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(1)
  const cipher = create({ encrypt: bytes(32), macK: bytes(16), macR: bytes(16) })
  const nonce = bytes(16)
  for (const length of [64, 4 * KIB, MIB]) {
    const plain = noise.slice(0, length)
    const sealed = new Uint8Array(length + 32)
    measure(`seal, ${name}, ${size(length)}`, length, () => void cipher.seal(nonce, plain, sealed))
    measure(`open, ${name}, ${size(length)}`, length, () => void cipher.open(sealed, plain))
    measure(`authenticate, ${name}, ${size(length)}`, length, () => void cipher.authenticates(sealed))
  }
}

function benchZstd(name: string, create: (settings: { level: number }) => Zstd): void {
  for (const level of [1, 2, 3]) {
    const zstd = create({ level })
    for (const length of [4 * KIB, MIB]) {
      const plain = code.slice(0, length)
      const output = new Uint8Array(compressBound(length))
      const frame = output.slice(0, zstd.compress(plain, output))
      const ratio = (length / frame.length).toFixed(2)
      measure(
        `compress, ${name}, level ${level}, ${size(length)} (ratio ${ratio})`,
        length,
        () => void zstd.compress(plain, output),
      )
      measure(`decompress, ${name}, level ${level}, ${size(length)}`, length, () => void zstd.decompress(frame, plain))
    }
    const random = noise.subarray(0, MIB)
    const room = new Uint8Array(compressBound(MIB))
    measure(`compress, ${name}, level ${level}, 1 MiB of noise`, MIB, () => void zstd.compress(random, room))
  }
}

const size = (bytes: number): string =>
  bytes < KIB ? `${bytes} B` : bytes < MIB ? `${bytes / KIB} KiB` : `${bytes / MIB} MiB`

const machine = describeMachine(tmpdir())
console.log(
  `${machine.processor} (${machine.instructions.join(' ')}), Node ${machine.node}, native library ${library ? 'on' : 'off'}`,
)
benchRabin()
benchSha256()
if (library) benchCipher('native', createCipher)
benchCipher('portable', createPortableCipher)
if (library) benchZstd('native', createZstd)
benchZstd('portable', createPortableZstd)
