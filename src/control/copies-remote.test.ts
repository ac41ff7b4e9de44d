import { spawnSync } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { copyStorage } from '../../test/support/copy-storage.ts'
import { lacks } from '../../test/support/requirements.ts'
import { plain, run } from '../../test/support/run-stage.ts'
import { type MinioServer, startMinio } from '../../test/support/servers/minio.ts'
import { mongoSource, startMongoStage } from '../../test/support/servers/mongo-source.ts'
import { startPostgres } from '../../test/support/servers/postgres.ts'
import { sourceOf } from '../../test/support/servers/postgres-source.ts'
import { type RestServer, startRcloneRest } from '../../test/support/servers/rclone-rest.ts'
import { type SshServer, startSshd } from '../../test/support/servers/sshd.ts'
import { noise } from '../../test/support/storage-victims.ts'
import { CHEAP_KDF, expectResticContent, PASSWORD, restic, scratchFolder } from '../../test/support/test-repository.ts'
import { initRepository, openRepository, type Repository } from '../engine/repository/repository.ts'
import { loadSnapshots } from '../engine/repository/snapshots.ts'
import { openLocalStorage } from '../engine/storage/local/local-storage.ts'
import { openRest } from '../engine/storage/rest/testing.ts'
import { openS3 } from '../engine/storage/s3/testing.ts'
import { openSftp } from '../engine/storage/sftp/testing.ts'
import type { Storage } from '../engine/storage/storage.ts'
import { HoldfastError } from '../lib/errors.ts'
import type { Source } from '../sources/source.ts'

const options = { packBytes: 4 * 1024 * 1024 }

async function made(storage: Storage): Promise<Repository> {
  await storage.create()
  const first = { key: { kdf: CHEAP_KDF }, chunkerPolynomial: 0x25b468838dcb75n, ...options }
  return await initRepository(storage, { password: PASSWORD }, first)
}

const reopened = (storage: Storage): Promise<Repository> => openRepository(storage, { password: PASSWORD }, options)

