import { hostname } from 'node:os'
import * as fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { FakeClock } from '../../../test/support/fake-clock.ts'
import { MemoryLocks } from '../../../test/support/memory-locks.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { utcTimestamp } from '../../lib/go-time.ts'
import type { RepositoryLock } from './held-lock.ts'
import { acquireLock, type LockOptions } from './lock.ts'
import { currentHolder, decodeLock, encodeLock, isProcessRunning, type LockInfo } from './lock-file.ts'
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

const other = (clock: FakeClock, fields: Partial<LockInfo> = {}): Uint8Array =>
  encodeLock({
    time: utcTimestamp(clock.now()),
    exclusive: false,
    hostname: 'elsewhere',
    username: 'restic',
    pid: 4711,
    uid: 0,
    gid: 0,
    ...fields,
  })

describe('lock file', () => {
  test('has restic\u2019s fields in restic\u2019s order', () => {
    const lock: LockInfo = {
      time: { seconds: 1_700_000_000, nanoseconds: 5, offsetSeconds: 3600 },
      exclusive: true,
      hostname: 'web1',
      username: 'backup',
      pid: 12,
      uid: 1000,
      gid: 0,
    }
    const json = encodeLock(lock)
    expect(Buffer.from(json).toString()).toBe(
      '{"time":"2023-11-14T23:13:20.000000005+01:00","exclusive":true,"hostname":"web1","username":"backup","pid":12,"uid":1000}',
    )
    expect(decodeLock(json, 'ab'.repeat(32))).toEqual(lock)
  })

  test.each(['', '[]', '{"pid":"1"}', '{"exclusive":1}', '{"time":"soon"}'])('%j is damage', (json) => {
    expect(() => decodeLock(Buffer.from(json), 'ab'.repeat(32))).toThrow(
      expect.objectContaining({ code: 'HF_DATA_DAMAGED' }),
    )
  })

  test('a process is asked without disturbing it, and never a group of processes', () => {
    expect(isProcessRunning(process.pid)).toBe(true)
    expect(isProcessRunning(1)).toBe(true)
    expect(isProcessRunning(0x3fffffff)).toBe(false)
    expect(isProcessRunning(0)).toBe(false)
  })
})

