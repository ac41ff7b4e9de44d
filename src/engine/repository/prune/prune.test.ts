import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import {
  backUp,
  expectResticContent,
  newRepository,
  reopen,
  restic,
  scratchFolder,
} from '../../../../test/support/test-repository.ts'
import { noProgress } from '../../../lib/progress.ts'
import { randomBytes } from '../../../lib/random.ts'
import type { Repository } from '../repository.ts'
import { loadSnapshots } from '../snapshots.ts'
import { executePrune } from './execute-prune.ts'
import { planPrune } from './plan-prune.ts'
import type { PruneOptions, PrunePlan } from './prune-plan.ts'

const defaults: PruneOptions = {
  maxUnusedBytes: (used) => (5 / 95) * used,
  maxRepackBytes: Number.POSITIVE_INFINITY,
  smallPackBytes: 0,
  repackCacheableOnly: false,
  repackUncompressed: false,
  unsafeRecovery: false,
}

async function prune(repository: Repository, options: Partial<PruneOptions> = {}): Promise<PrunePlan> {
  const plan = await planPrune(repository, { ...defaults, ...options }, noProgress)
  await executePrune(repository, plan, noProgress)
  return plan
}

/** Snapshots of a folder of which each shares half its files with the one before. */
async function makeHistory(repository: Repository, folder: string, snapshots: number): Promise<void> {
  mkdirSync(folder, { recursive: true })
  for (let i = 0; i < snapshots; i++) {
    for (let file = 0; file < 40; file++)
      if (i === 0 || file % 2 === i % 2) writeFileSync(`${folder}/file ${file}`, randomBytes(110_000))
    await backUp(repository, folder)
  }
}

async function forgetAllBut(repository: Repository, keep: number): Promise<void> {
  for (const { id } of (await loadSnapshots(repository)).slice(0, -keep))
    await repository.storage.delete({ kind: 'snapshot', name: id })
}

describe.skipIf(lacks('restic'))('prune', () => {
  test('frees what no snapshot needs, and keeps what one does', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('repository')
    const repository = await newRepository(path, { packBytes: 4 * 1024 * 1024 })
    await makeHistory(repository, scratch.join('data'), 3)
    await forgetAllBut(repository, 1)
    const before = repository.index.count
    const plan = await prune(await reopen(path), { maxUnusedBytes: () => 0 })
    expect(plan.stats.blobs.unused).toBeGreaterThan(20)
    const after = await reopen(path)
    expect(after.index.count).toBe(before - plan.stats.blobs.unused)
    expectResticContent(path)
    expect(restic(path, 'prune', '--dry-run').stdout).toMatch(/to delete:\s+0 blobs/)
    expect((await planPrune(after, defaults, noProgress)).stats.packfiles.repack).toBe(0)
  })

  test('deletes packs that no index knows, and leaves a repository without waste alone', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('repository')
    const repository = await newRepository(path)
    await makeHistory(repository, scratch.join('data'), 1)
    const stray = 'ab'.repeat(32)
    await repository.storage.put({ kind: 'data', name: stray }, new Uint8Array(1000))
    const indexes = await repository.list('index')
    const plan = await prune(await reopen(path))
    expect(plan.removeFirst).toEqual([stray])
    expect(plan.stats.bytes.unreferenced).toBe(1000)
    expect(await repository.list('data')).not.toContain(stray)
    expect(await repository.list('index')).toEqual(indexes)
    expectResticContent(path)
  })

  test('keeps some unused data rather than rewriting packs for little', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('repository')
    const repository = await newRepository(path, { packBytes: 4 * 1024 * 1024 })
    await makeHistory(repository, scratch.join('data'), 2)
    await forgetAllBut(repository, 1)
    const reopened = await reopen(path)
    const plan = await planPrune(reopened, { ...defaults, maxUnusedBytes: () => Number.POSITIVE_INFINITY }, noProgress)
    const full = await planPrune(reopened, { ...defaults, maxUnusedBytes: () => 0 }, noProgress)
    expect(plan.stats.bytes.repack).toBeLessThan(full.stats.bytes.repack)
    expect((await planPrune(reopened, { ...defaults, maxRepackBytes: 0 }, noProgress)).repack).toEqual([])
  })

  test('stops before anything is lost when a needed pack is missing, is too short, or its blob is in no index', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('repository')
    const repository = await newRepository(path)
    await makeHistory(repository, scratch.join('data'), 1)
    const [pack] = await repository.list('data')
    const files = await repository.list('data')
    const bytes = await repository.storage.get({ kind: 'data', name: pack! })
    await repository.storage.delete({ kind: 'data', name: pack! })
    await expect(planPrune(await reopen(path), defaults, noProgress)).rejects.toMatchObject({
      code: expect.stringMatching(/HF_PACK_DAMAGED|HF_STORAGE_NOT_FOUND/),
    })
    await repository.storage.put({ kind: 'data', name: pack! }, bytes.subarray(0, bytes.length - 1))
    await expect(planPrune(await reopen(path), defaults, noProgress)).rejects.toMatchObject({ code: 'HF_PACK_DAMAGED' })
    await repository.storage.delete({ kind: 'data', name: pack! })
    await repository.storage.put({ kind: 'data', name: pack! }, bytes)
    for (const name of await repository.list('index')) await repository.storage.delete({ kind: 'index', name })
    await expect(planPrune(await reopen(path), defaults, noProgress)).rejects.toMatchObject({
      code: 'HF_INDEX_INCOMPLETE',
    })
    expect(await repository.list('data')).toEqual(files)
  })

  test('frees space by deleting the index first when asked', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('repository')
    const repository = await newRepository(path, { packBytes: 4 * 1024 * 1024 })
    await makeHistory(repository, scratch.join('data'), 4)
    await forgetAllBut(repository, 1)
    rmSync(scratch.join('data'), { recursive: true })
    const plan = await prune(await reopen(path), { unsafeRecovery: true })
    expect(plan.repack).toEqual([])
    expect(plan.remove.length).toBeGreaterThan(0)
    expectResticContent(path)
  })
})
