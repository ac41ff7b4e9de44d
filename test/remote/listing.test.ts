import { createHash } from 'node:crypto'
import { linkSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { listFiles } from '../../src/engine/storage/list-files.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { openRest } from '../../src/engine/storage/rest/testing.ts'
import { openS3 } from '../../src/engine/storage/s3/testing.ts'
import { openSftp } from '../../src/engine/storage/sftp/testing.ts'
import type { Storage } from '../../src/engine/storage/storage.ts'
import { monotonicMilliseconds } from '../../src/lib/clock.ts'
import { lacks, type RequirementName } from '../support/requirements.ts'
import { startMinio } from '../support/servers/minio.ts'
import { startRcloneRest } from '../support/servers/rclone-rest.ts'
import { startS3Double } from '../support/servers/s3-double.ts'
import { startSshd } from '../support/servers/sshd.ts'
import { scratchFolder } from '../support/test-repository.ts'

/** `HOLDFAST_LISTED_FILES=100000` for what a large repository has; the figures are printed then. The usual number fills some pages. */
const FILES = Number(process.env.HOLDFAST_LISTED_FILES ?? 2_300)
const IS_LARGE = FILES >= 50_000

const names = Array.from({ length: FILES }, (_, i) => createHash('sha256').update(String(i)).digest('hex'))
const CONTENT = Buffer.from('a pack')

/** Puts files where a server keeps them, which is quicker than storing each. */
function placeFiles(folder: string): void {
  for (const name of names) writeFileSync(join(folder, 'data', name.slice(0, 2), name), CONTENT)
}

interface Place {
  readonly needs?: RequirementName
  /** A store with files, without asking it to store each. */
  open(name: string, done: AsyncDisposableStack): Promise<Storage>
}

const places: Readonly<Record<string, Place>> = {
  'a folder': {
    open: async (name, done) => {
      const scratch = done.use(scratchFolder())
      const storage = openLocalStorage(scratch.join(name))
      await storage.create()
      placeFiles(scratch.join(name))
      return storage
    },
  },
  'S3 double': {
    open: async (name, done) => {
      const server = await startS3Double()
      done.defer(() => server.stop())
      const storage = openS3(`${server.url}/${name}`, { environment: server.environment })
      await storage.create()
      for (const file of names) server.buckets.get(name)!.set(`data/${file.slice(0, 2)}/${file}`, CONTENT)
      return storage
    },
  },
  MinIO: {
    needs: 'minio',
    open: async (name, done) => {
      const server = await startMinio()
      done.defer(() => server.stop())
      const storage = openS3(`${server.url}/${name}`, { environment: server.environment })
      await storage.create()
      const first = { kind: 'data', name: names[0]! } as const
      await server.s3.putObject({ Bucket: name, Key: `data/${first.name.slice(0, 2)}/${first.name}`, Body: CONTENT })
      // An object is a folder with a file that does not tell its name.
      const data = join(server.folder, 'data', name, 'data')
      const [one] = readdirSync(data, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('xl.meta'))
      for (const file of names.slice(1)) {
        mkdirSync(join(data, file.slice(0, 2), file), { recursive: true })
        linkSync(join(data, one!), join(data, file.slice(0, 2), file, 'xl.meta'))
      }
      return storage
    },
  },
  'REST server': {
    needs: 'rclone',
    open: async (name, done) => {
      const server = await startRcloneRest()
      done.defer(() => server.stop())
      const storage = openRest(`${server.url}${name}/`)
      await storage.create()
      await openLocalStorage(join(server.data, name)).create()
      placeFiles(join(server.data, name))
      return storage
    },
  },
  'SFTP server': {
    needs: 'sshd',
    open: async (name, done) => {
      const server = await startSshd()
      done.defer(() => server.stop())
      const storage = openSftp(server.url(name), server)
      await storage.create()
      placeFiles(join(server.data, name))
      return storage
    },
  },
}

describe.each(Object.keys(places))('a listing of many files: %s', (kind) => {
  const { needs, open } = places[kind]!
  const done = new AsyncDisposableStack()
  afterAll(() => done.disposeAsync())

  test.skipIf(needs !== undefined && lacks(needs))(
    'has each once, with its size, and may be left',
    async () => {
      const storage = await open('listed', done)
      const before = process.memoryUsage().rss
      const left = new Set(names)
      const started = monotonicMilliseconds()
      let first: number | undefined
      let most = before
      let count = 0
      for await (const { name, sizeBytes } of storage.list('data')) {
        first ??= monotonicMilliseconds() - started
        if (!left.delete(name)) throw new Error(`${name} comes twice, or is not there`)
        if (sizeBytes !== CONTENT.length) throw new Error(`${name} has ${sizeBytes} bytes`)
        if (++count % 1000 === 0) most = Math.max(most, process.memoryUsage().rss)
      }
      const tookMs = monotonicMilliseconds() - started
      expect(left.size).toBe(0)
      expect(await listFiles(storage, 'snapshot')).toEqual([])
      for await (const _ of storage.list('data')) break
      if (IS_LARGE) {
        const figures = [`${FILES} files`, `${Math.round(tookMs)} ms`, `the first after ${Math.round(first ?? 0)} ms`]
        console.info([kind, ...figures, `${Math.round((most - before) / 2 ** 20)} MiB`].join(', '))
      }
      await storage.close()
    },
    60_000 + FILES * 10,
  )
})
