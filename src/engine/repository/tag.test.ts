import { describe, expect, test } from 'vitest'
import { makeSnapshot } from '../../../test/support/make-snapshot.ts'
import { memoryRepository, overStorage } from '../../../test/support/test-repository.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { noProgress } from '../../lib/progress.ts'
import { withFaults } from '../storage/layers/with-faults.ts'
import { loadSnapshots, saveSnapshot } from './snapshots.ts'
import { changeTags, replacedSnapshotJson, type TagChange, type TagResult } from './tag.ts'

async function retag(tags: readonly string[], ...changes: readonly TagChange[]): Promise<TagResult['changed']> {
  const repository = await memoryRepository()
  await saveSnapshot(repository, makeSnapshot('2024-03-01T10:00:00Z', { tags }))
  const changed: TagResult['changed'][number][] = []
  for (const change of changes)
    changed.push(
      ...(await changeTags(repository, await loadSnapshots(repository), change, { progress: noProgress })).changed,
    )
  expect(await loadSnapshots(repository)).toEqual(changed.slice(-1).map(({ replacement }) => replacement))
  return changed
}

describe('tags', () => {
  test('are set, also to none', async () => {
    const [changed, again, none] = await retag(['a'], { set: ['b', 'c'] }, { set: ['b', 'c'] }, { set: [''] })
    expect(changed!.replacement.tags).toEqual(['b', 'c'])
    // restic too writes a new snapshot when the tags are set to what they were.
    expect(again!.replacement.tags).toEqual(['b', 'c'])
    expect(none!.replacement.tags).toEqual([])
  })

  test('are added and removed in one go', async () => {
    const [changed] = await retag(['a', 'b'], { add: ['c', 'a'], remove: ['b'] })
    expect(changed!.replacement.tags).toEqual(['a', 'c'])
  })

  test('remember the first snapshot of the line, and change nothing else', async () => {
    const [first, second] = await retag([], { add: ['x'], remove: [] }, { add: ['y'], remove: [] })
    const { id, ...fields } = first!.old
    expect(second!.replacement).toEqual({ ...fields, id: expect.any(String), tags: ['x', 'y'], original: id })
    expect(replacedSnapshotJson(first!)).toEqual({
      message_type: 'changed',
      old_snapshot_id: id,
      new_snapshot_id: first!.replacement.id,
    })
  })

  test('that are so already leave the snapshot alone', async () => {
    const repository = await memoryRepository()
    await saveSnapshot(repository, makeSnapshot('2024-03-01T10:00:00Z', { tags: ['a'] }))
    const before = await loadSnapshots(repository)
    const result = await changeTags(repository, before, { add: ['a'], remove: ['z'] }, { progress: noProgress })
    expect(result).toMatchObject({ changed: [], retained: { snapshots: [] }, failed: [] })
    expect(await loadSnapshots(repository)).toEqual(before)
  })

  test('never cost a snapshot: when the old one cannot be removed both are there, and the others are changed', async () => {
    const plain = await memoryRepository()
    for (const time of ['2024-03-01T10:00:00Z', '2024-03-02T10:00:00Z']) await saveSnapshot(plain, makeSnapshot(time))
    const error = new HoldfastError('HF_STORAGE_DENIED', 'append-only')
    const storage = withFaults(plain.storage, [{ operation: 'delete', times: 1, effect: { type: 'fail', error } }])
    const repository = overStorage(plain, storage)
    const before = await loadSnapshots(repository)
    const result = await changeTags(repository, before, { add: ['a'], remove: [] }, { progress: noProgress })
    expect(result.failed).toEqual([{ id: before[0]!.id, error }])
    const after = await loadSnapshots(plain)
    expect(after.map(({ tags }) => tags.length).sort()).toEqual([0, 1, 1])
  })
})
