import { afterEach, describe, expect, test, vi } from 'vitest'
import { namedFile } from '../contract-support.ts'
import { openMemoryStorage } from '../memory/memory-storage.ts'
import { steppedClock } from '../testing.ts'
import { type RateSchedule, rateAt } from './rate-schedule.ts'
import { withBandwidthSchedule } from './with-bandwidth-limit.ts'

const at = (time: string): bigint => BigInt(Date.parse(`2026-03-04T${time}`)) * 1_000_000n
const hours = (from: number, to: number) => ({ fromMinute: from * 60, toMinute: to * 60 })

const schedule: RateSchedule = [
  { bytesPerSecond: 1000, during: hours(8, 18) },
  { bytesPerSecond: 9000, during: hours(22, 6) },
  { bytesPerSecond: 5000, during: hours(0, 24) },
]

describe('a rate by the time of day', () => {
  afterEach(() => vi.unstubAllEnvs())

  test.each([
    ['07:59:59', 5000],
    ['08:00:00', 1000],
    ['17:59:59', 1000],
    ['18:00:00', 5000],
    ['22:00:00', 9000],
    ['03:00:00', 9000],
    ['06:00:00', 5000],
  ])('at %s', (time, bytesPerSecond) => {
    expect(rateAt(schedule, at(time)).bytesPerSecond).toBe(bytesPerSecond)
    expect(rateAt(schedule.slice(0, 1), at(time)).bytesPerSecond).toBe(bytesPerSecond === 1000 ? 1000 : undefined)
  })

  test('is that of the time zone of the machine', () => {
    vi.stubEnv('TZ', 'Asia/Tokyo')
    expect(rateAt(schedule, BigInt(Date.parse('2026-03-04T00:30:00Z')) * 1_000_000n).bytesPerSecond).toBe(1000)
  })

  test('a file that waits goes on when the limit ends', async () => {
    const clock = steppedClock(at('17:59:30'))
    const limited = withBandwidthSchedule(openMemoryStorage(), { up: schedule.slice(0, 1) }, clock)
    const content = new Uint8Array(10_000_000)
    await limited.put(namedFile('data', content), content)
    // Ten thousand seconds at that rate; half a minute until it ends.
    expect(clock.now()).toBe(at('18:00:00'))
    await limited.get(namedFile('data', content))
    expect(clock.now()).toBe(at('18:00:00'))
  })

  test('a limit that begins holds for what comes then', async () => {
    const clock = steppedClock(at('07:59:59'))
    const limited = withBandwidthSchedule(openMemoryStorage(), { up: schedule.slice(0, 1), down: [] }, clock)
    const first = new Uint8Array(10_000_000)
    await limited.put(namedFile('data', first), first)
    expect(clock.sleeps).toEqual([])
    await clock.sleep(60_000)
    const second = new Uint8Array(61_000)
    await limited.put(namedFile('data', second), second)
    expect(Number(clock.now() - at('08:00:59')) / 1e9).toBeCloseTo(60, 0)
  })
})
