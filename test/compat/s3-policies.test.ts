import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { executeForget, planForgetOf } from '../../src/engine/repository/forget.ts'
import { executePrune } from '../../src/engine/repository/prune/execute-prune.ts'
import { planPrune } from '../../src/engine/repository/prune/plan-prune.ts'
import { initRepository, openRepository, type Repository } from '../../src/engine/repository/repository.ts'
import { loadSnapshots } from '../../src/engine/repository/snapshots.ts'
import { openStorage } from '../../src/engine/storage/locations.ts'
import { errorFrom } from '../../src/engine/storage/testing.ts'
import { noProgress } from '../../src/lib/progress.ts'
import { randomBytes } from '../../src/lib/random.ts'
import { lacks } from '../support/requirements.ts'
import { type MinioServer, startMinio } from '../support/servers/minio.ts'
import { sessionFor } from '../support/servers/minio-session.ts'
import { backUp, CHEAP_KDF, PASSWORD, scratchFolder } from '../support/test-repository.ts'

const policy = (task: string): unknown =>
  JSON.parse(
    readFileSync(join(import.meta.dirname, `../../deploy/policies/s3-${task}.json`), 'utf8')
      .replaceAll('BUCKET', 'guarded')
      .replaceAll('PREFIX', 'backups')
      // MinIO has this permission by another name.
      .replaceAll('s3:GetBucketAcl', 's3:GetBucketPolicy'),
  )

describe.skipIf(lacks('minio'))('with the policies that are shipped, on MinIO,', () => {
  let server: MinioServer
  const scratch = scratchFolder()
  const folder = scratch.join('files')
  beforeAll(async () => {
    server = await startMinio()
    await server.s3.createBucket({ Bucket: 'guarded' })
    await server.s3.putBucketVersioning({ Bucket: 'guarded', VersioningConfiguration: { Status: 'Enabled' } })
    mkdirSync(folder, { recursive: true })
  })
  afterAll(async () => {
    scratch[Symbol.dispose]()
    await server?.stop()
  })

  async function open(task: string, prefix = 'backups'): Promise<Repository> {
    const environment = await sessionFor(server, policy(task))
    const storage = await openStorage(`s3:${server.url}/guarded/${prefix}`, { environment })
    const repository = await openRepository(storage, { password: PASSWORD })
    await repository.loadIndex()
    return repository
  }
  const versions = async (): Promise<number> => {
    const { Versions = [], DeleteMarkers = [] } = await server.s3.listObjectVersions({ Bucket: 'guarded' })
    return Versions.length + DeleteMarkers.length
  }

  test('who backs up makes a repository and fills it, and removes nothing; who maintains it does', async () => {
    const environment = await sessionFor(server, policy('backup'))
    const storage = await openStorage(`s3:${server.url}/guarded/backups`, { environment })
    await initRepository(storage, { password: PASSWORD }, { key: { kdf: CHEAP_KDF } })
    await storage.close()
    const writer = await open('backup')
    for (let count = 0; count < 2; count++) {
      writeFileSync(`${folder}/file`, randomBytes(300_000))
      await backUp(writer, folder)
    }
    const [first] = await loadSnapshots(writer)
    const before = await versions()
    const refused = await errorFrom(() => writer.storage.delete({ kind: 'snapshot', name: first!.id }))
    expect(refused.code).toBe('HF_STORAGE_DENIED')
    expect(refused.message).toContain('s3:DeleteObject')
    expect(await versions()).toBe(before)
    const content = randomBytes(100)
    const lock = await writer.saveUnpacked('lock', content)
    await writer.storage.delete({ kind: 'lock', name: lock })
    expect(await writer.list('lock')).toEqual([])
    await writer.storage.close()

    const maintainer = await open('maintain')
    await executeForget(maintainer, planForgetOf([first!]), noProgress)
    const options = {
      maxUnusedBytes: () => 0,
      maxRepackBytes: Number.POSITIVE_INFINITY,
      smallPackBytes: 0,
      repackCacheableOnly: false,
      repackUncompressed: false,
      unsafeRecovery: false,
    }
    const plan = await planPrune(maintainer, options, noProgress)
    await executePrune(maintainer, plan, noProgress)
    expect(maintainer.storage.features.versions!.hidden!()).toEqual({ files: 0, bytes: 0 })
    const { Versions = [] } = await server.s3.listObjectVersions({ Bucket: 'guarded', Prefix: 'backups/data/' })
    expect(Versions.every(({ IsLatest }) => IsLatest)).toBe(true)
    const findings = await maintainer.storage.features.examine!()
    expect(findings.filter(({ state }) => state === 'unknown' || state === 'bad')).toEqual([])
    await maintainer.storage.close()
  })

  test('who restores reads and cannot write, and nobody gets at other prefixes', async () => {
    const reader = await open('restore')
    expect(await loadSnapshots(reader)).toHaveLength(1)
    const denied = await errorFrom(() => reader.saveUnpacked('lock', randomBytes(10)))
    expect(denied.code).toBe('HF_STORAGE_DENIED')
    expect(denied.message).toContain('it takes the permission s3:PutObject')
    await reader.storage.close()
    for (const task of ['backup', 'restore', 'maintain']) {
      const storage = await openStorage(`s3:${server.url}/guarded/others`, {
        environment: await sessionFor(server, policy(task)),
      })
      expect((await errorFrom(() => storage.put({ kind: 'config' }, randomBytes(10)))).code).toBe('HF_STORAGE_DENIED')
      await storage.close()
    }
  })
})
