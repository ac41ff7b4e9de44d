import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { startCeph } from '../../../../test/support/servers/ceph.ts'
import { startMinio } from '../../../../test/support/servers/minio.ts'
import type { S3Server } from '../../../../test/support/servers/s3-server.ts'
import { backUp, CHEAP_KDF, PASSWORD, scratchFolder } from '../../../../test/support/test-repository.ts'
import type { Clock } from '../../../lib/clock.ts'
import { systemClock } from '../../../lib/clock.ts'
import { noProgress } from '../../../lib/progress.ts'
import { randomBytes } from '../../../lib/random.ts'
import { openStorage, type StorageOptions } from '../../storage/locations.ts'
import { checkRepository } from '../check/check.ts'
import { executeForget, planForgetOf, withoutRetained } from '../forget.ts'
import { executePrune } from '../prune/execute-prune.ts'
import { planPrune } from '../prune/plan-prune.ts'
import type { PrunePlan } from '../prune/prune-plan.ts'
import { initRepository, openRepository, type Repository } from '../repository.ts'
import { loadSnapshots } from '../snapshots.ts'

const DAY_MS = 24 * 60 * 60 * 1000

/** The real time, moved by so much. */
const shifted = (milliseconds: number): Clock => ({
  now: () => systemClock.now() + BigInt(milliseconds) * 1_000_000n,
  sleep: (...args) => systemClock.sleep(...args),
})

const servers = [
  { name: 'MinIO', isMissing: lacks('minio'), start: startMinio, canTakeAway: true },
  { name: 'Ceph', isMissing: lacks('ceph'), start: startCeph, canTakeAway: false },
] as const

