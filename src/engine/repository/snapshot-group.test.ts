import { describe, expect, test } from 'vitest'
import { makeSnapshot } from '../../../test/support/make-snapshot.ts'
import { parseTime } from '../../lib/go-time.ts'
import { describeGroup, findParent, groupSnapshots, newestOfEach, newestSnapshots } from './snapshot-group.ts'

const a = makeSnapshot('2024-01-01T00:00:00Z', { hostname: 'b', paths: ['/z', '/a'], tags: ['y', 'x'] })
const b = makeSnapshot('2024-01-02T00:00:00Z', { hostname: 'b', paths: ['/a', '/z'] })
const c = makeSnapshot('2024-01-03T00:00:00Z', { hostname: 'a', paths: ['/a'], tags: ['x', 'y'] })
const all = [a, b, c]
const ids = (list: readonly { id: string }[]): string[] => list.map(({ id }) => id)

describe('groups', () => {
  test('of one host with the same paths in any order are one', () => {
    const groups = groupSnapshots(all, { host: true, paths: true, tags: false })
    expect(groups.map((group) => group.key)).toEqual([
      { hostname: 'a', paths: ['/a'], tags: null },
      { hostname: 'b', paths: ['/a', '/z'], tags: null },
    ])
    expect(groups.map((group) => ids(group.snapshots))).toEqual([ids([c]), ids([a, b])])
    expect(groups[1]!.snapshots[0]).toEqual({ ...a, paths: ['/a', '/z'] })
  })

  test('by tags, of which none is a group of its own', () => {
    const groups = groupSnapshots(all, { host: false, paths: false, tags: true })
    expect(groups.map((group) => group.key)).toEqual([
      { hostname: '', paths: null, tags: ['x', 'y'] },
      { hostname: '', paths: null, tags: null },
    ])
    expect(groups.map((group) => ids(group.snapshots))).toEqual([ids([a, c]), ids([b])])
  })

  test('without a criterion everything is one group', () => {
    const groups = groupSnapshots(all, { host: false, paths: false, tags: false })
    expect(groups.length).toBe(1)
    expect(ids(groups[0]!.snapshots)).toEqual(ids(all))
    expect(describeGroup(groups[0]!.key)).toBe('')
  })

  test('paths are sorted by bytes, as restic sorts them', () => {
    const odd = makeSnapshot('2024-01-01T00:00:00Z', { paths: ['/\u{1f600}', '/\uffee', '/b', '/B'] })
    const [group] = groupSnapshots([odd], { host: true, paths: true, tags: false })
    expect(group!.key.paths).toEqual(['/B', '/b', '/\uffee', '/\u{1f600}'])
    expect(describeGroup({ hostname: 'h', paths: ['/a', '/b'], tags: ['t'] })).toBe('host h, path [/a /b], tags [t]')
  })
})

test('newest of a list and of each host and set of paths', () => {
  expect(ids(newestSnapshots(all, 2))).toEqual(ids([c, b]))
  expect(ids(newestOfEach(all, 1))).toEqual(ids([c, b]))
  expect(ids(newestOfEach(all, 2))).toEqual(ids([c, b, a]))
})

describe('parent of a backup', () => {
  const groupBy = { host: true, paths: true, tags: false }
  const time = parseTime('2024-02-01T00:00:00Z')!

  test('is the newest of the same host that has at least the same paths', () => {
    expect(findParent(all, { groupBy, host: 'b', paths: ['/a'], tags: [], time })).toBe(b)
    expect(findParent(all, { groupBy, host: 'a', paths: ['/a', '/z'], tags: [], time })).toBeUndefined()
    expect(findParent(all, { groupBy: { ...groupBy, host: false }, host: 'x', paths: ['/a'], tags: [], time })).toBe(c)
  })

  test('has all tags when grouped by tags', () => {
    const byTags = { host: false, paths: false, tags: true }
    expect(findParent(all, { groupBy: byTags, host: '', paths: [], tags: ['x', '', 'y'], time })).toBe(c)
    expect(findParent(all, { groupBy: byTags, host: '', paths: [], tags: ['x', 'z'], time })).toBeUndefined()
  })

  test('is not newer than the backup', () => {
    const early = parseTime('2024-01-01T12:00:00Z')!
    expect(findParent(all, { groupBy, host: 'b', paths: ['/a'], tags: [], time: early })).toBe(a)
  })
})
