import type { Clock } from '../../lib/clock.ts'
import type { StoreFinding } from './features.ts'

/** Locks tell their age by the clocks of those who hold them, and stores refuse requests of another time. */
const MAX_SKEW_MS = 5 * 60_000

/** Whether the clock of this machine agrees with that of a server, which answered just now. */
export function clockFinding(serverDate: Date | undefined, clock: Clock): StoreFinding {
  const skewMs = Number(clock.now() / 1_000_000n) - (serverDate?.getTime() ?? Number.NaN)
  if (Number.isNaN(skewMs)) return { what: 'clock', state: 'unknown', text: 'the store does not tell the time' }
  if (Math.abs(skewMs) <= MAX_SKEW_MS)
    return { what: 'clock', state: 'good', text: 'the clock of this machine agrees with that of the store' }
  const minutes = Math.round(Math.abs(skewMs) / 60_000)
  return {
    what: 'clock',
    state: 'bad',
    text: `the clock of this machine is ${minutes} minutes ${skewMs > 0 ? 'fast' : 'slow'}`,
    remedy: 'Set the clock, and have it kept by NTP.',
  }
}
