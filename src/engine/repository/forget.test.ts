import { describe, expect, test } from 'vitest'
import { makeSnapshot } from '../../../test/support/make-snapshot.ts'
import { memoryRepository, overStorage } from '../../../test/support/test-repository.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { noProgress, type Progress } from '../../lib/progress.ts'
import { withFaults } from '../storage/layers/with-faults.ts'
import { errorFrom } from '../storage/testing.ts'
import { executeForget, type ForgetOptions, forgetPlanJson, planForget, planForgetOf } from './forget.ts'
import { emptyPolicy } from './forget-policy.ts'
import type { Repository } from './repository.ts'
import type { StoredSnapshot } from './snapshot.ts'
import { everySnapshot } from './snapshot-filter.ts'
import { loadSnapshots, saveSnapshot } from './snapshots.ts'

const defaults: ForgetOptions = {
  policy: { ...emptyPolicy, last: 1 },
  groupBy: { host: true, paths: true, tags: false },
  filter: everySnapshot,
  now: 1_900_000_000_000_000_000n,
}

const history = [
  makeSnapshot('2024-03-01T10:00:00Z'),
  makeSnapshot('2024-03-02T10:00:00Z'),
  makeSnapshot('2024-03-01T11:00:00Z', { hostname: 'web2', tags: ['old'] }),
  makeSnapshot('2024-03-03T11:00:00Z', { hostname: 'web2' }),
]

const removal = (options: Partial<ForgetOptions>): string[] =>
  planForget(history, { ...defaults, ...options }).remove.map(({ id }) => id)

describe('the plan', () => {
  test('applies the policy to each group, and says why what is kept is kept', () => {
    const plan = planForget(history, defaults)
    expect(plan.remove).toEqual(
      [history[0], history[2]].map((snapshot) => expect.objectContaining({ id: snapshot!.id })),
    )
    expect(forgetPlanJson(plan)).toMatchObject([
      {
        tags: null,
        host: 'web1',
        paths: ['/data'],
        keep: [{ id: history[1]!.id, short_id: history[1]!.id.slice(0, 8) }],
        remove: [{ id: history[0]!.id }],
        reasons: [{ snapshot: { id: history[1]!.id }, matches: ['last snapshot'] }],
      },
      { host: 'web2', keep: [{ id: history[3]!.id }], remove: [{ id: history[2]!.id }] },
    ])
  })

  test('leaves alone what the filter does not select', () => {
    expect(removal({ filter: { ...everySnapshot, hosts: ['web1'] } })).toEqual([history[0]!.id])
    expect(removal({ filter: { ...everySnapshot, hosts: ['nobody'] } })).toEqual([])
  })

  test('is refused when the policy would keep nothing, unless that is asked for and limited by a filter', async () => {
    const policy = emptyPolicy
    const filter = { ...everySnapshot, hosts: ['web2'] }
    expect((await errorFrom(() => removal({ policy }))).code).toBe('HF_POLICY_EMPTY')
    expect((await errorFrom(() => removal({ policy, filter }))).code).toBe('HF_POLICY_EMPTY')
    const unlimited = await errorFrom(() => removal({ policy, unsafeAllowRemoveAll: true }))
    expect(unlimited.message).toMatch('not allowed unless a snapshot filter option is specified')
    expect(removal({ policy, filter, unsafeAllowRemoveAll: true }).sort()).toEqual(
      [history[2]!.id, history[3]!.id].sort(),
    )
  })

  test('is refused when nothing of a group would be left', async () => {
    const error = await errorFrom(() => removal({ policy: { ...emptyPolicy, tags: [['old']] } }))
    expect(error.code).toBe('HF_POLICY_EMPTY')
    expect(error.message).toBe('refusing to delete last snapshot of snapshot group "host web1, path [/data]"')
  })

  test('by ids removes just these, the last ones too', () => {
    expect(planForgetOf(history)).toEqual({ groups: [], remove: history })
  })
})

describe('carrying it out', () => {
  async function withSnapshots(): Promise<{ repository: Repository; stored: StoredSnapshot[] }> {
    const repository = await memoryRepository()
    for (const snapshot of history) await saveSnapshot(repository, snapshot)
    return { repository, stored: await loadSnapshots(repository) }
  }

  test('removes what is planned, also what somebody removed meanwhile', async () => {
    const { repository, stored } = await withSnapshots()
    await repository.storage.delete({ kind: 'snapshot', name: stored[0]!.id })
    const result = await executeForget(repository, planForgetOf(stored.slice(0, 3)), noProgress)
    expect(result.failed).toEqual([])
    expect(await repository.list('snapshot')).toEqual([stored[3]!.id])
  })

  test('goes on after a snapshot that cannot be removed, and names it', async () => {
    const { repository, stored } = await withSnapshots()
    const error = new HoldfastError('HF_STORAGE_DENIED', 'append-only')
    const storage = withFaults(repository.storage, [
      { operation: 'delete', kind: 'snapshot', call: 2, times: 1, effect: { type: 'fail', error } },
    ])
    const faulty = overStorage(repository, storage)
    const warnings: string[] = []
    const progress: Progress = { ...noProgress, warn: (message) => warnings.push(message) }
    const { removed, failed } = await executeForget(faulty, planForgetOf(stored), progress)
    expect(removed).toHaveLength(3)
    expect(failed).toEqual([{ id: expect.any(String), error }])
    expect(warnings).toEqual([`unable to remove snapshot/${failed[0]!.id} from the repository: append-only`])
    expect(await repository.list('snapshot')).toEqual([failed[0]!.id])
  })

  test('stops when it is interrupted', async () => {
    const { repository, stored } = await withSnapshots()
    const stopped = await errorFrom(() =>
      executeForget(repository, planForgetOf(stored), noProgress, AbortSignal.abort()),
    )
    expect(stopped.code).toBe('HF_INTERRUPTED')
    expect(await repository.list('snapshot')).toHaveLength(4)
  })
})
