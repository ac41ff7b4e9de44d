import { expect, test } from 'vitest'
import { memoryRepository } from '../../../../test/support/test-repository.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { randomBytes } from '../../../lib/random.ts'
import { BlobWriter } from '../../repository/write/blob-writer.ts'
import type { SavedBlobs } from './messages.ts'
import { SaverPool } from './saver-pool.ts'

const BATCH_BYTES = 256 * 1024

test('a pool that is halted hands over all that it answers, and nothing that comes later', async () => {
  const repository = await memoryRepository()
  const writer = new BlobWriter(repository)
  const options = { threads: 2, preserveAccessTimes: false, dryRun: false }
  const pool = new SaverPool(repository, writer, options, () => undefined)
  const saveOne = (): Promise<SavedBlobs> => {
    const bytes = new Uint8Array(new SharedArrayBuffer(BATCH_BYTES))
    bytes.set(randomBytes(BATCH_BYTES))
    return pool.saveCut(bytes, Uint32Array.of(BATCH_BYTES))
  }
  try {
    const batches = Array.from({ length: 40 }, saveOne)
    const settled = Promise.allSettled(batches)
    const reason = new HoldfastError('HF_INTERRUPTED', 'enough')
    pool.halt(reason)
    await pool.finish()
    await writer.flush()
    const outcomes = await settled
    const saved = outcomes.filter((outcome) => outcome.status === 'fulfilled')
    const dropped = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(saved.length).toBeGreaterThan(0)
    expect(dropped.length).toBeGreaterThan(30)
    for (const outcome of dropped) expect(outcome.reason).toBe(reason)
    for (const { value } of saved)
      expect(repository.index.has('data', Buffer.from(value.ids).toString('hex'))).toBe(true)
    expect(repository.index.count).toBe(saved.length)
    await expect(saveOne()).rejects.toBe(reason)
    await expect(pool.room()).rejects.toBe(reason)
  } finally {
    await pool.close()
  }
})
