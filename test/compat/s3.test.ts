import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkRepository } from '../../src/engine/repository/check/check.ts'
import { initRepository, openRepository, type Repository } from '../../src/engine/repository/repository.ts'
import { loadSnapshots } from '../../src/engine/repository/snapshots.ts'
import { openStorage } from '../../src/engine/storage/locations.ts'
import { noProgress } from '../../src/lib/progress.ts'
import { randomBytes } from '../../src/lib/random.ts'
import { findTreeDifference } from '../support/compare-trees.ts'
import { lacks } from '../support/requirements.ts'
import { startCeph } from '../support/servers/ceph.ts'
import { startMinio } from '../support/servers/minio.ts'
import type { S3Server } from '../support/servers/s3-server.ts'
import { backUp, CHEAP_KDF, PASSWORD, scratchFolder } from '../support/test-repository.ts'

const servers = [
  { name: 'MinIO', isMissing: lacks('minio', 'restic'), start: startMinio },
  { name: 'Ceph', isMissing: lacks('ceph', 'restic'), start: startCeph },
] as const

/** restic waits without end for a server that has stopped answering. */
const RESTIC_LIMIT_MS = 120_000

for (const { name, isMissing, start } of servers)
  describe.skipIf(isMissing)(`on ${name}`, () => {
    let server: S3Server
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server?.stop())

    const runRestic = (bucket: string, ...args: readonly string[]): string => {
      const { status, signal, stdout, stderr } = spawnSync(
        'restic',
        ['-r', `s3:${server.url}/${bucket}`, '--no-cache', ...args],
        {
          env: { ...process.env, ...server.environment, RESTIC_PASSWORD: PASSWORD },
          encoding: 'utf8',
          timeout: RESTIC_LIMIT_MS,
        },
      )
      if (status !== 0) throw new Error(`restic ${args.join(' ')} ended with ${signal ?? status}: ${stderr}`)
      return stdout
    }
    async function open(bucket: string): Promise<Repository> {
      const storage = await openStorage(`s3:${server.url}/${bucket}`, { environment: server.environment })
      const repository = await openRepository(storage, { password: PASSWORD })
      await repository.loadIndex()
      return repository
    }

    test('restic checks and restores what we made, and we what restic made', async () => {
      using scratch = scratchFolder()
      const files = scratch.join('files')
      await cp(new URL('../../src/engine/storage', import.meta.url), files, { recursive: true })
      writeFileSync(`${files}/large`, randomBytes(40 << 20))
      const storage = await openStorage(`s3:${server.url}/ours/some/prefix`, { environment: server.environment })
      await initRepository(storage, { password: PASSWORD }, { key: { kdf: CHEAP_KDF } })
      await storage.close()
      const ours = await open('ours/some/prefix')
      await backUp(ours, files)
      await ours.storage.close()
      runRestic('ours/some/prefix', 'check', '--read-data')
      runRestic('ours/some/prefix', 'restore', 'latest', '--target', scratch.join('by-restic'))
      expect(findTreeDifference(files, scratch.join('by-restic', files))).toBeUndefined()

      runRestic('theirs/some/prefix', 'init')
      runRestic('theirs/some/prefix', 'backup', files)
      const theirs = await open('theirs/some/prefix')
      expect(await loadSnapshots(theirs)).toHaveLength(1)
      const { findings } = await checkRepository(theirs, { read: { kind: 'all' }, threads: 0, progress: noProgress })
      expect(findings).toEqual([])
      const { summary } = await backUp(theirs, files)
      expect(summary.dataBlobs).toBe(0)
      expect(runRestic('theirs/some/prefix', 'snapshots', '--json')).toContain('test-host')
      await theirs.storage.close()
    })

    test('a copy of a bucket, without empty folders and with other modes, opens as a repository of this machine', async () => {
      using scratch = scratchFolder()
      const files = scratch.join('files')
      await cp(new URL('../support', import.meta.url), files, { recursive: true })
      const storage = await openStorage(`s3:${server.url}/fetched`, { environment: server.environment })
      await initRepository(storage, { password: PASSWORD }, { key: { kdf: CHEAP_KDF } })
      await storage.close()
      const remote = await open('fetched')
      await backUp(remote, files)
      await remote.storage.close()
      const folder = scratch.join('copy')
      await fetchBucket(server, 'fetched', folder)
      const local = await openRepository(await openStorage(folder), { password: PASSWORD })
      await local.loadIndex()
      const { findings } = await checkRepository(local, { read: { kind: 'all' }, threads: 0, progress: noProgress })
      expect(findings).toEqual([])
      const { summary } = await backUp(local, files)
      expect(summary.dataBlobs).toBe(0)
      expect(readFileSync(`${folder}/config`).length).toBeGreaterThan(0)
    })
  })

/** As `aws s3 sync` does: an object becomes a file of usual permissions, and folders are made as they are needed. */
async function fetchBucket({ s3 }: S3Server, Bucket: string, folder: string): Promise<void> {
  const { Contents = [] } = await s3.listObjectsV2({ Bucket })
  for (const { Key } of Contents) {
    const path = join(folder, Key!)
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
    const { Body } = await s3.getObject({ Bucket, Key: Key! })
    writeFileSync(path, await Body!.transformToByteArray(), { mode: 0o644 })
  }
}
