import { hostname } from 'node:os'
import { afterEach, describe, expect, test } from 'vitest'
import { FakeClock } from '../../../test/support/fake-clock.ts'
import { MemoryLocks } from '../../../test/support/memory-locks.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { toEpochNanoseconds } from '../../lib/go-time.ts'
import type { RepositoryLock } from './held-lock.ts'
import { acquireLock, type LockOptions } from './lock.ts'
import { isStaleLock } from './lock-file.ts'
import type { LockFiles } from './lock-files.ts'
import { removeAllLocks, removeStaleLocks } from './unlock.ts'

const MINUTE = 60_000
const host = hostname()

const ioError = (): HoldfastError => new HoldfastError('HF_STORAGE_IO', 'the line is dead')
const held: RepositoryLock[] = []

afterEach(async () => {
  await Promise.all(held.splice(0).map((lock) => lock.release()))
})

/** Takes a lock on a clock that has to be moved for it. */
async function take(files: LockFiles, clock: FakeClock, options: Partial<LockOptions> = {}): Promise<RepositoryLock> {
  const promise = acquireLock(files, { exclusive: false, clock, ...options })
  void promise.catch(() => undefined)
  await clock.advance(200)
  const lock = await promise
  held.push(lock)
  return lock
}

describe('holding a lock', () => {
  test('renews it every five minutes, and there is a file of ours at every moment', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const lock = await take(files, clock, { exclusive: true })
    let least = 1
    let changes = 0
    files.before = (call) => {
      least = Math.min(least, files.files.size)
      if (call === 'save') changes++
    }
    await clock.advance(61 * MINUTE)
    expect(changes).toBe(12)
    expect(least).toBe(1)
    expect(files.files.size).toBe(1)
    expect([...files.files.keys()]).toEqual([lock.id])
    expect(Number(clock.now() - toEpochNanoseconds(files.locks[0]!.time)) / 1e6).toBeLessThan(5.1 * MINUTE)
    expect(lock.signal.aborted).toBe(false)
    expect(files.locks[0]!.exclusive).toBe(true)
  })

  test('a renewal that fails is tried again in time, with a warning', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const warnings: string[] = []
    const lock = await take(files, clock, { onWarning: ({ message }) => warnings.push(message) })
    files.before = (call) => {
      if (call === 'save') throw ioError()
    }
    await clock.advance(8 * MINUTE)
    expect(warnings.length).toBeGreaterThan(1)
    files.before = () => undefined
    await clock.advance(2 * MINUTE)
    expect(lock.signal.aborted).toBe(false)
    expect(isStaleLock(files.locks[0]!, clock.now() + 25n * 60_000_000_000n, host, () => true)).toBe(false)
  })

  test('a storage that stays away costs the lock before others may take it for stale', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const frozen: string[] = []
    const lock = await take(files, clock, {
      freeze: () => {
        frozen.push('freeze')
        return () => frozen.push(lock.signal.aborted ? 'thaw after loss' : 'thaw')
      },
    })
    files.before = (call) => {
      if (call !== 'list') throw ioError()
    }
    await clock.advance(22 * MINUTE)
    expect(lock.signal.aborted).toBe(false)
    await clock.advance(MINUTE)
    expect(lock.signal.reason).toMatchObject({ code: 'HF_LOCK_LOST', cause: { code: 'HF_STORAGE_IO' } })
    expect(frozen).toEqual(['freeze', 'thaw after loss'])
  })

  test('a storage that hangs costs the lock, and what it does later leaves nothing behind', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const lock = await take(files, clock)
    let release = (): void => undefined
    files.before = (call) =>
      call === 'save'
        ? new Promise((resolve) => {
            release = resolve
          })
        : undefined
    await clock.advance(27 * MINUTE)
    expect(lock.signal.aborted).toBe(false)
    await clock.advance(2 * MINUTE)
    expect(lock.signal.reason).toMatchObject({ code: 'HF_LOCK_LOST' })
    await lock.release()
    release()
    await clock.advance(1)
    expect(files.files.size).toBe(0)
  })

  test('somebody removed it: the work must stop', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const lock = await take(files, clock)
    expect(await removeAllLocks(files)).toEqual([lock.id])
    await clock.advance(6 * MINUTE)
    expect(lock.signal.reason).toMatchObject({ code: 'HF_LOCK_LOST' })
    expect(files.files.size).toBe(0)
  })

  test('an old file that cannot be removed is removed later', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const warnings: string[] = []
    const lock = await take(files, clock, { onWarning: ({ message }) => warnings.push(message) })
    files.before = (call) => {
      if (call === 'remove') throw ioError()
    }
    await clock.advance(6 * MINUTE)
    expect(files.files.size).toBe(2)
    expect(warnings.length).toBe(1)
    files.before = () => undefined
    await lock.release()
    expect(files.files.size).toBe(0)
  })

  test('a release that cannot be done is a warning', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const warnings: string[] = []
    const lock = await take(files, clock, { onWarning: ({ message }) => warnings.push(message) })
    files.before = (call) => (call === 'remove' ? new Promise(() => undefined) : undefined)
    const released = lock.release()
    await clock.advance(MINUTE)
    await released
    expect(warnings).toEqual([expect.stringContaining('within a minute')])
  })
})

