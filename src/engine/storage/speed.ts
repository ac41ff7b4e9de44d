import { hash } from 'node:crypto'
import { monotonicMilliseconds } from '../../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { forEachParallel } from '../../lib/parallel.ts'
import { randomBytes } from '../../lib/random.ts'
import type { CallOptions, FileRef, Storage } from './storage.ts'

export interface SpeedOptions extends CallOptions {
  readonly totalBytes: number
  /** Of each file; packs are 16 MiB. */
  readonly fileBytes: number
}

export interface StorageSpeed {
  readonly files: number
  readonly bytes: number
  readonly uploadMs: number
  readonly downloadMs: number
  /** Of a call that moves nothing: the middle one of several. */
  readonly latencyMs: number
  readonly connections: number
}

const LATENCY_CALLS = 9

/**
 * Writes random files to an empty, created storage, reads them back, and removes them whatever happens.
 * @throws HoldfastError HF_STORAGE_CONTRACT when other bytes come back
 */
export async function measureSpeed(storage: Storage, options: SpeedOptions): Promise<StorageSpeed> {
  const { totalBytes, fileBytes, signal } = options
  const { connections } = storage.properties
  const count = Math.max(1, Math.round(totalBytes / fileBytes))
  const written: (FileRef & { readonly name: string })[] = []
  try {
    const uploadMs = await timed(() =>
      forEachParallel(Array(count).keys(), connections, async () => {
        const content = randomBytes(fileBytes)
        const file = { kind: 'data', name: hash('sha256', content) } as const
        written.push(file)
        await storage.put(file, content, { signal })
      }),
    )
    const latencies: number[] = []
    for (let call = 0; call < LATENCY_CALLS; call++)
      latencies.push(await timed(() => storage.stat(written[0]!, { signal })))
    const downloadMs = await timed(() =>
      forEachParallel(written, connections, async (file) => {
        if (hash('sha256', await storage.get(file, undefined, { signal })) === file.name) return
        throw new HoldfastError('HF_STORAGE_CONTRACT', `${storage.location} gave other bytes than were written`)
      }),
    )
    latencies.sort((a, b) => a - b)
    const latencyMs = latencies[LATENCY_CALLS >> 1]!
    return { files: count, bytes: count * fileBytes, uploadMs, downloadMs, latencyMs, connections }
  } finally {
    // Also when it was cancelled.
    await forEachParallel(written, connections, (file) => removeIfThere(storage, file))
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = monotonicMilliseconds()
  await work()
  return monotonicMilliseconds() - start
}

async function removeIfThere(storage: Storage, file: FileRef): Promise<void> {
  try {
    await storage.delete(file)
  } catch (error) {
    if (!isHoldfastError(error, 'HF_STORAGE_NOT_FOUND')) throw error
  }
}
