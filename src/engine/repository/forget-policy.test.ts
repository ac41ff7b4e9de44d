import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { makeSnapshot } from '../../../test/support/make-snapshot.ts'
import { NO_DURATION, parseCalendarDuration } from '../../lib/durations.ts'
import { compareTimes, formatTime } from '../../lib/go-time.ts'
import {
  applyPolicy,
  describePolicy,
  emptyPolicy,
  type ForgetPolicy,
  forgetGroupJson,
  isEmptyPolicy,
} from './forget-policy.ts'
import type { StoredSnapshot } from './snapshot.ts'
import { groupSnapshots } from './snapshot-group.ts'

const now = BigInt(Date.UTC(2030, 0, 1)) * 1_000_000n
const policy = (fields: Partial<ForgetPolicy>): ForgetPolicy => ({ ...emptyPolicy, ...fields })
const within = parseCalendarDuration

/** What is kept, as `time: reasons`. */
function kept(snapshots: readonly StoredSnapshot[], fields: Partial<ForgetPolicy>): string[] {
  return applyPolicy(snapshots, policy(fields), now).reasons.map(
    ({ snapshot, matches }) => `${formatTime(snapshot.time)}: ${matches.join(', ')}`,
  )
}

const at = (...times: string[]): StoredSnapshot[] => times.map((time) => makeSnapshot(time))