for (const { name, isMissing, start, canTakeAway } of servers)
  describe.skipIf(isMissing)(`in a bucket of ${name} with Object Lock`, () => {
    let server: S3Server
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server?.stop())

    const storageOptions = (forMs: number): StorageOptions => ({
      environment: server.environment,
      settings: { lock: { mode: 'governance', forMs } },
    })
    async function newLocked(bucket: string, forMs: number, cacheDirectory?: string): Promise<Repository> {
      const storage = await openStorage(`s3:${server.url}/${bucket}`, storageOptions(forMs))
      await initRepository(storage, { password: PASSWORD }, { key: { kdf: CHEAP_KDF } })
      return reopen(bucket, forMs, { cacheDirectory })
    }
    async function reopen(
      bucket: string,
      forMs: number,
      { cacheDirectory, clock }: { cacheDirectory?: string | undefined; clock?: Clock } = {},
    ): Promise<Repository> {
      const storage = await openStorage(`s3:${server.url}/${bucket}`, {
        ...storageOptions(forMs),
        ...(clock ? { clock } : {}),
      })
      const repository = await openRepository(
        storage,
        { password: PASSWORD },
        { ...(cacheDirectory ? { cacheDirectory } : {}), ...(clock ? { clock } : {}) },
      )
      await repository.loadIndex()
      return repository
    }
    const planOf = (repository: Repository): Promise<PrunePlan> =>
      planPrune(
        repository,
        {
          maxUnusedBytes: () => 0,
          maxRepackBytes: Number.POSITIVE_INFINITY,
          smallPackBytes: 0,
          repackCacheableOnly: false,
          repackUncompressed: false,
          unsafeRecovery: false,
        },
        noProgress,
      )
    const storedBytes = async (Bucket: string): Promise<number> => {
      const { Versions = [] } = await server.s3.listObjectVersions({ Bucket, Prefix: 'data/' })
      return Versions.reduce((sum, { Size = 0 }) => sum + Size, 0)
    }
    /** As when the time has passed; the owner may do that in governance mode. Ceph lets him make it shorter only. */
    const release = async (Bucket: string, keys: RegExp): Promise<void> => {
      const { Versions = [] } = await server.s3.listObjectVersions({ Bucket })
      const released = Versions.filter(({ Key }) => keys.test(Key!))
      const soon = new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000)
      const Retention = canTakeAway ? {} : ({ Mode: 'GOVERNANCE', RetainUntilDate: soon } as const)
      for (const { Key, VersionId } of released)
        await server.s3.putObjectRetention({ Bucket, Key, VersionId, Retention, BypassGovernanceRetention: true })
      if (!canTakeAway) await sleep(soon.getTime() + 1000 - Date.now())
    }
    const expectWhole = async (repository: Repository): Promise<void> => {
      const { findings } = await checkRepository(repository, {
        read: { kind: 'all' },
        threads: 0,
        progress: noProgress,
      })
      expect(findings).toEqual([])
    }

    test('prune and forget leave what is retained, say so, and take it when it is no longer', async () => {
      using scratch = scratchFolder()
      const folder = scratch.join('files')
      mkdirSync(folder)
      writeFileSync(`${folder}/one`, randomBytes(3 << 20))
      const bucket = 'short'
      let repository = await newLocked(bucket, DAY_MS)
      await backUp(repository, folder)
      const first = await loadSnapshots(repository)
      const { plan, retained } = await withoutRetained(repository, planForgetOf(first))
      expect(plan.remove).toEqual([])
      expect(retained.snapshots).toEqual(first)
      // As when somebody else has hidden the snapshot: its packs are of no use, and are still retained.
      await server.s3.deleteObject({ Bucket: bucket, Key: `snapshots/${first[0]!.id}` })
      const early = await planOf(repository)
      expect(early).toMatchObject({ remove: [], repack: [], removeFirst: [] })
      expect(early.retained.packs).toBe(2)
      expect(early.retained.bytes).toBe(await storedBytes(bucket))
      expect(early.retained.earliestMs).toBeGreaterThan(Date.now())
      const before = await storedBytes(bucket)
      await executePrune(repository, early, noProgress)
      expect(await storedBytes(bucket)).toBe(before)
      await expectWhole(repository)

      await release(bucket, /^/)
      repository = await reopen(bucket, DAY_MS)
      const late = await planOf(repository)
      expect(late.retained.packs).toBe(0)
      expect(late.remove).toHaveLength(2)
      await executePrune(repository, late, noProgress)
      expect(await storedBytes(bucket)).toBe(0)
      expect(repository.storage.features.versions!.hidden!()).toEqual({ files: 0, bytes: 0 })
      await expectWhole(await reopen(bucket, DAY_MS))
      await repository.storage.close()
    })

    test('a pack stays as long as an index file that lists it', async () => {
      using scratch = scratchFolder()
      const folder = scratch.join('files')
      mkdirSync(folder)
      writeFileSync(`${folder}/one`, randomBytes(300_000))
      const repository = await newLocked('listed', DAY_MS)
      await backUp(repository, folder)
      const snapshots = await loadSnapshots(repository)
      await release('listed', /^(data|snapshots)\//)
      await executeForget(repository, planForgetOf(snapshots), noProgress)
      expect(await loadSnapshots(repository)).toEqual([])
      const plan = await planOf(repository)
      expect(plan.remove).toEqual([])
      expect(plan.retained.packs).toBe(2)
      await executePrune(repository, plan, noProgress)
      await expectWhole(await reopen('listed', DAY_MS))
      await repository.storage.close()
    })

    test('what a new snapshot needs is retained as long as the snapshot, and stores are not asked about it each time', async () => {
      using scratch = scratchFolder()
      const folder = scratch.join('files')
      const cacheDirectory = scratch.join('cache')
      mkdirSync(folder)
      writeFileSync(`${folder}/old`, randomBytes(500_000))
      const bucket = 'extended'
      await backUp(await newLocked(bucket, 10 * DAY_MS, cacheDirectory), folder)
      const untilOf = async (prefix: string): Promise<number[]> => {
        const { Contents = [] } = await server.s3.listObjectsV2({ Bucket: bucket, Prefix: prefix })
        return Promise.all(
          Contents.map(async ({ Key }) => {
            const { ObjectLockRetainUntilDate } = await server.s3.headObject({ Bucket: bucket, Key: Key! })
            return ObjectLockRetainUntilDate!.getTime()
          }),
        )
      }
      writeFileSync(`${folder}/new`, randomBytes(500_000))
      const later = shifted(5 * DAY_MS)
      const repository = await reopen(bucket, 10 * DAY_MS, { cacheDirectory, clock: later })
      const neededMs = Number(later.now() / 1_000_000n) + 10 * DAY_MS
      await backUp(repository, folder)
      // The tree of the first snapshot is needed by nobody but it; the content of the old file is.
      const short = (await untilOf('data/')).filter((until) => until < neededMs)
      expect(short).toHaveLength(1)
      for (const prefix of ['keys/', 'config'])
        for (const until of await untilOf(prefix)) expect(until).toBeGreaterThanOrEqual(neededMs)
      expect(readFileSync(scratch.join('cache', repository.config.id, 'retained')).length % 36).toBe(0)
      const asked = spyOnExtend(repository)
      await backUp(repository, folder)
      expect(asked()).toBeLessThanOrEqual(2)
      await repository.storage.close()
    })
  })

/** Counts calls that make a retention longer. */
function spyOnExtend(repository: Repository): () => number {
  const { retention } = repository.storage.features
  let calls = 0
  const extend = retention!.extend.bind(retention)
  Object.defineProperty(retention!, 'extend', {
    value: (...args: Parameters<typeof extend>) => {
      calls += 1
      return extend(...args)
    },
  })
  return () => calls
}