describe('taking a lock', () => {
  test('writes a file that says who, and removes it on release', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const lock = await take(files, clock, { exclusive: true })
    expect(files.locks).toMatchObject([{ ...currentHolder(), exclusive: true, pid: process.pid, hostname: host }])
    expect([...files.files.keys()]).toEqual([lock.id])
    await lock.release()
    await lock.release()
    expect(files.files.size).toBe(0)
    expect(lock.signal.aborted).toBe(false)
  })

  test('shared locks live side by side', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    await take(files, clock)
    await take(files, clock)
    expect(files.files.size).toBe(2)
  })

  test.each([
    [true, true],
    [true, false],
    [false, true],
  ])('held exclusive %s, wanted exclusive %s: refused, and nothing is left behind', async (first, second) => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    await take(files, clock, { exclusive: first })
    const refusal = take(files, clock, { exclusive: second })
    await expect(refusal).rejects.toMatchObject({
      code: 'HF_REPO_LOCKED',
      context: { pid: process.pid, exclusive: first },
    })
    expect(files.files.size).toBe(1)
  })

  test('of two that come at the same moment not both succeed', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const results = [true, false].map((exclusive) => acquireLock(files, { exclusive, clock }))
    const settled = Promise.allSettled(results)
    await clock.advance(200)
    const got = (await settled).flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    held.push(...got)
    expect(got.length).toBeLessThan(2)
    expect([...files.files.keys()]).toEqual(got.map((lock) => lock.id))
  })

  test('one that comes between our first look and our file is seen by the second look', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    files.before = (call) => {
      if (call === 'save') files.files.set('cd'.repeat(32), other(clock, { exclusive: true }))
    }
    await expect(take(files, clock)).rejects.toMatchObject({ code: 'HF_REPO_LOCKED' })
    expect([...files.files.keys()]).toEqual(['cd'.repeat(32)])
  })

  describe('early', () => {
    const early = async (files: LockFiles, clock: FakeClock, options: Partial<LockOptions> = {}) => {
      const events: string[] = []
      const freeze = () => {
        events.push('freeze')
        return () => events.push('thaw')
      }
      const lock = await acquireLock(files, { exclusive: false, early: true, clock, freeze, ...options })
      held.push(lock)
      return { lock, events }
    }

    test('is there at once, and may write when it is certain', async () => {
      const files = new MemoryLocks()
      const clock = new FakeClock()
      const { lock, events } = await early(files, clock)
      expect(events).toEqual(['freeze'])
      await clock.advance(199)
      expect(events).toEqual(['freeze'])
      await clock.advance(1)
      await lock.certain
      expect(events).toEqual(['freeze', 'thaw'])
      expect(lock.signal.aborted).toBe(false)
    })

    test('is lost, and never writes, when somebody else was as fast', async () => {
      const files = new MemoryLocks()
      const clock = new FakeClock()
      files.before = (call) => {
        if (call === 'save') files.files.set('cd'.repeat(32), other(clock, { exclusive: true }))
      }
      const { lock, events } = await early(files, clock)
      await clock.advance(200)
      await expect(lock.certain).rejects.toMatchObject({ code: 'HF_REPO_LOCKED' })
      expect(lock.signal.reason).toMatchObject({ code: 'HF_REPO_LOCKED' })
      await lock.release()
      expect(events).toEqual(['freeze'])
      expect([...files.files.keys()]).toEqual(['cd'.repeat(32)])
    })

    test('given back before it is certain leaves nothing behind', async () => {
      const files = new MemoryLocks()
      const clock = new FakeClock()
      const { lock, events } = await early(files, clock)
      await lock.release()
      expect(files.files.size).toBe(0)
      expect(events).toEqual(['freeze'])
      await clock.advance(1000)
      expect(events).toEqual(['freeze'])
    })

    test('and exclusive is lost to a shared one of the same moment', async () => {
      const files = new MemoryLocks()
      const clock = new FakeClock()
      files.before = (call) => {
        if (call === 'save') files.files.set('cd'.repeat(32), other(clock, { exclusive: false }))
      }
      const { lock } = await early(files, clock, { exclusive: true })
      await clock.advance(200)
      await expect(lock.certain).rejects.toMatchObject({ code: 'HF_REPO_LOCKED' })
    })

    test('is not to be had by who would wait', async () => {
      const files = new MemoryLocks()
      const clock = new FakeClock()
      const taking = early(files, clock, { retryMs: 60_000 })
      await clock.advance(199)
      expect(held).toEqual([])
      await clock.advance(1)
      const { lock, events } = await taking
      await lock.certain
      expect(events).toEqual([])
    })
  })

  test('a lock left behind counts until it is removed, and the message says so', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    files.files.set('cd'.repeat(32), other(clock, { exclusive: true }))
    await clock.advance(31 * MINUTE)
    await expect(take(files, clock)).rejects.toMatchObject({
      code: 'HF_REPO_LOCKED',
      message: expect.stringContaining('process 4711 of restic on elsewhere'),
      hint: expect.stringContaining('left behind'),
    })
    expect(await removeStaleLocks(files, { clock })).toEqual(['cd'.repeat(32)])
    await take(files, clock)
  })

  test('an empty lock file, left by an interrupted upload, does not count', async () => {
    const files = new MemoryLocks()
    files.files.set('cd'.repeat(32), new Uint8Array(0))
    await take(files, new FakeClock(), { exclusive: true })
  })

  test('a lock renewed while we look is found under its new name', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    // It comes too late for our first look, and is renewed during the second, the last one.
    files.before = (call, id) => {
      if (call === 'save') files.files.set('cd'.repeat(32), other(clock, { exclusive: true }))
      if (call !== 'load' || !files.files.delete('cd'.repeat(32))) return
      files.files.set('ef'.repeat(32), other(clock, { exclusive: true }))
      expect(id).toBe('cd'.repeat(32))
    }
    await expect(take(files, clock)).rejects.toMatchObject({
      code: 'HF_REPO_LOCKED',
      context: { lock: 'ef'.repeat(32) },
    })
  })

  test('a lock that cannot be read is tried again for 35 seconds, then nothing is risked', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    files.files.set('cd'.repeat(32), Buffer.from('{'))
    const attempt = acquireLock(files, { exclusive: false, clock })
    const outcome = expect(attempt).rejects.toMatchObject({
      code: 'HF_DATA_DAMAGED',
      hint: expect.stringContaining('--remove-all'),
    })
    await clock.advance(34_000)
    expect(files.files.size).toBe(1)
    await clock.advance(1_000)
    await outcome

    const healed = acquireLock(files, { exclusive: false, clock })
    await clock.advance(4_000)
    files.files.clear()
    await clock.advance(2_000)
    held.push(await healed)
  })

  test('a cancelled attempt removes its file', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const cancel = new AbortController()
    const attempt = acquireLock(files, { exclusive: false, clock, signal: cancel.signal })
    const outcome = expect(attempt).rejects.toMatchObject({ code: 'HF_INTERRUPTED' })
    await clock.advance(100)
    expect(files.files.size).toBe(1)
    cancel.abort()
    await outcome
    expect(files.files.size).toBe(0)
  })

  test('a storage that refuses to show locks ends the attempt at once', async () => {
    const files = new MemoryLocks()
    files.before = (call) => {
      if (call === 'list') throw new HoldfastError('HF_STORAGE_DENIED', 'no')
    }
    await expect(acquireLock(files, { exclusive: false, clock: new FakeClock() })).rejects.toMatchObject({
      code: 'HF_STORAGE_DENIED',
    })
  })

  test('a storage that fails to write ends the attempt', async () => {
    const files = new MemoryLocks()
    files.before = (call) => {
      if (call === 'save') throw ioError()
    }
    await expect(take(files, new FakeClock())).rejects.toMatchObject({ code: 'HF_STORAGE_IO' })
  })
})

