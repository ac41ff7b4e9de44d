import { describe, expect, test } from 'vitest'
import { makeSnapshot } from '../../../test/support/make-snapshot.ts'
import { parseTime } from '../../lib/go-time.ts'
import {
  everySnapshot,
  findLatest,
  matchesFilter,
  parseSnapshotReference,
  resolveSnapshot,
  resolveSnapshotId,
  selectSnapshots,
} from './snapshot-filter.ts'

const a = makeSnapshot('2024-01-01T00:00:00Z', { id: `aa11${'0'.repeat(60)}`, hostname: 'web1', tags: ['db', 'daily'] })
const b = makeSnapshot('2024-01-03T00:00:00Z', {
  id: `aa22${'0'.repeat(60)}`,
  hostname: 'web2',
  paths: ['/etc', '/srv'],
})
const c = makeSnapshot('2024-01-02T00:00:00Z', { id: `bb33${'0'.repeat(60)}`, hostname: 'web1', tags: ['db'] })
const all = [a, b, c]

describe('filter', () => {
  test.each([
    [{}, [a, b, c]],
    [{ hosts: ['web1'] }, [a, c]],
    [{ hosts: ['web1', 'web2'] }, [a, b, c]],
    [{ hosts: ['web3'] }, []],
    [{ tags: [['db']] }, [a, c]],
    [{ tags: [['db', 'daily']] }, [a]],
    [{ tags: [['daily'], ['x']] }, [a]],
    [{ tags: [['']] }, [b]],
    [{ tags: [['', 'x']] }, [b]],
    [{ paths: ['/srv'] }, [b]],
    [{ paths: ['/srv', '/data'] }, []],
    [{ hosts: ['web1'], tags: [['db']], paths: ['/data'] }, [a, c]],
  ])('%j', (fields, expected) => {
    expect(all.filter((snapshot) => matchesFilter(snapshot, { ...everySnapshot, ...fields }))).toEqual(expected)
  })

  test('latest is by time, not by order, and never after the limit', () => {
    expect(findLatest(all, everySnapshot)).toBe(b)
    expect(findLatest(all, { ...everySnapshot, hosts: ['web1'] })).toBe(c)
    expect(findLatest(all, everySnapshot, parseTime('2024-01-02T01:00:00+01:00'))).toBe(c)
    expect(findLatest(all, everySnapshot, parseTime('2023-12-31T23:59:59Z'))).toBeUndefined()
  })
})

describe('reference', () => {
  test.each([
    ['latest', 'latest', ''],
    ['aa11:srv/a:b', 'aa11', 'srv/a:b'],
    ['aa11:', 'aa11', ''],
    [':x', '', 'x'],
  ])('%s', (text, name, subfolder) => {
    expect(parseSnapshotReference(text)).toEqual({ name, subfolder })
  })

  test('an id, its beginning, latest', () => {
    expect(resolveSnapshot(all, 'bb').snapshot).toBe(c)
    expect(resolveSnapshot(all, `${a.id}:/etc`)).toEqual({ snapshot: a, subfolder: '/etc' })
    expect(resolveSnapshot(all, 'latest:x', { ...everySnapshot, hosts: ['web1'] })).toEqual({
      snapshot: c,
      subfolder: 'x',
    })
  })

  test('what names no snapshot, or several', () => {
    const ids = all.map((snapshot) => snapshot.id)
    expect(() => resolveSnapshotId(ids, 'aa')).toThrow(expect.objectContaining({ code: 'HF_SNAPSHOT_AMBIGUOUS' }))
    expect(() => resolveSnapshotId(ids, 'cc')).toThrow(expect.objectContaining({ code: 'HF_SNAPSHOT_NOT_FOUND' }))
    expect(() => resolveSnapshotId(ids, 'AA11')).toThrow(expect.objectContaining({ code: 'HF_SNAPSHOT_NOT_FOUND' }))
    expect(() => resolveSnapshotId([a.id], '')).toThrow(expect.objectContaining({ code: 'HF_SNAPSHOT_NOT_FOUND' }))
    expect(() => resolveSnapshot([], 'latest')).toThrow(expect.objectContaining({ code: 'HF_SNAPSHOT_NOT_FOUND' }))
    expect(() => resolveSnapshot(all, 'latest', { ...everySnapshot, tags: [['x', 'y']] })).toThrow(/tags x,y/)
  })
})

describe('selection', () => {
  test('without references everything that matches', () => {
    expect(selectSnapshots(all, [], { ...everySnapshot, hosts: ['web2'] })).toEqual({ snapshots: [b], problems: [] })
  })

  test('each snapshot once, in the order named', () => {
    expect(selectSnapshots(all, ['bb33', 'latest', 'bb', 'aa22'])).toEqual({ snapshots: [c, b], problems: [] })
  })

  test('goes on after references that lead nowhere, and reports them', () => {
    const { snapshots, problems } = selectSnapshots(all, ['aa', 'cc', 'aa11:etc', 'bb'])
    expect(snapshots).toEqual([c])
    expect(problems.map((problem) => problem.code)).toEqual([
      'HF_SNAPSHOT_AMBIGUOUS',
      'HF_SNAPSHOT_NOT_FOUND',
      'HF_USAGE',
    ])
  })

  test('a filter beside ids is reported, as it has no effect; beside latest it has', () => {
    const filter = { ...everySnapshot, hosts: ['web1'] }
    expect(selectSnapshots(all, ['aa22'], filter)).toMatchObject({ snapshots: [b], problems: [{ code: 'HF_USAGE' }] })
    expect(selectSnapshots(all, ['latest'], filter)).toEqual({ snapshots: [c], problems: [] })
  })
})
