import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startFaultProxy } from '../../../../test/support/servers/fault-proxy.ts'
import { type S3Double, startS3Double } from '../../../../test/support/servers/s3-double.ts'
import { type CheckSizes, storageChecks } from '../contract.ts'
import { listFiles } from '../list-files.ts'
import type { Storage } from '../storage.ts'
import { steppedClock } from '../testing.ts'
import { s3Backend } from './s3-backend.ts'
import { openS3, s3Request } from './testing.ts'

const few: CheckSizes = { listedFiles: 230, largeFileBytes: 12 << 20 }
let double: S3Double
beforeAll(async () => {
  double = await startS3Double({ serverName: 'MinIO', pageSize: 100 })
})
afterAll(() => double.stop())

const open = (place: string, options: Readonly<Record<string, string>> = {}): Storage =>
  s3Backend.open!(s3Request(place, { environment: double.environment, options }))

/** Files above 1 MiB go up in parts. */
const openWithParts = (url: string, prefix: string): Storage =>
  openS3(`${url}/parts/${prefix}`, { environment: double.environment, wholeBytes: 1 << 20, partBytes: 5 << 20 })

describe.each([
  ['a prefix', () => open(`${double.url}/bucket/some/prefix`)],
  ['the root of a bucket', () => open(`${double.url}/bucket-of-its-own`)],
  ['the older listing', () => open(`${double.url}/bucket/older`, { 'list-objects-v1': 'true', connections: '2' })],
  ['uploads in parts', () => openWithParts(double.url, 'p')],
])('the S3 double, with %s, keeps the contract:', (_, openOne) => {
  let storage: Storage
  beforeAll(async () => {
    storage = openOne()
    await storage.create()
  })
  afterAll(() => storage.close())
  test.each(storageChecks)('$name', ({ run }) => run(storage, few), 60_000)
})

test('files lie where restic looks for them, and other keys are not taken for files', async () => {
  const storage = open(`${double.url}/layout/some/prefix/`)
  await storage.create()
  const name = 'ab'.repeat(32)
  const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
  await storage.put({ kind: 'data', name: empty }, new Uint8Array(0))
  await storage.put({ kind: 'key', name: empty }, new Uint8Array(0))
  const objects = double.buckets.get('layout')!
  expect([...objects.keys()]).toEqual([`some/prefix/data/e3/${empty}`, `some/prefix/keys/${empty}`])
  for (const stray of ['', 'ab/', `cd/${name}`, name, `ab/${name}.tmp`, `ab/${name.toUpperCase()}`, `x/ab/${name}`])
    objects.set(`some/prefix/data/${stray}`, Buffer.from('stray'))
  objects.set(`some/prefix/data/ab/${name}`, Buffer.from('pack'))
  expect((await listFiles(storage, 'data')).map((file) => file.name).sort()).toEqual([name, empty])
  await storage.close()
})

describe('create-only writes', () => {
  test.each([
    ['refused', 'somebody'],
    ['ignored', 'somebody'],
    ['ignored', 'AmazonS3'],
  ] as const)(
    'are done by asking first where conditions are %s, whoever it claims to be',
    async (conditions, serverName) => {
      const server = await startS3Double({ conditions, serverName })
      try {
        const storage = openS3(`${server.url}/bucket`, { environment: server.environment })
        await storage.create()
        for (const { name, run } of storageChecks)
          if (name.startsWith('a name that exists') || name.startsWith('files of all kinds')) await run(storage, few)
        await storage.close()
      } finally {
        await server.stop()
      }
    },
  )
})

test('an upload in parts that fails leaves no parts behind', async () => {
  const proxy = await startFaultProxy({ port: double.port })
  try {
    const storage = openS3(`${proxy.url}/parts/aborted`, {
      environment: double.environment,
      clock: steppedClock(),
      wholeBytes: 1 << 20,
      partBytes: 5 << 20,
    })
    await storage.create()
    proxy.setFaults([
      { when: ({ path }) => path.includes('partNumber=2'), effect: { type: 'cut-upload', bytes: 1000 } },
    ])
    const content = new Uint8Array(12 << 20)
    const before = double.unfinishedUploads
    await expect(storage.put({ kind: 'config' }, content)).rejects.toMatchObject({
      code: 'HF_STORAGE_IO',
      retry: 'later',
    })
    expect(double.unfinishedUploads).toBe(before)
    proxy.setFaults([])
    await storage.put({ kind: 'config' }, content)
    expect(Buffer.compare(await storage.get({ kind: 'config' }), content)).toBe(0)
    await storage.close()
  } finally {
    await proxy.stop()
  }
})