describe('what is kept', () => {
  const days = at('2024-03-01T10:00:00Z', '2024-03-01T18:00:00Z', '2024-03-02T10:00:00Z', '2024-03-04T10:00:00Z')

  test('the newest n', () => {
    expect(kept(days, { last: 2 })).toEqual([
      '2024-03-04T10:00:00Z: last snapshot',
      '2024-03-02T10:00:00Z: last snapshot',
    ])
  })

  test('the newest of each day that has one; days without one do not count', () => {
    expect(kept(days, { daily: 3 })).toEqual([
      '2024-03-04T10:00:00Z: daily snapshot',
      '2024-03-02T10:00:00Z: daily snapshot',
      '2024-03-01T18:00:00Z: daily snapshot',
    ])
  })

  test('the oldest of all too, while the count lasts', () => {
    expect(kept(days, { daily: 4 }).at(-1)).toBe('2024-03-01T10:00:00Z: oldest daily snapshot')
    expect(kept(days, { yearly: 2 })).toEqual([
      '2024-03-04T10:00:00Z: yearly snapshot',
      '2024-03-01T10:00:00Z: oldest yearly snapshot',
    ])
  })

  test('weeks begin on Monday and belong to the year of their Thursday', () => {
    // 2024-12-30 is in week 1 of 2025; 2021-01-03 in week 53 of 2020.
    const turns = at(
      '2020-12-28T00:00:00Z',
      '2021-01-03T23:00:00Z',
      '2021-01-04T00:00:00Z',
      '2024-12-30T00:00:00Z',
      '2025-01-05T00:00:00Z',
      '2025-01-06T00:00:00Z',
    )
    expect(kept(turns, { weekly: 4 }).map((line) => line.slice(0, 10))).toEqual([
      '2025-01-06',
      '2025-01-05',
      '2021-01-04',
      '2021-01-03',
    ])
  })

  test('days are those of the place where the snapshot was made', () => {
    const travelling = at('2024-03-01T23:30:00-05:00', '2024-03-02T00:30:00-05:00')
    expect(kept(travelling, { daily: 2 }).length).toBe(2)
    // The same instants written in UTC are one day.
    expect(kept(at('2024-03-02T04:30:00Z', '2024-03-02T05:30:00Z'), { daily: 1 }).length).toBe(1)
  })

  test('durations count from the newest snapshot, in calendar units, and the limit itself is outside', () => {
    const months = at('2024-03-31T12:00:00Z', '2024-03-02T12:00:00.1Z', '2024-03-02T12:00:00Z')
    expect(kept(months, { within: within('1m') })).toEqual([
      '2024-03-31T12:00:00Z: within 1m',
      '2024-03-02T12:00:00.1Z: within 1m',
    ])
  })

  test('one per period within a duration', () => {
    expect(kept(days, { withinDaily: within('2d1h') })).toEqual([
      '2024-03-04T10:00:00Z: daily within 2d1h',
      '2024-03-02T10:00:00Z: daily within 2d1h',
    ])
  })

  test('a snapshot from the future does not move the window of durations', () => {
    const future = at('2031-01-01T00:00:00Z', '2024-03-02T00:00:00Z', '2024-01-01T00:00:00Z')
    expect(kept(future, { within: within('1d') }).map((line) => line.slice(0, 10))).toEqual([
      '2031-01-01',
      '2024-03-02',
    ])
    // With nothing but the future, everything is kept.
    expect(kept(at('2031-01-01T00:00:00Z', '2032-01-01T00:00:00Z'), { within: within('1d') }).length).toBe(2)
  })

  test('six years of weekly fulls come down to 4 weeks, 12 months and 5 years (S2-01)', () => {
    const sundays = Array.from({ length: 6 * 52 }, (_, week) =>
      makeSnapshot(`${new Date(Date.UTC(2020, 0, 5, 2) + week * 7 * 86_400_000).toISOString().slice(0, 19)}Z`),
    )
    const { reasons } = applyPolicy(sundays, policy({ weekly: 4, monthly: 12, yearly: 5 }), now)
    const kept = (rule: string): string[] =>
      reasons
        .filter(({ matches }) => matches.includes(rule))
        .map(({ snapshot }) => formatTime(snapshot.time).slice(0, 10))
    expect(kept('weekly snapshot')).toEqual(['2025-12-21', '2025-12-14', '2025-12-07', '2025-11-30'])
    // Of each month and year the last.
    expect(kept('monthly snapshot')).toEqual([
      '2025-12-21',
      '2025-11-30',
      '2025-10-26',
      '2025-09-28',
      '2025-08-31',
      '2025-07-27',
      '2025-06-29',
      '2025-05-25',
      '2025-04-27',
      '2025-03-30',
      '2025-02-23',
      '2025-01-26',
    ])
    expect(kept('yearly snapshot')).toEqual(['2025-12-21', '2024-12-29', '2023-12-31', '2022-12-25', '2021-12-26'])
    expect(reasons.length).toBe(4 + 12 + 5 - 3)
  })

  test('tags, all of one list, or none at all', () => {
    const tagged = [
      makeSnapshot('2024-01-03T00:00:00Z', { tags: ['a', 'b'] }),
      makeSnapshot('2024-01-02T00:00:00Z', { tags: ['a'] }),
      makeSnapshot('2024-01-01T00:00:00Z'),
    ]
    expect(kept(tagged, { tags: [['a', 'b'], ['b']] })).toEqual(['2024-01-03T00:00:00Z: has tags [a, b], has tags [b]'])
    expect(kept(tagged, { tags: [['']] })).toEqual(['2024-01-01T00:00:00Z: has tags []'])
  })

  test('rules add up, and counters show what is left', () => {
    const decision = applyPolicy(days, policy({ last: 1, daily: 'unlimited', monthly: 3 }), now)
    expect(decision.reasons[0]!.matches).toEqual(['last snapshot', 'daily snapshot', 'monthly snapshot'])
    expect(decision.reasons[0]!.counters).toEqual({
      last: 0,
      hourly: 0,
      daily: 'unlimited',
      weekly: 0,
      monthly: 2,
      yearly: 0,
    })
  })

  test('nothing of nothing', () => {
    expect(applyPolicy([], policy({ last: 1 }), now)).toEqual({ keep: [], remove: [], reasons: [] })
  })
})

