import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { Binary, BSON, Double, Int32, ObjectId } from 'mongodb'
import { createRandom, logNormal, type Random } from '../tree/random.ts'
import { words } from '../tree/words.ts'

/** A collection of the benchmark. */
export interface BenchCollection {
  readonly name: string
  /** Of all bytes. */
  readonly share: number
  document(random: Random, n: number): object
}

const FIRST_SECOND = 1_767_225_600

/** Orders of 0.5 to 4 KB with lists and texts; measurements of devices of about 0.6 KB. Both compress to about a third. */
export const collections: readonly BenchCollection[] = [
  { name: 'orders', share: 0.7, document: order },
  { name: 'readings', share: 0.3, document: reading },
]

function order(random: Random, n: number): object {
  const lines = Math.round(logNormal(random, 6, 0.6, 1, 18))
  return {
    _id: growingId(random, n),
    number: new Int32(1_000_000 + n),
    customer: {
      id: hex(random, 12),
      name: `${word(random)} ${word(random)}`,
      mail: `${word(random)}@${word(random)}.example`,
    },
    status: ['new', 'paid', 'packed', 'sent', 'returned'][random.below(5)],
    placed: new Date((FIRST_SECOND + 3 * n) * 1000),
    address: {
      street: `${word(random)} street ${random.below(200)}`,
      city: word(random),
      code: String(10_000 + random.below(89_999)),
    },
    lines: Array.from({ length: lines }, () => ({
      article: hex(random, 8),
      title: text(random, 4),
      count: new Int32(1 + random.below(4)),
      price: new Double(random.below(50_000) / 100),
    })),
    note: text(random, random.below(60)),
    token: new Binary(Buffer.from(hex(random, 32), 'hex'), 0),
  }
}

function reading(random: Random, n: number): object {
  return {
    _id: growingId(random, n),
    device: `${word(random)}-${random.below(500)}`,
    at: new Date((FIRST_SECOND + n) * 1000),
    values: Object.fromEntries(
      ['temperature', 'humidity', 'pressure', 'voltage'].map((name) => [
        name,
        new Double(random.below(100_000) / 1000),
      ]),
    ),
    trace: hex(random, 128),
    message: text(random, 20),
  }
}

function growingId(random: Random, n: number): ObjectId {
  const bytes = Buffer.alloc(12)
  bytes.writeUInt32BE(FIRST_SECOND + n, 0)
  bytes.writeUInt32BE(random.next(), 4)
  bytes.writeUInt32BE(n, 8)
  return new ObjectId(bytes)
}

const hex = (random: Random, digits: number): string => {
  let found = ''
  while (found.length < digits) found += random.next().toString(16).padStart(8, '0')
  return found.slice(0, digits)
}

let texts: readonly string[] | undefined

function word(random: Random): string {
  const { bytes, starts, frequent, count } = words()
  texts ??= Array.from({ length: count }, (_, i) => Buffer.from(bytes.subarray(starts[i], starts[i + 1])).toString())
  return texts[frequent[random.below(frequent.length)]!]!
}

const text = (random: Random, length: number): string => Array.from({ length }, () => word(random)).join(' ')

const PIECE_BYTES = 1024 * 1024

/** Writes documents one behind the other, as a `.bson` file of mongodump has them: the same ones every time. @returns how many */
export async function writeDocuments(path: string, { document }: BenchCollection, bytes: number): Promise<number> {
  const random = createRandom(0x6d6f6e67)
  const file = createWriteStream(path)
  let written = 0
  let count = 0
  let piece: Uint8Array[] = []
  let length = 0
  const flush = async (): Promise<void> => {
    if (!file.write(Buffer.concat(piece))) await once(file, 'drain')
    piece = []
    length = 0
  }
  while (written < bytes) {
    const one = BSON.serialize(document(random, count++))
    piece.push(one)
    length += one.length
    written += one.length
    if (length >= PIECE_BYTES) await flush()
  }
  await flush()
  file.end()
  await once(file, 'close')
  return count
}
