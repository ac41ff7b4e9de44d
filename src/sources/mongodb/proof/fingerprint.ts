import { Sha256Stream, sha256 } from '../../../engine/kernels/sha256.ts'
import { asBuffer, toHex } from '../../../lib/bytes.ts'
import { documentsOf } from '../bson/batch.ts'

/** What documents come to. */
export interface Fingerprint {
  readonly documents: number
  readonly bytes: number
  /** In their order, or of all of them in any order. */
  readonly digest: string
}

type Batches = AsyncIterable<{ readonly bytes: Buffer; readonly count: number }>

/** As the manifest has it: SHA-256 over documents in their order. */
export async function orderedFingerprint(batches: Batches): Promise<Fingerprint> {
  const hash = new Sha256Stream()
  let documents = 0
  let length = 0
  for await (const { bytes, count } of batches) {
    hash.update(bytes)
    documents += count
    length += bytes.length
  }
  return { documents, bytes: length, digest: toHex(hash.digest()) }
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
