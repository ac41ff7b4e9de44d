import { expect, test } from 'vitest'
import { makeSnapshot } from '../../test/support/make-snapshot.ts'
import type { StoredSnapshot } from '../engine/repository/snapshot.ts'
import { type CopyPlace, copiesOf } from './copy-status.ts'
import { isWithin } from './location.ts'
import { missedSnapshots } from './missed-snapshots.ts'

const backup = (day: number, id: string): StoredSnapshot => ({
  ...makeSnapshot(`2026-03-0${day}T10:00:00Z`, {
    tree: `${day}`.repeat(64),
    tags: ['source=shop', 'kind=backup', `run=${day}`],
  }),
  id: id.repeat(64),
})

const record = (day: number, outcome: 'passed' | 'failed'): StoredSnapshot => ({
  ...makeSnapshot(`2026-03-0${day}T10:00:00Z`, {
    tree: 'f'.repeat(64),
    tags: [
      'kind=verification',
      'source=shop',
      `of=${`${day}`.repeat(64)}`,
      `outcome=${outcome}`,
      ...(outcome === 'passed' ? ['proved=checksum'] : []),
    ],
  }),
  id: `${day}e`.repeat(32),
})

const place = (repository: string, more: Partial<CopyPlace>): CopyPlace => ({
  repository,
  medium: 'local disk 1',
  offsite: false,
  immutable: undefined,
  snapshots: [],
  problem: undefined,
  ...more,
})

const holds = (places: readonly CopyPlace[]) => {
  const { rule } = copiesOf('shop', places)
  return Object.fromEntries(Object.entries(rule).map(([part, verdict]) => [part, verdict.holds]))
}

test('the rule holds when two proved copies lie on two media, one of them offsite and locked', () => {
  const here = place('here', { snapshots: [backup(1, 'a'), backup(2, 'b'), record(2, 'passed')] })
  const there = place('there', {
    medium: 's3',
    offsite: true,
    immutable: 'compliance, 35 days',
    snapshots: [backup(2, 'c'), record(2, 'passed')],
  })
  expect(holds([here, there])).toEqual({ copies: 'yes', media: 'yes', offsite: 'yes', immutable: 'yes', errors: 'yes' })
})

test('a copy that is behind does not count, and its repository says by how much', () => {
  const here = place('here', { snapshots: [backup(1, 'a'), backup(2, 'b'), backup(3, 'd'), record(3, 'passed')] })
  const there = place('there', { medium: 's3', offsite: true, immutable: 'x', snapshots: [backup(1, 'c')] })
  expect(copiesOf('shop', [here, there]).copies.map(({ behind }) => behind)).toEqual([0, 2])
  expect(holds([here, there])).toMatchObject({
    copies: 'no',
    media: 'no',
    offsite: 'no',
    immutable: 'no',
    errors: 'yes',
  })
})

test('what nobody said, looked at or could see is unknown, and a failure is no', () => {
  const unsaid = place('unsaid', { medium: 's3', offsite: undefined, snapshots: [backup(1, 'a')] })
  expect(holds([unsaid])).toEqual({ copies: 'no', media: 'no', offsite: 'unknown', immutable: 'no', errors: 'unknown' })
  const closed = place('closed', { snapshots: undefined, problem: 'it is down' })
  const proved = { ...unsaid, snapshots: [backup(1, 'a'), record(1, 'passed')] }
  expect(holds([proved, closed])).toMatchObject({ copies: 'unknown', media: 'unknown', errors: 'unknown' })
  const damaged = { ...unsaid, snapshots: [backup(1, 'a'), record(1, 'failed')] }
  expect(holds([damaged])).toMatchObject({ errors: 'no' })
  expect(holds([])).toEqual({ copies: 'no', media: 'no', offsite: 'no', immutable: 'no', errors: 'no' })
})

test('what is missed is newer than the newest there, unless all is asked for', () => {
  const all = [
    backup(1, 'a'),
    backup(2, 'b'),
    backup(3, 'c'),
    { ...backup(3, 'd'), tags: ['source=other', 'kind=backup'] },
  ]
  // The same run under another id, made by a reading of its own.
  const there = [{ ...backup(2, 'e'), tree: '9'.repeat(64) }]
  const days = (snapshots: readonly StoredSnapshot[]) => snapshots.map(({ tree }) => tree![0])
  expect(days(missedSnapshots(there, all, 'shop', 'newer'))).toEqual(['3'])
  expect(days(missedSnapshots(there, [...all, ...all], 'shop', 'all'))).toEqual(['1', '3'])
  expect(days(missedSnapshots([], all, 'shop', 'newer'))).toEqual(['1', '2', '3'])
})

test('a region is within another by its name, and eu is the Union', () => {
  expect(isWithin('eu-central-1', 'eu')).toBe(true)
  expect(isWithin('europe-west1', 'eu')).toBe(true)
  expect(isWithin('eu', 'eu')).toBe(true)
  expect(isWithin('eu-west-2', 'eu')).toBe(false)
  expect(isWithin('eu-west-2', 'eu-west-2')).toBe(true)
  expect(isWithin('us-east-1', 'eu')).toBe(false)
  expect(isWithin('eu-central-10', 'eu-central-1')).toBe(false)
})
