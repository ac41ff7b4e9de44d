import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import { compareTimes, type Timestamp } from '../lib/go-time.ts'
import { type Proof, proofsOf } from '../recovery/verification.ts'
import { backupKey, isBackupOf } from './missed-snapshots.ts'

/** What is known of a repository that copies lie in. */
export interface CopyPlace {
  readonly repository: string
  /** Copies of one medium are lost together: a kind of store, or a disk of this machine. */
  readonly medium: string
  /** Undefined: nobody said. */
  readonly offsite: boolean | undefined
  /** What keeps files from being deleted or changed; undefined: nothing. */
  readonly immutable: string | undefined
  /** Undefined: it could not be opened, for this reason. */
  readonly snapshots: readonly StoredSnapshot[] | undefined
  readonly problem: string | undefined
}

/** A source in one repository. */
export interface CopyStatus {
  readonly place: CopyPlace
  readonly newest: StoredSnapshot | undefined
  /** Backups of the source elsewhere that are newer than the newest here. */
  readonly behind: number
  /** Of the newest here. */
  readonly proof: Proof | undefined
}

/** Whether a part of the rule holds; `unknown` when nobody said or it could not be seen. */
export type Fulfilment = 'yes' | 'no' | 'unknown'

export interface Verdict {
  readonly holds: Fulfilment
  readonly detail: string
}

export const ruleParts = ['copies', 'media', 'offsite', 'immutable', 'errors'] as const
export type RulePart = (typeof ruleParts)[number]

/** How a source stands by 3-2-1-1-0: three copies with the source itself, two media, one offsite, one immutable, no errors. */
export interface SourceCopies {
  readonly source: string
  readonly copies: readonly CopyStatus[]
  readonly rule: Readonly<Record<RulePart, Verdict>>
}

/** Looks at the copies of a source. Only such that have its newest backup count. */
export function copiesOf(source: string, places: readonly CopyPlace[]): SourceCopies {
  const all = places.flatMap(({ snapshots }) => snapshots ?? []).filter((snapshot) => isBackupOf(snapshot, source))
  const newest = newestOf(all)
  const copies = places.map((place) => statusIn(place, source, all))
  const current = copies.filter((copy) => newest !== undefined && isSameBackup(copy.newest, newest))
  const blind = places.some(({ snapshots }) => snapshots === undefined)
  const rule = {
    copies: judgeCopies(current.length, blind),
    media: judgeMedia(current, blind),
    offsite: judgeOffsite(current, blind),
    immutable: judgeImmutable(current, blind),
    errors: judgeErrors(current, blind),
  }
  return { source, copies, rule }
}

function statusIn(place: CopyPlace, source: string, all: readonly StoredSnapshot[]): CopyStatus {
  const mine = (place.snapshots ?? []).filter((snapshot) => isBackupOf(snapshot, source))
  const newest = newestOf(mine)
  const known = new Set(mine.map(backupKey))
  const newer = all.filter((one) => newest === undefined || compareTimes(one.time, newest.time) > 0)
  const behind = new Set(newer.map(backupKey).filter((key) => !known.has(key))).size
  const proof = newest?.tree === undefined ? undefined : proofsOf(place.snapshots ?? []).get(newest.tree)
  return { place, newest, behind, proof }
}

const newestOf = (snapshots: readonly StoredSnapshot[]): StoredSnapshot | undefined =>
  snapshots.reduce<StoredSnapshot | undefined>(
    (last, one) => (last === undefined || compareTimes(one.time, last.time) > 0 ? one : last),
    undefined,
  )

const isSameBackup = (a: StoredSnapshot | undefined, b: StoredSnapshot): boolean =>
  a !== undefined && backupKey(a) === backupKey(b)

/** What cannot be seen might be what is missing. */
const lacking = (detail: string, blind: boolean): Verdict => ({ holds: blind ? 'unknown' : 'no', detail })

function judgeCopies(count: number, blind: boolean): Verdict {
  const detail = `the source and ${count} ${count === 1 ? 'copy' : 'copies'} of its newest backup`
  return count >= 2 ? { holds: 'yes', detail } : lacking(detail, blind)
}

function judgeMedia(current: readonly CopyStatus[], blind: boolean): Verdict {
  const media = [...new Set(current.map(({ place }) => place.medium))]
  const detail = media.length === 0 ? 'none' : media.join(', ')
  return media.length >= 2 ? { holds: 'yes', detail } : lacking(detail, blind)
}

function judgeOffsite(current: readonly CopyStatus[], blind: boolean): Verdict {
  const offsite = current.filter(({ place }) => place.offsite === true)
  if (offsite.length > 0) return { holds: 'yes', detail: namesOf(offsite) }
  const unsaid = current.filter(({ place }) => place.offsite === undefined)
  if (unsaid.length > 0) return { holds: 'unknown', detail: `"offsite" is not said of ${namesOf(unsaid)}` }
  return lacking('none', blind)
}

function judgeImmutable(current: readonly CopyStatus[], blind: boolean): Verdict {
  const locked = current.flatMap(({ place }) =>
    place.immutable === undefined ? [] : `${place.repository} (${place.immutable})`,
  )
  return locked.length > 0 ? { holds: 'yes', detail: locked.join(', ') } : lacking('none', blind)
}

function judgeErrors(current: readonly CopyStatus[], blind: boolean): Verdict {
  const failed = current.filter(({ proof }) => proof?.failed !== undefined)
  if (failed.length > 0) return { holds: 'no', detail: `not as it should be in ${namesOf(failed)}` }
  const unproved = current.filter(({ proof }) => proof?.level === undefined)
  if (unproved.length > 0) return { holds: 'unknown', detail: `not verified in ${namesOf(unproved)}` }
  if (current.length === 0) return lacking('there is nothing to prove', blind)
  return blind
    ? { holds: 'unknown', detail: 'not every copy could be seen' }
    : { holds: 'yes', detail: 'all are proved' }
}

const namesOf = (copies: readonly CopyStatus[]): string => copies.map(({ place }) => place.repository).join(', ')

/** Whole days from `then` to `nowNs`, nanoseconds since 1970. */
export const daysSince = (then: Timestamp, nowNs: bigint): number =>
  Math.max(0, Math.floor((Number(nowNs / 1_000_000_000n) - Number(then.seconds)) / 86_400))
