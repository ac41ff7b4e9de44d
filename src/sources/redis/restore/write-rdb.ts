import { open } from 'node:fs/promises'
import { Sha256Stream } from '../../../engine/kernels/sha256.ts'
import { throwIfInterrupted } from '../../../engine/storage/interruption.ts'
import { toHex } from '../../../lib/bytes.ts'

export const OWNER_ONLY = 0o600

/** Writes a new file that its owner alone can read, to the disk. `onBytes` is told how many there are so far. */
export async function writeRdb(
  path: string,
  input: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const hash = new Sha256Stream()
  let bytes = 0
  await using file = await open(path, 'wx', OWNER_ONLY)
  for await (const piece of input) {
    throwIfInterrupted(signal)
    for (let at = 0; at < piece.length; ) at += (await file.write(piece, at)).bytesWritten
    hash.update(piece)
    bytes += piece.length
    onBytes(bytes)
  }
  await file.sync()
  return { bytes, sha256: toHex(hash.digest()) }
}
