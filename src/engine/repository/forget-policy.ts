import {
  type CalendarDuration,
  formatCalendarDuration,
  isNoDuration,
  NO_DURATION,
  timeBefore,
} from '../../lib/durations.ts'
import { compareTimes, daysOfDate, type Timestamp, utcTimestamp, wallFields, zeroTime } from '../../lib/go-time.ts'
import { type StoredSnapshot, storedSnapshotJson } from './snapshot.ts'
import { hasTags, type TagList } from './snapshot-filter.ts'
import { type SnapshotGroup, sortNewestFirst } from './snapshot-group.ts'

export type KeepCount = number | 'unlimited'

/** What `forget` keeps of a group: a snapshot stays when any of these says so (restic's --keep options). */
export interface ForgetPolicy {
  readonly last: KeepCount
  readonly hourly: KeepCount
  readonly daily: KeepCount
  readonly weekly: KeepCount
  readonly monthly: KeepCount
  readonly yearly: KeepCount
  /** All that are younger than this, seen from the newest. */
  readonly within: CalendarDuration
  readonly withinHourly: CalendarDuration
  readonly withinDaily: CalendarDuration
  readonly withinWeekly: CalendarDuration
  readonly withinMonthly: CalendarDuration
  readonly withinYearly: CalendarDuration
  /** All that have every tag of one of these lists. */
  readonly tags: readonly TagList[]
}

/** Keeps nothing. */
export const emptyPolicy: ForgetPolicy = {
  last: 0,
  hourly: 0,
  daily: 0,
  weekly: 0,
  monthly: 0,
  yearly: 0,
  within: NO_DURATION,
  withinHourly: NO_DURATION,
  withinDaily: NO_DURATION,
  withinWeekly: NO_DURATION,
  withinMonthly: NO_DURATION,
  withinYearly: NO_DURATION,
  tags: [],
}

type PeriodName = 'last' | 'hourly' | 'daily' | 'weekly' | 'monthly' | 'yearly'
type WithinName = 'withinHourly' | 'withinDaily' | 'withinWeekly' | 'withinMonthly' | 'withinYearly'

/** Number of the period a snapshot falls into, by the clock on the wall where it was made; `position` is its place in the list. */
type PeriodOf = (time: Timestamp, position: number) => number

const hourOf: PeriodOf = (time) => dayOf(time, 0) * 100 + wallFields(time).hour

const dayOf: PeriodOf = (time) => {
  const { year, month, day } = wallFields(time)
  return (year * 100 + month) * 100 + day
}

/** Year and number of the ISO 8601 week: weeks begin on Monday, and belong to the year of their Thursday. */
const weekOf: PeriodOf = (time) => {
  const { year, month, day } = wallFields(time)
  const dayNumber = daysOfDate(year, month, day)
  const weekday = (((dayNumber + 3) % 7) + 7) % 7 // 1970-01-01 was a Thursday; Monday is 0
  const thursday = dayNumber - weekday + 3
  const weekYear =
    thursday < daysOfDate(year, 1, 1) ? year - 1 : thursday >= daysOfDate(year + 1, 1, 1) ? year + 1 : year
  return weekYear * 100 + Math.floor((thursday - daysOfDate(weekYear, 1, 1)) / 7) + 1
}

const monthOf: PeriodOf = (time) => {
  const { year, month } = wallFields(time)
  return year * 100 + month
}

const yearOf: PeriodOf = (time) => wallFields(time).year

const periods: readonly { readonly name: PeriodName; readonly period: PeriodOf; readonly word: string }[] = [
  { name: 'last', period: (_, position) => position, word: 'last' },
  { name: 'hourly', period: hourOf, word: 'hourly' },
  { name: 'daily', period: dayOf, word: 'daily' },
  { name: 'weekly', period: weekOf, word: 'weekly' },
  { name: 'monthly', period: monthOf, word: 'monthly' },
  { name: 'yearly', period: yearOf, word: 'yearly' },
]

const withins: readonly { readonly name: WithinName; readonly period: PeriodOf; readonly word: string }[] = [
  { name: 'withinHourly', period: hourOf, word: 'hourly' },
  { name: 'withinDaily', period: dayOf, word: 'daily' },
  { name: 'withinWeekly', period: weekOf, word: 'weekly' },
  { name: 'withinMonthly', period: monthOf, word: 'monthly' },
  { name: 'withinYearly', period: yearOf, word: 'yearly' },
]

/** Whether a policy keeps nothing by itself. Applied, it would remove everything: callers refuse it. */
export const isEmptyPolicy = (policy: ForgetPolicy): boolean =>
  policy.tags.length === 0 &&
  periods.every(({ name }) => policy[name] === 0) &&
  isNoDuration(policy.within) &&
  withins.every(({ name }) => isNoDuration(policy[name]))