describe('properties', () => {
  const time = fc
    .date({ min: new Date(Date.UTC(2019, 0, 1)), max: new Date(Date.UTC(2026, 0, 1)), noInvalidDate: true })
    .map((date) => date.toISOString())
  const histories = fc
    .array(fc.tuple(time, fc.subarray(['a', 'b'])), { maxLength: 40 })
    .map((list) => list.map(([t, tags], i) => makeSnapshot(t, { tags, uid: i })))
  const count = fc.oneof(fc.integer({ min: 0, max: 6 }), fc.constant('unlimited' as const))
  const span = fc.constantFrom(NO_DURATION, within('12h'), within('9d'), within('2m'), within('1y3m'))
  const policies: fc.Arbitrary<ForgetPolicy> = fc.record({
    last: count,
    hourly: count,
    daily: count,
    weekly: count,
    monthly: count,
    yearly: count,
    within: span,
    withinHourly: span,
    withinDaily: span,
    withinWeekly: span,
    withinMonthly: span,
    withinYearly: span,
    tags: fc.constantFrom([], [['a']], [['a', 'b'], ['']]),
  })

  test('each snapshot is either kept, for a reason, or removed', () => {
    void fc.assert(
      fc.property(histories, policies, (history, p) => {
        const { keep, remove, reasons } = applyPolicy(history, p, now)
        expect(new Set([...keep, ...remove])).toEqual(new Set(history))
        expect(keep.length + remove.length).toBe(history.length)
        expect(reasons.map((reason) => reason.snapshot)).toEqual(keep)
        for (const list of [keep, remove])
          for (let i = 1; i < list.length; i++)
            expect(compareTimes(list[i - 1]!.time, list[i]!.time)).toBeGreaterThanOrEqual(0)
      }),
    )
  })

  test('what is kept is kept again when the policy is applied to it', () => {
    void fc.assert(
      fc.property(histories, policies, (history, p) => {
        const { keep } = applyPolicy(history, p, now)
        expect(applyPolicy(keep, p, now).remove).toEqual([])
      }),
    )
  })

  test('a policy that is not empty keeps the newest snapshot, unless it asks for tags alone', () => {
    void fc.assert(
      fc.property(histories, policies, (history, p) => {
        fc.pre(history.length > 0 && !isEmptyPolicy({ ...p, tags: [] }))
        expect(applyPolicy(history, p, now).remove).not.toContain(
          applyPolicy(history, policy({ last: 1 }), now).keep[0],
        )
      }),
    )
  })

  test('a rule more never keeps less', () => {
    void fc.assert(
      fc.property(
        histories,
        policies,
        fc.constantFrom(...(Object.keys(emptyPolicy) as (keyof ForgetPolicy)[])),
        (history, p, rule) => {
          const fewer = applyPolicy(history, { ...p, [rule]: emptyPolicy[rule] }, now).keep
          expect(applyPolicy(history, p, now).keep).toEqual(expect.arrayContaining([...fewer]))
        },
      ),
    )
  })

  test('the order in which snapshots of different times are listed does not matter', () => {
    void fc.assert(
      fc.property(fc.uniqueArray(time, { maxLength: 30 }), policies, (times, p) => {
        const history = at(...times)
        expect(applyPolicy(history.toReversed(), p, now)).toEqual(applyPolicy(history, p, now))
      }),
    )
  })
})

describe('in words', () => {
  test.each([
    [{}, 'remove'],
    [{ last: 2, daily: 'unlimited' }, 'keep 2 latest, all daily snapshots'],
    [
      { weekly: 1, withinYearly: within('2y'), tags: [['a', 'b'], ['c']], within: within('1m') },
      'keep 1 weekly snapshots, yearly snapshots within 2y and all snapshots with tags [[a, b] [c]] and all snapshots within 1m of the newest',
    ],
  ] as const)('%j', (fields, text) => {
    expect(describePolicy(policy(fields))).toBe(text)
    expect(isEmptyPolicy(policy(fields))).toBe(text === 'remove')
  })
})

test('the report of a group has restic\u2019s fields, and null for empty lists', () => {
  const [group] = groupSnapshots(at('2024-01-01T00:00:00Z'), { host: true, paths: true, tags: false })
  const decision = applyPolicy(group!.snapshots, policy({ last: 1 }), now)
  const report = forgetGroupJson(group!, decision)
  expect(Object.keys(report)).toEqual(['tags', 'host', 'paths', 'keep', 'remove', 'reasons'])
  expect(report).toMatchObject({ tags: null, host: 'web1', paths: ['/data'], remove: null })
  expect(report.reasons).toMatchObject([
    { snapshot: { short_id: group!.snapshots[0]!.id.slice(0, 8) }, matches: ['last snapshot'] },
  ])
})
