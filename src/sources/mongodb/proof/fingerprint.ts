import { sha256 } from '../../../engine/kernels/sha256.ts'
import { asBuffer } from '../../../lib/bytes.ts'
import { documentsOf } from '../bson/batch.ts'
import { DumpDigest } from '../dump-digest.ts'
import type { DumpedData } from '../manifest.ts'

/** What documents come to. */
export interface Fingerprint {
  readonly documents: number
  readonly bytes: number
  /** In their order, or of all of them in any order. */
  readonly digest: string
}

type Batches = AsyncIterable<{ readonly bytes: Buffer; readonly count: number }>

/** As the manifest has it of documents in their order, in the parts in which they were read. */
export async function orderedFingerprint(batches: Batches, data: Pick<DumpedData, 'parts'>): Promise<Fingerprint> {
  const hash = new DumpDigest(data)
  let documents = 0
  let length = 0
  for await (const { bytes, count } of batches) {
    hash.update(bytes)
    documents += count
    length += bytes.length
  }
  return { documents, bytes: length, digest: hash.digest() }
}

const MODULUS = 1n << 256n

/** The same for documents in any order: the sum of their SHA-256, modulo 2^256. */
export async function unorderedFingerprint(batches: Batches): Promise<Fingerprint> {
  let sum = 0n
  let documents = 0
  let length = 0
  for await (const { bytes } of batches)
    for (const document of documentsOf(bytes)) {
      const digest = asBuffer(sha256(document))
      for (let at = 0; at < 4; at++) sum += digest.readBigUInt64BE(8 * at) << BigInt(192 - 64 * at)
      sum %= MODULUS
      documents++
      length += document.length
    }
  return { documents, bytes: length, digest: sum.toString(16).padStart(64, '0') }
}
