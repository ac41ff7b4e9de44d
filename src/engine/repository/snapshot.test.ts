import { describe, expect, test } from 'vitest'
import { makeSnapshot } from '../../../test/support/make-snapshot.ts'
import { parseTime } from '../../lib/go-time.ts'
import { addTags, decodeSnapshot, encodeSnapshot, removeTags, storedSnapshotJson } from './snapshot.ts'

const id = 'ab'.repeat(32)
const bytes = (text: string): Uint8Array => Buffer.from(text)

// In the form restic 0.19.1 writes; test/compat/forget.test.ts compares with real ones.
const stored =
  '{"time":"2026-11-21T12:47:03.515436981+01:00","parent":"d37ffd8f6f9c8e6bb8b24fa7f0d7e4a6c2d1d3d5d9ba3a3c3e4f5a6b7c8d9e0f","tree":"14d655faf2b8ecb67ecf685d3029ddf84e95687796aa4b158baea6e525983988","paths":["/srv/\\u003cweb\\u003e \\u0026 more"],"hostname":"golden","username":"backup","uid":1000,"gid":1001,"excludes":["*.tmp"],"tags":["a","b"],"program_version":"restic 0.19.1","summary":{"backup_start":"2026-11-21T12:47:03.515436981+01:00","backup_end":"2026-11-21T12:47:04.1+01:00","files_new":38,"files_changed":0,"files_unmodified":0,"dirs_new":3,"dirs_changed":0,"dirs_unmodified":0,"data_blobs":37,"tree_blobs":2,"data_added":17042,"data_added_packed":9312,"total_files_processed":38,"total_bytes_processed":1034}}'

describe('snapshot file', () => {
  test('is read and written byte for byte as restic writes it', () => {
    const snapshot = decodeSnapshot(bytes(stored), id)
    expect(snapshot).toMatchObject({
      id,
      paths: ['/srv/<web> & more'],
      uid: 1000,
      gid: 1001,
      tags: ['a', 'b'],
      original: undefined,
      summary: { filesNew: 38, dataAddedPackedBytes: 9312 },
    })
    expect(Buffer.from(encodeSnapshot(snapshot)).toString()).toBe(stored)
  })

  test('leaves out what is empty', () => {
    const snapshot = makeSnapshot('2024-01-02T03:04:05Z', { hostname: '', username: '' })
    expect(Buffer.from(encodeSnapshot(snapshot)).toString()).toBe(
      '{"time":"2024-01-02T03:04:05Z","tree":"ac08ce34ba4f8123618661bef2425f7028ffb9ac740578a3ee88684d2523fee8","paths":["/data"]}',
    )
  })

  test('of older and other programs: missing, null and unknown fields', () => {
    const read = decodeSnapshot(
      bytes(
        '{"time":"2015-01-01T00:00:00Z","tree":null,"paths":null,"label":"x","delete":{"a":1},"__proto__":{"uid":9}}\n',
      ),
      id,
    )
    expect(read).toEqual({
      time: parseTime('2015-01-01T00:00:00Z'),
      parent: undefined,
      tree: undefined,
      paths: [],
      hostname: '',
      username: '',
      uid: 0,
      gid: 0,
      excludes: [],
      tags: [],
      original: undefined,
      programVersion: '',
      summary: undefined,
      id,
    })
  })

  test.each([
    ['no JSON', '{'],
    ['a list', '[]'],
    ['null', 'null'],
    ['a time that is none', '{"time":"today"}'],
    ['a tree that is no id', '{"tree":"1234"}'],
    ['paths that are no list', '{"paths":"/"}'],
    ['a path that is no text', '{"paths":[1]}'],
    ['a host that is no text', '{"hostname":{}}'],
    ['a negative owner', '{"uid":-1}'],
    ['a summary that is no object', '{"summary":[]}'],
    ['a number in the summary that is none', '{"summary":{"files_new":"1"}}'],
  ])('%s is damage, and the message names the snapshot', (_, json) => {
    expect(() => decodeSnapshot(bytes(json), id)).toThrow(
      expect.objectContaining({ code: 'HF_DATA_DAMAGED', message: expect.stringContaining('snapshot abababab') }),
    )
  })

  test('in lists has its id after its own fields', () => {
    const keys = Object.entries(storedSnapshotJson(makeSnapshot('2024-01-02T03:04:05Z', { id })))
    expect(keys.filter(([, value]) => value !== undefined).map(([key]) => key)).toEqual([
      'time',
      'tree',
      'paths',
      'hostname',
      'username',
      'id',
      'short_id',
    ])
    expect(Object.fromEntries(keys).short_id).toBe('abababab')
  })
})

test('tags are added once and removed wherever they are', () => {
  expect(addTags(['a', 'b'], ['b', 'c', 'c'])).toEqual(['a', 'b', 'c'])
  expect(removeTags(['a', 'b', 'c'], ['b', 'x'])).toEqual(['a', 'c'])
})