/** A store whose server ends for good when it is asked to store the second pack. */
function dying(storage: Storage, end: () => Promise<unknown>): Storage {
  let packs = 0
  const put: Storage['put'] = async (file, content, more) => {
    if (file.kind === 'data' && ++packs === 2) await end()
    await storage.put(file, content, more)
  }
  return new Proxy(storage, {
    get: (target, name) => {
      if (name === 'put') return put
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** Counts how often a source is read. */
function counted(source: Source): { readonly source: Source; readonly reads: () => number } {
  let reads = 0
  const backup: Source['backup'] = (...given) => {
    reads++
    return source.backup(...given)
  }
  return { source: Object.assign(Object.create(source), { backup }), reads: () => reads }
}

const trees = async (repository: Repository): Promise<readonly string[]> =>
  (await loadSnapshots(repository)).map(({ tree }) => tree!).sort()

describe.skipIf(lacks('restic', 'sshd', 'rclone'))('one reading of a server for several stores', () => {
  let minio: MinioServer
  let ssh: SshServer
  let rest: RestServer
  const scratch = scratchFolder()
  beforeAll(async () => {
    ssh = await startSshd()
    rest = await startRcloneRest()
    if (!lacks('minio')) minio = await startMinio()
  })
  afterAll(async () => {
    await Promise.all([minio?.stop(), ssh?.stop(), rest?.stop()])
    scratch[Symbol.dispose]()
  })

  /** As restic sees the repository. */
  async function expectWhole(storage: Storage, name: string): Promise<string> {
    const path = scratch.join(name)
    await copyStorage(storage, openLocalStorage(path))
    expectResticContent(path)
    return path
  }

  test.skipIf(lacks('minio', 'postgres15'))(
    'PostgreSQL: a store that dies on the way costs its copy alone, and the next one takes the place of the first',
    async () => {
      await using server = await startPostgres({ version: 15 })
      const grow = (seed: number): Promise<unknown> =>
        server.sql(
          `CREATE TABLE bulk_${seed} AS SELECT g, md5((g * ${seed})::text) || md5(g::text) FROM generate_series(1, 150000) g`,
        )
      const { source, reads } = counted(sourceOf(server))
      const shop = [plain(source)]
      const storages = {
        s3: openS3(`${minio.url}/copies`, { environment: minio.environment }),
        sftp: openSftp(ssh.url('copies'), ssh),
        rest: openRest(`${rest.url}copies/`),
      }
      const { s3, sftp } = storages
      await grow(1)
      const all = { s3: await made(s3), sftp: await made(sftp), rest: await made(storages.rest) }
      const [first] = await run(all, shop, { run: 'one' })
      expect(first).toMatchObject({ outcome: 'complete' })
      expect(first!.copies.map(({ outcome }) => outcome)).toEqual(['written', 'copied', 'copied'])
      expect(reads()).toBe(1)

      await grow(2)
      const killed = dying(storages.rest, () => rest.kill())
      const [second] = await run(
        { s3: await reopened(s3), sftp: await reopened(sftp), rest: await reopened(killed) },
        shop,
        { run: 'two' },
      )
      expect(second!.copies).toMatchObject([
        { repository: 's3', outcome: 'written' },
        { repository: 'sftp', outcome: 'copied' },
        { repository: 'rest', outcome: 'failed', error: { code: expect.stringMatching(/^HF_STORAGE_/) } },
      ])
      expect(reads()).toBe(2)

      await rest.start()
      await grow(3)
      const gone = dying(s3, async () => {
        process.kill(minio.pid, 'SIGKILL')
      })
      const last = { s3: await reopened(gone), sftp: await reopened(sftp), rest: await reopened(storages.rest) }
      const [third] = await run(last, shop, { run: 'three' })
      expect(third!.copies).toMatchObject([
        { repository: 's3', outcome: 'failed' },
        { repository: 'sftp', outcome: 'written' },
        { repository: 'rest', outcome: 'copied', caughtUp: 1 },
      ])
      expect(third!.copies[0]!.error).toBeInstanceOf(HoldfastError)
      // What the first one got by then does not help the second, which needs all.
      expect(reads()).toBe(4)
      expect(await trees(last.rest)).toEqual(await trees(last.sftp))
      expect(await trees(last.sftp)).toHaveLength(3)

      await expectWhole(sftp, 'from-sftp')
      const path = await expectWhole(storages.rest, 'from-rest')
      const restored = restic(path, 'restore', 'latest', '--target', scratch.join('restored'))
      expect(restored.status, restored.stderr).toBe(0)
      chmodSync(scratch.join('restored'), 0o755)
      const verify = spawnSync('/usr/lib/postgresql/15/bin/pg_verifybackup', [scratch.join('restored/shop/data')])
      expect(verify.status, String(verify.stderr)).toBe(0)
    },
    180_000,
  )

  test('MongoDB: a store that dies on the way has everything after the next run', async () => {
    await using stage = await startMongoStage()
    const fill = (seed: number): Promise<unknown> =>
      stage.client
        .db('shop')
        .collection('orders')
        .insertMany(Array.from({ length: 100 }, (_, i) => ({ content: Buffer.from(noise(seed * 100 + i, 150_000)) })))
    const { source, reads } = counted(mongoSource({ url: stage.server.url }))
    const catalog = [plain(source)]
    const here = openLocalStorage(scratch.join('mongo'))
    const sftp = openSftp(ssh.url('mongo'), ssh)
    await fill(0)
    const [first] = await run({ here: await made(here), sftp: await made(sftp) }, catalog, { run: 'one' })
    expect(first!.copies.map(({ outcome }) => outcome)).toEqual(['written', 'copied'])

    await fill(1)
    const killed = dying(sftp, () => ssh.kill())
    const [second] = await run({ here: await reopened(here), sftp: await reopened(killed) }, catalog, { run: 'two' })
    expect(second!.copies).toMatchObject([
      { repository: 'here', outcome: 'written' },
      { repository: 'sftp', outcome: 'failed', error: { code: expect.stringMatching(/^HF_STORAGE_/) } },
    ])

    await ssh.start()
    const again = openSftp(ssh.url('mongo'), ssh)
    const last = { here: await reopened(here), sftp: await reopened(again) }
    const [third] = await run(last, catalog, { run: 'three' })
    expect(third!.copies).toMatchObject([{ outcome: 'written' }, { outcome: 'copied', caughtUp: 1 }])
    expect(reads()).toBe(3)
    expect(await trees(last.sftp)).toEqual(await trees(last.here))
    await expectWhole(again, 'mongo-from-sftp')
    expectResticContent(scratch.join('mongo'))
  })
})
