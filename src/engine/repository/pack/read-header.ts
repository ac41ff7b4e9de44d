import { HoldfastError } from '../../../lib/errors.ts'
import type { Id } from '../../../lib/id.ts'
import { CRYPTO_OVERHEAD_BYTES } from '../../kernels/cipher.ts'
import type { Repository } from '../repository.ts'
import {
  COMPRESSED_ENTRY_BYTES,
  decodeHeader,
  MIN_PACK_BYTES,
  PACK_FRAME_BYTES,
  type PackEntry,
  packBytes,
  sealedHeaderBytes,
} from './header.ts'

/** Most headers end within this many bytes: one request brings them. */
const FIRST_READ_BYTES = 15 * COMPRESSED_ENTRY_BYTES + PACK_FRAME_BYTES
const LENGTH_BYTES = 4

/**
 * The blobs of a pack as its own header lists them, for a file of `sizeBytes`.
 * @throws HoldfastError HF_PACK_DAMAGED when the header cannot be read or is not that of a file of this size; storage errors
 */
export async function readPackHeader(
  repository: Repository,
  pack: Id,
  sizeBytes: number,
  signal?: AbortSignal,
): Promise<PackEntry[]> {
  const damaged = (what: string, cause?: unknown): HoldfastError =>
    new HoldfastError('HF_PACK_DAMAGED', `the header of pack ${pack} ${what}`, { cause, context: { pack } })
  if (sizeBytes < MIN_PACK_BYTES) throw damaged(`has no room in ${sizeBytes} bytes`)
  const readTail = (length: number): Promise<Uint8Array> =>
    repository.storage.get({ kind: 'data', name: pack }, { offset: sizeBytes - length, length }, { signal })
  let tail = await readTail(Math.min(sizeBytes, FIRST_READ_BYTES))
  const sealedBytes = sealedHeaderBytes(tail.subarray(-LENGTH_BYTES), sizeBytes, pack)
  if (sealedBytes + LENGTH_BYTES > tail.length) tail = await readTail(sealedBytes + LENGTH_BYTES)
  const header = new Uint8Array(sealedBytes - CRYPTO_OVERHEAD_BYTES)
  const end = tail.length - LENGTH_BYTES
  try {
    repository.cipher.open(tail.subarray(end - sealedBytes, end), header)
  } catch (cause) {
    throw damaged('fails its authentication code', cause)
  }
  const entries = decodeHeader(header, pack)
  if (packBytes(entries) !== sizeBytes)
    throw damaged(`is that of a file of ${packBytes(entries)} bytes, not of ${sizeBytes}`)
  return entries
}