describe('standby and clocks that are set', () => {
  test('after a long standby the lock is renewed while nothing may write, if it is still there', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const frozen: string[] = []
    const lock = await take(files, clock, {
      exclusive: true,
      freeze: () => {
        frozen.push('freeze')
        return () => frozen.push('thaw')
      },
    })
    const before = lock.id
    clock.jump(10 * 60 * MINUTE)
    await clock.advance(1_100)
    expect(frozen).toEqual(['freeze'])
    expect(files.files.size).toBe(2)
    await clock.advance(200)
    expect(frozen).toEqual(['freeze', 'thaw'])
    expect(lock.signal.aborted).toBe(false)
    expect(lock.id).not.toBe(before)
    expect([...files.files.keys()]).toEqual([lock.id])
    await clock.advance(20 * MINUTE)
    expect(lock.signal.aborted).toBe(false)
  })

  test('after a standby in which somebody removed the lock the work stops', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const lock = await take(files, clock)
    clock.jump(40 * MINUTE)
    expect(await removeStaleLocks(files, { clock, isRunning: () => true })).toEqual([lock.id])
    await clock.advance(1_100)
    expect(lock.signal.reason).toMatchObject({ code: 'HF_LOCK_LOST' })
    expect(files.files.size).toBe(0)
  })

  test('somebody removes the lock while it is being renewed: the replacement goes too', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const lock = await take(files, clock)
    const old = lock.id
    clock.jump(40 * MINUTE)
    await clock.advance(1_100)
    expect(files.files.size).toBe(2)
    files.files.delete(old)
    await clock.advance(200)
    expect(lock.signal.reason).toMatchObject({ code: 'HF_LOCK_LOST' })
    expect(files.files.size).toBe(0)
  })

  test('a clock that is set back leads to a renewal at once', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const lock = await take(files, clock)
    clock.jump(-60 * MINUTE)
    await clock.advance(2_000)
    expect(toEpochNanoseconds(files.locks[0]!.time)).toBeLessThan(clock.now())
    await clock.advance(20 * MINUTE)
    expect(lock.signal.aborted).toBe(false)
    expect(files.files.size).toBe(1)
  })
})

test('while a lock is held the process survives the signal restic asks with, and not longer', async () => {
  const before = process.listenerCount('SIGHUP')
  const files = new MemoryLocks()
  const clock = new FakeClock()
  const [first, second] = [await take(files, clock), await take(files, clock)]
  expect(process.listenerCount('SIGHUP')).toBe(before + 1)
  await first.release()
  expect(process.listenerCount('SIGHUP')).toBe(before + 1)
  await second.release()
  expect(process.listenerCount('SIGHUP')).toBe(before)
})
