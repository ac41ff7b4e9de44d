import { throwIfInterrupted } from '../interruption.ts'
import type { Handle, SftpClient } from './sftp-client.ts'

/** What every server takes and gives in one request. */
const PIECE_BYTES = 32 << 10
/** So many requests of one file are on their way, so that a distant server is never waited for. */
const IN_FLIGHT = 64

/**
 * Fills `target` from `offset` of a file on. Returns how many bytes there were: fewer when the file ends earlier.
 */
export async function readInto(
  client: SftpClient,
  handle: Handle,
  offset: number,
  target: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<number> {
  let endOfFile = Number.POSITIVE_INFINITY
  await inPieces(target.length, async (start, end) => {
    for (let at = start; at < end && at < endOfFile; ) {
      throwIfInterrupted(signal)
      const data = await client.read(handle, offset + at, end - at)
      if (data === undefined || data.length === 0) {
        endOfFile = Math.min(endOfFile, at)
        return
      }
      target.set(data, at)
      at += data.length
    }
  })
  return Math.min(endOfFile, target.length)
}

/** Writes all of `content` from the beginning of a file on. */
export async function writeAll(
  client: SftpClient,
  handle: Handle,
  content: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  await inPieces(content.length, (start, end) => {
    throwIfInterrupted(signal)
    return client.write(handle, start, content.subarray(start, end))
  })
}

/** Calls `work` for each piece; the first failure stops further ones, and is thrown when those under way have ended. */
async function inPieces(length: number, work: (start: number, end: number) => Promise<void>): Promise<void> {
  let next = 0
  let hasFailed = false
  const lane = async (): Promise<void> => {
    while (next < length && !hasFailed) {
      const start = next
      const end = Math.min(length, start + PIECE_BYTES)
      next = end
      try {
        await work(start, end)
      } catch (error) {
        hasFailed = true
        throw error
      }
    }
  }
  const lanes = Math.min(IN_FLIGHT, Math.ceil(length / PIECE_BYTES))
  const ended = await Promise.allSettled(Array.from({ length: lanes }, lane))
  for (const result of ended) if (result.status === 'rejected') throw result.reason
}