/** A policy in words, as restic prints it before applying it. */
export function describePolicy(policy: ForgetPolicy): string {
  const counts = periods.flatMap(({ name }) => {
    const count = policy[name]
    const what = name === 'last' ? 'latest' : name
    return count === 0 ? [] : [`${count === 'unlimited' ? 'all' : count} ${what}`]
  })
  const spans = withins.flatMap(({ name, word }) =>
    isNoDuration(policy[name]) ? [] : [`${word} snapshots within ${formatCalendarDuration(policy[name])}`],
  )
  const counted = counts.length === 0 ? [] : [`${counts.join(', ')} snapshots`]
  const parts = [...counted, ...spans].join(', ')
  const rules = [
    parts,
    policy.tags.length === 0 ? '' : `all snapshots with tags [${policy.tags.map(showTags).join(' ')}]`,
    isNoDuration(policy.within) ? '' : `all snapshots within ${formatCalendarDuration(policy.within)} of the newest`,
  ].filter((rule) => rule !== '')
  return rules.length === 0 ? 'remove' : `keep ${rules.join(' and ')}`
}

const showTags = (tags: TagList): string => `[${tags.join(', ')}]`

/** How much of each count is left after a snapshot was judged. */
export type KeepCounters = Readonly<Record<PeriodName, KeepCount>>

export interface KeepReason {
  readonly snapshot: StoredSnapshot
  /** `daily snapshot`, `within 7d`, `has tags [a, b]` ... */
  readonly matches: readonly string[]
  readonly counters: KeepCounters
}

/** What a policy does to one list of snapshots. All lists are newest first. */
export interface ForgetDecision {
  readonly keep: readonly StoredSnapshot[]
  readonly remove: readonly StoredSnapshot[]
  /** One for each kept snapshot, in the same order. */
  readonly reasons: readonly KeepReason[]
}

/**
 * Applies a policy to the snapshots of one group. Pure: `now` (nanoseconds since the epoch) only keeps a snapshot with a time in the future
 * from being the newest that durations count from.
 *
 * Of each period the newest snapshot is kept, as long as the count lasts; while a count lasts, the oldest snapshot of all stays too, so that
 * a young history is not shortened. Rules of restic's `forget` (internal/data/snapshot_policy.go).
 */
export function applyPolicy(snapshots: readonly StoredSnapshot[], policy: ForgetPolicy, now: bigint): ForgetDecision {
  const list = sortNewestFirst(snapshots)
  const newest = newestBefore(list, utcTimestamp(now))
  const left = Object.fromEntries(periods.map(({ name }) => [name, policy[name]])) as Record<PeriodName, KeepCount>
  const lastPeriod = new Map<PeriodName | WithinName, number>()
  const keep: StoredSnapshot[] = []
  const remove: StoredSnapshot[] = []
  const reasons: KeepReason[] = []

  list.forEach((snapshot, position) => {
    const oldest = position === list.length - 1
    const matches: string[] = []
    /** The words of the reason when this snapshot is the first of its period, or the oldest. */
    const firstOf = (name: PeriodName | WithinName, period: PeriodOf): '' | 'oldest ' | undefined => {
      const current = period(snapshot.time, position)
      const again = lastPeriod.get(name) === current
      if (again && !oldest) return undefined
      lastPeriod.set(name, current)
      return again ? 'oldest ' : ''
    }
    const isWithin = (span: CalendarDuration): boolean =>
      !isNoDuration(span) && compareTimes(snapshot.time, timeBefore(newest, span)) > 0

    for (const tags of policy.tags) if (hasTags(snapshot, tags)) matches.push(`has tags ${showTags(tags)}`)
    if (isWithin(policy.within)) matches.push(`within ${formatCalendarDuration(policy.within)}`)
    for (const { name, period, word } of periods) {
      const count = left[name]
      if (count === 0) continue
      const which = firstOf(name, period)
      if (which === undefined) continue
      if (count !== 'unlimited') left[name] = count - 1
      matches.push(`${which}${word} snapshot`)
    }
    for (const { name, period, word } of withins) {
      if (!isWithin(policy[name])) continue
      const which = firstOf(name, period)
      if (which !== undefined) matches.push(`${which}${word} within ${formatCalendarDuration(policy[name])}`)
    }

    if (matches.length === 0) remove.push(snapshot)
    else {
      keep.push(snapshot)
      reasons.push({ snapshot, matches, counters: { ...left } })
    }
  })
  return { keep, remove, reasons }
}

/** Time of the newest snapshot older than `now`; the beginning of time when all lie in the future, so that durations then keep all. */
function newestBefore(newestFirst: readonly StoredSnapshot[], now: Timestamp): Timestamp {
  const newest = newestFirst.find(({ time }) => compareTimes(time, now) < 0)?.time
  return newest !== undefined && compareTimes(newest, zeroTime) > 0 ? newest : zeroTime
}

/** One group's entry of `forget --json`, with restic's names and order: lists that are empty are null there. */
export const forgetGroupJson = (
  { key }: SnapshotGroup,
  { keep, remove, reasons }: ForgetDecision,
): Readonly<Record<string, unknown>> => ({
  tags: key.tags,
  host: key.hostname,
  paths: key.paths,
  keep: unlessEmpty(keep.map(storedSnapshotJson)),
  remove: unlessEmpty(remove.map(storedSnapshotJson)),
  reasons: unlessEmpty(reasons.map(({ snapshot, matches }) => ({ snapshot: storedSnapshotJson(snapshot), matches }))),
})

const unlessEmpty = <T>(list: readonly T[]): readonly T[] | null => (list.length === 0 ? null : list)
