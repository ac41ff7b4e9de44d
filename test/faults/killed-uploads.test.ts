import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { initRepository } from '../../src/engine/repository/repository.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { openS3 } from '../../src/engine/storage/s3/testing.ts'
import type { Storage } from '../../src/engine/storage/storage.ts'
import { copyStorage } from '../support/copy-storage.ts'
import { runProgram } from '../support/killed-program.ts'
import { lacks } from '../support/requirements.ts'
import { startMinio } from '../support/servers/minio.ts'
import { startS3Double } from '../support/servers/s3-double.ts'
import { noise } from '../support/storage-victims.ts'
import { CHEAP_KDF, expectResticContent, PASSWORD, restic, scratchFolder } from '../support/test-repository.ts'
import { loadEverything } from '../support/whole-snapshots.ts'

/** `HOLDFAST_KILLS=100` for the long run. */
const KILLS = Math.ceil(Number(process.env.HOLDFAST_KILLS ?? 4))
/** A repository is read whole after each kill, so it must not grow for ever. */
const ROUNDS_PER_REPOSITORY = 10
const FILES = 16
const FILE_BYTES = 1_100_000

interface Store {
  readonly url: string
  readonly environment: Readonly<Record<string, string>>
  /** How many objects of a repository are stored. */
  count(repository: string, kind: string): number
  stop(): Promise<void>
}

const stores: Readonly<Record<string, () => Promise<Store>>> = {
  'S3 double': async () => {
    const double = await startS3Double()
    return {
      ...double,
      count: (repository, kind) =>
        [...(double.buckets.get(repository)?.keys() ?? [])].filter((key) => key.startsWith(`${kind}/`)).length,
      stop: () => double.stop(),
    }
  },
  MinIO: async () => {
    const server = await startMinio()
    // An object is a folder with a file of its attributes.
    const count = (repository: string, kind: string): number => {
      try {
        const names = readdirSync(join(server.folder, 'data', repository, kind), { recursive: true, encoding: 'utf8' })
        return names.filter((name) => name.endsWith('xl.meta')).length
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
        throw error
      }
    }
    return { ...server, count, stop: () => server.stop() }
  },
}

/** Moments of a run, by what it has stored; in the middle of the next object as a rule. */
const moments: readonly (readonly [kind: string, more: number])[] = [
  ['data', 1],
  ['data', 4],
  ['snapshots', 1],
  ['locks', 1],
  ['data', 2],
  ['index', 1],
  ['data', 3],
  ['data', 5],
]

describe.skipIf(lacks('restic')).each(Object.keys(stores))('uploads to %s that are killed', (name) => {
  const isAbsent = name === 'MinIO' && lacks('minio')
  let store: Store
  beforeAll(async () => {
    if (!isAbsent) store = await stores[name]!()
  })
  afterAll(() => store?.stop())

  test.skipIf(isAbsent)(
    'lose nothing, and the next run completes',
    async () => {
      using scratch = scratchFolder()
      const data = scratch.join('data')
      mkdirSync(data)
      const change = (round: number): void => {
        for (let i = 0; i < FILES; i++) writeFileSync(join(data, `${i}`), noise((round * FILES + i) % 251, FILE_BYTES))
      }
      // Runs that end before their moment are no kills, and are not counted as such.
      let killed = 0
      for (let round = 0; killed < KILLS; ) {
        expect(round, 'runs that ended before they were killed').toBeLessThan(3 * KILLS + moments.length)
        const bucket = `killed-${round}`
        const open = (): Storage => openS3(`${store.url}/${bucket}`, { environment: store.environment })
        const storage = open()
        await storage.create()
        await initRepository(storage, { password: PASSWORD }, { key: { kdf: CHEAP_KDF } })
        const backUp = (when?: () => boolean | Promise<boolean>) =>
          runProgram(['-r', `s3:${store.url}/${bucket}`, '--no-cache', '--pack-size', '4', 'backup', data], {
            environment: { ...store.environment, HOLDFAST_PASSWORD: PASSWORD },
            when,
          })
        let snapshots = 0
        for (const end = round + ROUNDS_PER_REPOSITORY; round < end && killed < KILLS; round++) {
          change(round)
          const [kind, more] = moments[round % moments.length]!
          const goal = store.count(bucket, kind) + more
          // Not always at the very moment when an object is there.
          const { status, output } = await backUp(async () => {
            if (store.count(bucket, kind) < goal) return false
            await sleep((round * 7) % 30)
            return true
          })
          if (status === null) killed++
          else expect(status, output).toBe(0)
          const whole = await loadEverything(storage)
          expect(whole.length).toBeGreaterThanOrEqual(snapshots)
          snapshots = whole.length
        }
        const last = await backUp()
        expect(last.status, last.output).toBe(0)
        const path = scratch.join(bucket)
        await copyStorage(storage, openLocalStorage(path))
        await storage.close()
        expect(restic(path, 'unlock', '--remove-all').status).toBe(0)
        expectResticContent(path)
        expect(restic(path, 'restore', 'latest', '--target', scratch.join('restored')).status).toBe(0)
        for (let i = 0; i < FILES; i++) {
          const file = join(data, `${i}`)
          expect(readFileSync(scratch.join('restored', file)).equals(readFileSync(file)), file).toBe(true)
        }
      }
    },
    120_000 + KILLS * 30_000,
  )
})
