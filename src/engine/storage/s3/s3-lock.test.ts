import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../../test/support/requirements.ts'
import { startCeph } from '../../../../test/support/servers/ceph.ts'
import { startMinio } from '../../../../test/support/servers/minio.ts'
import type { S3Server } from '../../../../test/support/servers/s3-server.ts'
import { randomBytes } from '../../../lib/random.ts'
import { type CheckSizes, storageChecks } from '../contract.ts'
import { namedFile, newFile } from '../contract-support.ts'
import type { StoreFinding } from '../features.ts'
import type { FileRef, Storage } from '../storage.ts'
import { errorFrom } from '../testing.ts'
import { type OpenOptions, openS3 } from './testing.ts'

const few: CheckSizes = { listedFiles: 60, largeFileBytes: 6 << 20 }
const DAY_MS = 24 * 60 * 60 * 1000

const servers = [
  { name: 'MinIO', isMissing: lacks('minio'), start: startMinio, otherClass: 'REDUCED_REDUNDANCY' },
  { name: 'Ceph', isMissing: lacks('ceph'), start: startCeph, otherClass: undefined },
] as const

for (const { name, isMissing, start, otherClass } of servers)
  describe.skipIf(isMissing)(`a bucket of ${name}`, () => {
    let server: S3Server
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server?.stop())
    const open = (path: string, options: OpenOptions = {}): Storage =>
      openS3(`${server.url}/${path}`, { environment: server.environment, ...options })
    const versionsIn = async (Bucket: string): Promise<number> => {
      const { Versions = [], DeleteMarkers = [] } = await server.s3.listObjectVersions({ Bucket })
      return Versions.length + DeleteMarkers.length
    }
    const deletedIn = async (storage: Storage): Promise<string[]> => {
      const names: string[] = []
      for await (const { name } of storage.features.versions!.listDeleted('data')) names.push(name)
      return names
    }

    describe('with versions', () => {
      let storage: Storage
      beforeAll(async () => {
        storage = open('versioned/prefix')
        await storage.create()
        await server.s3.putBucketVersioning({ Bucket: 'versioned', VersioningConfiguration: { Status: 'Enabled' } })
      })
      afterAll(() => storage.close())
      test.each(storageChecks)('keeps the contract: $name', ({ run }) => run(storage, few), 60_000)

      test('has nothing left, hidden or not, of what was deleted', async () => {
        for (let count = 0; count < 3; count++)
          await storage.put({ kind: 'config' }, randomBytes(100), { replace: true })
        expect(await versionsIn('versioned')).toBe(3)
        await storage.delete({ kind: 'config' })
        expect(await versionsIn('versioned')).toBe(0)
        expect(storage.features.versions!.hidden!()).toEqual({ files: 0, bytes: 0 })
      })

      test('gives back what a stolen credential has deleted', async () => {
        const { file, content } = newFile('data', 5000)
        const other = newFile('data', 100)
        await storage.put(file, content)
        await storage.put(other.file, other.content)
        const Key = `prefix/data/${file.name.slice(0, 2)}/${file.name}`
        await server.s3.deleteObject({ Bucket: 'versioned', Key })
        await server.s3.deleteObject({ Bucket: 'versioned', Key })
        expect((await errorFrom(() => storage.get(file))).code).toBe('HF_STORAGE_NOT_FOUND')
        const { versions, classes } = storage.features
        const deleted = await Array.fromAsync(versions!.listDeleted('data'))
        expect(deleted).toEqual([{ name: file.name, sizeBytes: 5000, deletedMs: expect.any(Number) }])
        const all = await Array.fromAsync(classes!.list())
        expect(all.filter(({ isHidden }) => isHidden)).toEqual([
          { kind: 'data', sizeBytes: 5000, storageClass: 'STANDARD', isHidden: true },
        ])
        await versions!.undelete(file)
        expect(Buffer.compare(await storage.get(file), content)).toBe(0)
        expect(await deletedIn(storage)).toEqual([])
        for (const absent of [file, newFile('data', 1).file])
          expect((await errorFrom(() => versions!.undelete(absent))).code).toBe('HF_STORAGE_NOT_FOUND')
        await storage.delete(file)
        await storage.delete(other.file)
      })
    })

    describe.each(['governance', 'compliance'] as const)('with Object Lock (%s)', (mode) => {
      let storage: Storage
      const bucket = `locked-${mode}`
      beforeAll(async () => {
        storage = open(`${bucket}/prefix`, { settings: { lock: { mode, forMs: DAY_MS } } })
        await storage.create()
      })
      afterAll(() => storage.close())

      test('retains what is written, in parts too, and lets nobody delete it', async () => {
        const parts = open(`${bucket}/prefix`, {
          settings: { lock: { mode, forMs: DAY_MS } },
          wholeBytes: 1 << 20,
          partBytes: 5 << 20,
        })
        for (const [store, size] of [
          [storage, 5000],
          [parts, 7 << 20],
        ] as const) {
          const { file, content } = newFile('data', size)
          const before = Date.now()
          await store.put(file, content)
          const retention = await storage.features.retention!.get(file)
          expect(retention).toMatchObject({ mode, isHeld: false })
          expect(retention!.untilMs).toBeGreaterThanOrEqual(before + DAY_MS)
          expect(retention!.untilMs).toBeLessThan(Date.now() + DAY_MS + 2000)
          const error = await errorFrom(() => storage.delete(file))
          expect(error).toMatchObject({ code: 'HF_STORAGE_RETAINED', retry: 'never' })
          expect(error.message).toContain(`retains it until ${new Date(retention!.untilMs).toISOString()}`)
          expect(Buffer.compare(await storage.get(file), content)).toBe(0)
        }
        await parts.close()
      })

      test('refuses the deletion of the version itself, and gives the file back after it was hidden', async () => {
        const { file, content } = newFile('data', 5000)
        await storage.put(file, content)
        const Key = `prefix/data/${file.name.slice(0, 2)}/${file.name}`
        const { VersionId } = await server.s3.headObject({ Bucket: bucket, Key })
        await expect(server.s3.deleteObject({ Bucket: bucket, Key, VersionId })).rejects.toThrow()
        await server.s3.deleteObject({ Bucket: bucket, Key })
        expect(await deletedIn(storage)).toContain(file.name)
        await storage.features.versions!.undelete(file)
        expect(Buffer.compare(await storage.get(file), content)).toBe(0)
      })

      test('makes a retention longer, never shorter', async () => {
        const { file, content } = newFile('snapshot', 100)
        await storage.put(file, content)
        const { retention } = storage.features
        const until = Math.ceil(Date.now() / 1000) * 1000 + 3 * DAY_MS
        await retention!.extend(file, until)
        expect(await retention!.get(file)).toEqual({ mode, untilMs: until, isHeld: false })
        await retention!.extend(file, Date.now() + DAY_MS)
        expect(await retention!.get(file)).toEqual({ mode, untilMs: until, isHeld: false })
      })

      test('does not keep locks of the repository, and keeps what is held until it is released', async () => {
        const lock = newFile('lock', 100)
        await storage.put(lock.file, lock.content)
        const { retention } = storage.features
        expect(await retention!.get(lock.file)).toBeUndefined()
        await retention!.setLegalHold(lock.file, true)
        expect(await retention!.get(lock.file)).toMatchObject({ isHeld: true })
        await retention!.setLegalHold(lock.file, false)
        await storage.delete(lock.file)
        expect((await errorFrom(() => storage.stat(lock.file))).code).toBe('HF_STORAGE_NOT_FOUND')
        const Prefix = 'prefix/locks/'
        expect((await server.s3.listObjectVersions({ Bucket: bucket, Prefix })).Versions ?? []).toEqual([])
      })
    })

    test('a lock in a bucket that retains everything by itself is hidden, so that nobody waits for it', async () => {
      const storage = open('by-default', { settings: { lock: { mode: 'governance', forMs: DAY_MS } } })
      await storage.create()
      const DefaultRetention = { Mode: 'GOVERNANCE', Days: 1 } as const
      await server.s3.putObjectLockConfiguration({
        Bucket: 'by-default',
        ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled', Rule: { DefaultRetention } },
      })
      const { file, content } = newFile('lock', 100)
      await storage.put(file, content)
      await storage.delete(file)
      expect((await errorFrom(() => storage.stat(file))).code).toBe('HF_STORAGE_NOT_FOUND')
      expect(storage.features.versions!.hidden!()).toEqual({ files: 1, bytes: 100 })
      expect(stateOf(await storage.features.examine!(), 'retention')).toBe('bad')
      await storage.close()
    })

    test('without Object Lock nothing is written that was to be retained', async () => {
      const plain = open('no-lock')
      await plain.create()
      const storage = open('no-lock', { settings: { lock: { mode: 'compliance', forMs: DAY_MS } } })
      await storage.create()
      const { file, content } = newFile('data', 100)
      const error = await errorFrom(() => storage.put(file, content))
      expect(error.code).toBe('HF_STORAGE_CONTRACT')
      expect(error.message).toContain('has no Object Lock, which "lock" needs')
      expect((await errorFrom(() => storage.stat(file))).code).toBe('HF_STORAGE_NOT_FOUND')
      expect(await plain.features.retention!.get({ kind: 'config' } as FileRef).catch(() => 'absent')).toBe('absent')
      const findings = await storage.features.examine!()
      expect(stateOf(findings, 'retention')).toBe('bad')
      expect(stateOf(findings, 'versions')).toBe('bad')
      await storage.close()
      await plain.close()
    })

    test('is examined: what strangers may do, versions, locks, place', async () => {
      const storage = open('examined/prefix', { settings: { lock: { mode: 'governance', forMs: DAY_MS } } })
      await storage.create()
      await storage.put({ kind: 'config' }, randomBytes(100))
      const good = await storage.features.examine!()
      expect(good.filter(({ state }) => state === 'bad' || state === 'unknown')).toEqual([])
      for (const what of ['transport', 'access', 'versions', 'retention'] as const)
        expect(stateOf(good, what)).toBe('good')
      const Statement = [
        { Effect: 'Allow', Principal: '*', Action: ['s3:GetObject'], Resource: ['arn:aws:s3:::examined/*'] },
        { Effect: 'Allow', Principal: '*', Action: ['s3:ListBucket'], Resource: ['arn:aws:s3:::examined'] },
      ]
      const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
      await server.s3.putBucketPolicy({ Bucket: 'examined', Policy })
      const bad = await storage.features.examine!()
      expect(bad.filter(({ what, state }) => what === 'access' && state === 'bad').map(({ text }) => text)).toEqual(
        expect.arrayContaining(['anybody can list the files', 'anybody can read the files']),
      )
      await storage.close()
    })

    test.skipIf(otherClass === undefined)(
      'keeps packs in the class that was asked for, all else in the usual one',
      async () => {
        const storage = open('classes', { settings: { storageClass: otherClass } })
        await storage.create()
        const { file, content } = newFile('data', 100)
        await storage.put(file, content)
        await storage.put(namedFile('index', content), content)
        const classes = new Map<string, string>()
        for await (const { kind, storageClass } of storage.features.classes!.list()) classes.set(kind, storageClass)
        expect(Object.fromEntries(classes)).toEqual({ data: otherClass, index: 'STANDARD' })
        expect(await storage.features.classes!.state(file)).toBe('readable')
        await storage.close()
      },
    )
  })

const stateOf = (findings: readonly StoreFinding[], what: StoreFinding['what']): string | undefined =>
  findings.find((finding) => finding.what === what)?.state