describe('waiting for a lock', () => {
  test('asks again after 5, 10, 20 seconds and gets it when it is free', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const first = await take(files, clock, { exclusive: true })
    const waits: string[] = []
    let looks = 0
    const second = acquireLock(files, {
      exclusive: true,
      clock,
      retryMs: 10 * MINUTE,
      onWait: (conflict) => waits.push(conflict.code),
    })
    files.before = (call) => {
      if (call === 'load') looks++
    }
    await clock.advance(34_000)
    expect(looks).toBe(3)
    await first.release()
    await clock.advance(1_300)
    held.push(await second)
    expect(waits).toEqual(['HF_REPO_LOCKED'])
  })

  test('gives up when the time is over, after a last attempt', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    await take(files, clock, { exclusive: true })
    const started = clock.now()
    const waiting = acquireLock(files, { exclusive: false, clock, retryMs: 2 * MINUTE })
    let ended: bigint | undefined
    const outcome = expect(waiting.finally(() => (ended = clock.now()))).rejects.toMatchObject({
      code: 'HF_REPO_LOCKED',
    })
    await clock.advance(3 * MINUTE)
    await outcome
    expect(Number(ended! - started) / 1e6).toBe(2 * MINUTE)
  })

  test('can be cancelled', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    await take(files, clock, { exclusive: true })
    const cancel = new AbortController()
    const waiting = acquireLock(files, { exclusive: false, clock, retryMs: 2 * MINUTE, signal: cancel.signal })
    const outcome = expect(waiting).rejects.toMatchObject({ code: 'HF_INTERRUPTED' })
    await clock.advance(7_000)
    cancel.abort()
    await outcome
  })
})

describe('unlock', () => {
  test('removes old locks and those of dead processes of this machine, nothing else', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    const minutesAgo = (minutes: number): Partial<LockInfo> => ({
      time: utcTimestamp(clock.now() - BigInt(minutes) * 60_000_000_000n),
    })
    const put = (digit: string, json: Uint8Array): void => void files.files.set(digit.repeat(64), json)
    put('0', other(clock, minutesAgo(29)))
    put('1', other(clock, minutesAgo(31)))
    put('2', other(clock, { hostname: 'here', pid: 1 }))
    put('3', other(clock, { hostname: 'here', pid: 2 }))
    put('4', other(clock, { hostname: 'here', pid: 1, ...minutesAgo(31) }))
    put('5', Buffer.from('{'))
    put('6', new Uint8Array(0))
    put('7', other(clock, { hostname: 'here', pid: 2, exclusive: true }))
    const removed = await removeStaleLocks(files, { clock, host: 'here', isRunning: (pid) => pid === 1 })
    expect(removed.map((id) => id[0])).toEqual(['1', '3', '4', '7'])
    expect((await removeAllLocks(files)).map((id) => id[0])).toEqual(['0', '2', '5', '6'])
  })

  test('a lock its holder removed meanwhile is no failure', async () => {
    const files = new MemoryLocks()
    const clock = new FakeClock()
    files.files.set('0'.repeat(64), other(clock))
    files.before = (call) => {
      if (call === 'remove') files.files.clear()
    }
    expect(await removeAllLocks(files)).toEqual([])
  })
})

test('whoever comes whenever, however slow the storage: nobody holds a lock beside an exclusive one', async () => {
  const call = fc.integer({ min: 0, max: 700 })
  const comer = fc.record({
    exclusive: fc.boolean(),
    comesMs: fc.oneof(fc.nat(1500), fc.integer({ min: 299_000, max: 303_000 })),
    holdsMs: fc.constantFrom(0, 300, 400_000),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(comer, { minLength: 2, maxLength: 4 }),
      fc.infiniteStream(call),
      async (comers, delays) => {
        const files = new MemoryLocks()
        const clock = new FakeClock()
        files.before = () => clock.sleep(delays.next().value)
        const holding: { readonly exclusive: boolean }[] = []
        const lives = comers.map(async ({ exclusive, comesMs, holdsMs }) => {
          await clock.sleep(comesMs)
          const lock = await acquireLock(files, { exclusive, clock, retryMs: 20_000 }).catch(() => undefined)
          if (lock === undefined) return
          expect(holding.filter((other) => exclusive || other.exclusive)).toEqual([])
          holding.push(lock)
          await clock.sleep(holdsMs)
          expect(lock.signal.aborted).toBe(false)
          holding.splice(holding.indexOf(lock), 1)
          await lock.release()
        })
        const all = Promise.all(lives)
        await clock.advance(2_000_000)
        await all
        expect(files.files.size).toBe(0)
      },
    ),
    { numRuns: 20 },
  )
})
