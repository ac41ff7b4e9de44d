import { describe, expect, test } from 'vitest'
import { isInWindow } from './window.ts'

const day = 86_400
const now = Date.UTC(2026, 10, 21) / 1000
const since = now - 7 * day
const modified = (daysAgo: number) => ({ seconds: now - daysAgo * day, nanoseconds: 0 })

describe('the window of logs (S1-05)', () => {
  test.each([
    ['app.log', 0, true],
    ['app.log.6.gz', 6.9, true],
    ['app.log.7.gz', 7.1, false],
    ['app.log', 20, false],
    // Copied without its times: it is taken for what it says it is, which is too much and never too little.
    ['app.log-20261001', 0, true],
    // Unpacked or synchronised with an old time.
    ['app.log-20261120', 400, true],
    ['app-2026-11-15.log.gz', 400, true],
    ['app-2026-11-11.log.gz', 400, false],
    ['app.2026_11_20', 400, true],
    // No dates: a longer number, a month that is none, mixed marks.
    ['request-9920261120', 400, false],
    ['app-2026-13-20.log', 400, false],
    ['app-2026-1120.log', 400, false],
  ])('%s, written %d days ago: %s', (name, daysAgo, isIn) => {
    expect(isInWindow(name, modified(daysAgo), since)).toBe(isIn)
  })

  test('has no end without a window', () => {
    expect(isInWindow('app.log', modified(10_000), undefined)).toBe(true)
  })

  test('takes what a file system without times shows, unless the name is old', () => {
    const epoch = { seconds: 0, nanoseconds: 0 }
    expect(isInWindow('app.log', epoch, since)).toBe(true)
    expect(isInWindow('app.log-20261001', epoch, since)).toBe(false)
  })
})
