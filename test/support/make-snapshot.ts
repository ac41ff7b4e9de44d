import { createHash } from 'node:crypto'
import type { StoredSnapshot } from '../../src/engine/repository/snapshot.ts'
import { parseTime } from '../../src/lib/go-time.ts'

const EMPTY_TREE = 'ac08ce34ba4f8123618661bef2425f7028ffb9ac740578a3ee88684d2523fee8'

/** A snapshot of an empty folder at `time`; its id follows from its fields. */
export function makeSnapshot(time: string, fields: Partial<StoredSnapshot> = {}): StoredSnapshot {
  const parsed = parseTime(time)
  if (parsed === undefined) throw new Error(`no time: ${time}`)
  return {
    time: parsed,
    parent: undefined,
    tree: EMPTY_TREE,
    paths: ['/data'],
    hostname: 'web1',
    username: 'root',
    uid: 0,
    gid: 0,
    excludes: [],
    tags: [],
    original: undefined,
    programVersion: '',
    summary: undefined,
    id: createHash('sha256')
      .update(JSON.stringify([time, fields]))
      .digest('hex'),
    ...fields,
  }
}
