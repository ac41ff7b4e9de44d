import { scrypt as nodeScrypt, pbkdf2Sync } from 'node:crypto'
import { promisify } from 'node:util'
import { WorkerPool, workerModule } from '../../lib/worker-pool.ts'
import type { ScryptResult, ScryptTask } from './scrypt-thread.ts'

/** What a derivation costs: 128 * N * r bytes of memory, and work by N * r * p. N is a power of two. */
export interface ScryptCost {
  readonly N: number
  readonly r: number
  readonly p: number
}

/** Below this, a thread takes longer to start than the work: N * r of one pass, and the number of passes. */
const LEAST_WORK = 2 ** 17
const LEAST_PASSES = 2
/** Of one pass. A thread has two at a time. */
const MOST_BYTES = 64 * 1024 * 1024
/** restic's keys take 32 MiB for a pass: with more threads it would be hundreds of megabytes for a few hundredths of a second. */
const MOST_THREADS = 2

const derive = promisify<Uint8Array, Uint8Array, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(
  nodeScrypt,
)

/** scrypt (RFC 7914) by OpenSSL on one thread beside this one: all passes one after the other. */
export async function opensslScrypt(
  password: Uint8Array,
  salt: Uint8Array,
  { N, r, p }: ScryptCost,
  bytes: number,
): Promise<Uint8Array> {
  return await derive(password, salt, bytes, { N, r, p, maxmem: 256 * N * r + 256 * r * p + 2 ** 20 })
}

/**
 * scrypt (RFC 7914), `bytes` of it. Its passes do not depend on each other, so they are spread over threads, and over the lanes of a
 * processor: opening a repository waits for nothing else as long.
 */
export async function scrypt(
  password: Uint8Array,
  salt: Uint8Array,
  cost: ScryptCost,
  bytes: number,
): Promise<Uint8Array> {
  const { N, r, p } = cost
  const isWorthIt = p >= LEAST_PASSES && N * r >= LEAST_WORK && 128 * N * r <= MOST_BYTES
  const mixed = isWorthIt ? await mixOnThreads(pbkdf2Sync(password, salt, 1, 128 * r * p, 'sha256'), cost) : undefined
  if (mixed === undefined) return await opensslScrypt(password, salt, cost, bytes)
  return pbkdf2Sync(password, mixed, 1, bytes, 'sha256')
}

/** undefined when it cannot be done this way here. */
async function mixOnThreads(blocks: Uint8Array, { N, r, p }: ScryptCost): Promise<Uint8Array | undefined> {
  const threads = Math.min(MOST_THREADS, Math.ceil(p / 2))
  const pool = new WorkerPool<ScryptTask, ScryptResult>(workerModule(import.meta.url, './scrypt-thread'), {
    threads,
    data: {},
  })
  const each = Math.ceil(p / threads)
  const places = Array.from({ length: threads }, (_, i) => ({ from: i * each, to: Math.min(p, (i + 1) * each) }))
  try {
    const parts = await Promise.all(
      places
        .filter(({ from, to }) => from < to)
        .map(({ from, to }) =>
          pool.run({ blocks: new Uint8Array(blocks.subarray(128 * r * from, 128 * r * to)), n: N, r }),
        ),
    )
    return parts.includes(undefined) ? undefined : Buffer.concat(parts as Uint8Array[])
  } catch {
    // No memory or no thread to be had: slower is better than not at all.
    return undefined
  } finally {
    await pool.close()
  }
}
