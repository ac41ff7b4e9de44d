import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../test/support/requirements.ts'
import { filesSource, opened, plain, run } from '../../test/support/run-stage.ts'
import { noise } from '../../test/support/storage-victims.ts'
import {
  expectResticContent,
  memoryRepository,
  newRepository,
  overStorage,
  plainOptions,
  reopen,
  scratchFolder,
} from '../../test/support/test-repository.ts'
import { loadEverything } from '../../test/support/whole-snapshots.ts'
import { backupEntries } from '../engine/archive/entries-backup.ts'
import type { Repository } from '../engine/repository/repository.ts'
import { loadSnapshots } from '../engine/repository/snapshots.ts'
import { withBandwidthLimit } from '../engine/storage/layers/with-bandwidth-limit.ts'
import { type Fault, withFaults } from '../engine/storage/layers/with-faults.ts'
import { monotonicMilliseconds, systemClock } from '../lib/clock.ts'
import { HoldfastError } from '../lib/errors.ts'
import { utcTimestamp } from '../lib/go-time.ts'
import type { Source } from '../sources/source.ts'
import { failureOf } from './backup-run.ts'
import { writeCopies } from './copies.ts'

const POLYNOMIAL = 0x25b468838dcb75n
const MIB = 1024 * 1024
const SMALL_PACKS = 4 * MIB
const options = { chunkerPolynomial: POLYNOMIAL, packBytes: SMALL_PACKS }

/** A source of one stream, that counts how often it is read and when that was over. */
function streamSource(sizeBytes: number, seed = 1): Source & { reads: number; readAt: number } {
  const source = {
    name: 'stream',
    type: 'test',
    paths: ['/stream'],
    reads: 0,
    readAt: 0,
    test: () => Promise.reject(new Error('no test')),
    examine: () => Promise.resolve([]),
    backup: async ({ repository, options: given }: Parameters<Source['backup']>[0]) => {
      source.reads++
      async function* content(): AsyncGenerator<Uint8Array> {
        for (let at = 0; at < sizeBytes; at += MIB) {
          yield noise(seed * 1000 + at / MIB, Math.min(MIB, sizeBytes - at))
          await systemClock.sleep(0)
        }
        source.readAt = monotonicMilliseconds()
      }
      const attributes = { mode: 0o600, mtime: utcTimestamp(0n), uid: 0, gid: 0 }
      const result = await backupEntries(repository, {
        ...given,
        paths: ['/stream'],
        write: (entries) => entries.file('/stream', attributes, content(), { kind: 'content' }),
      })
      return { result, type: 'full' as const, reason: undefined, point: undefined }
    },
  }
  return source
}

/** A repository in a folder as if it were far away, and as faulty as it is said: no thread reads or writes there by itself. */
const far = (repository: Repository, faults: readonly Fault[] = []): Repository =>
  overStorage(repository, withFaults(repository.storage, faults), { packBytes: SMALL_PACKS })

const spools = (folder: string): readonly string[] => readdirSync(folder).filter((name) => name.includes('spool'))

describe('a source of several repositories', () => {
  test('is read once, and each has a whole snapshot under its own key', async () => {
    using scratch = scratchFolder()
    const folder = scratch.join('data')
    mkdirSync(folder)
    for (let i = 0; i < 24; i++) writeFileSync(`${folder}/${i}`, noise(i, 400_000))
    const names = ['here', 'there', 'memory'] as const
    const here = await newRepository(scratch.join('here'), options)
    const there = await newRepository(scratch.join('there'), { ...options, version: 1 })
    const memory = await memoryRepository(options)
    const repositories = { memory, here, there }
    const stream = streamSource(10 * MIB)
    const sources = [plain(filesSource('uploads', [folder])), plain(stream)]
    const first = await run(repositories, sources, { run: 'one' })
    expect(failureOf(first)).toBeUndefined()
    expect(stream.reads).toBe(1)
    for (const { copies } of first) {
      // What lies on this machine is written first, whatever comes first in the list.
      expect(copies.map(({ repository, outcome }) => [repository, outcome])).toEqual([
        ['here', 'written'],
        ['there', 'copied'],
        ['memory', 'copied'],
      ])
      expect(copies[1]!.snapshot).toMatchObject({
        tree: copies[0]!.snapshot!.tree,
        original: copies[0]!.snapshot!.id,
        tags: copies[0]!.snapshot!.tags,
      })
    }
    writeFileSync(`${folder}/3`, noise(99, 400_000))
    const [second] = await run(repositories, sources.slice(0, 1), { run: 'two' })
    expect(second!.backup!.type).toBe('incremental')
    for (const name of names) {
      const [copy, before] = [second!, first[0]!].map(({ copies }) =>
        copies.find(({ repository }) => repository === name),
      )
      expect(copy!.snapshot!.parent, name).toBe(before!.snapshot!.id)
      expect(copy!.storedBytes, name).toBeLessThan(600_000)
    }
    expect(await loadEverything(memory.storage)).toHaveLength(3)
    if (lacks('restic')) return
    expectResticContent(scratch.join('here'))
    expectResticContent(scratch.join('there'))
  })

  test('goes to fast repositories at their pace while a slow one is fed from the spool, which is bounded', async () => {
    using scratch = scratchFolder()
    const [fast, slowly] = [await memoryRepository(options), await memoryRepository(options)]
    const limited = withBandwidthLimit(slowly.storage, { uploadBytesPerSecond: 12 * MIB })
    const slow = overStorage(slowly, limited, { packBytes: SMALL_PACKS })
    const roomy = streamSource(28 * MIB, 1)
    const started = monotonicMilliseconds()
    const spool = { root: scratch.path, capacityBytes: 256 * MIB }
    const [result] = await run({ fast, slow }, [plain(roomy)], { spool, run: 'one' })
    const readTime = roomy.readAt - started
    const wholeTime = monotonicMilliseconds() - started
    expect(result).toMatchObject({ outcome: 'complete' })
    // One second of the limit is free; the rest of 28 MiB takes more than another one.
    expect(wholeTime - readTime).toBeGreaterThan(500)
    const tight = streamSource(28 * MIB, 2)
    const again = monotonicMilliseconds()
    const small = { root: scratch.path, capacityBytes: 8 * MIB }
    const [waited] = await run({ fast, slow }, [plain(tight)], { spool: small, run: 'two' })
    expect(waited).toMatchObject({ outcome: 'complete' })
    expect(tight.readAt - again).toBeGreaterThan(500)
    expect(spools(scratch.path)).toEqual([])
    for (const { storage } of [fast, slowly]) expect(await loadEverything(storage)).toHaveLength(2)
  })

  test('is in the others when one fails, says so, and brings what it missed with the next run', async () => {
    using scratch = scratchFolder()
    const here = await newRepository(scratch.join('here'), options)
    const there = await newRepository(scratch.join('there'), options)
    await run({ here, there }, [plain(streamSource(5 * MIB, 1))], { run: 'one' })
    const full = new HoldfastError('HF_STORAGE_FULL', 'no space left')
    const faults = [{ operation: 'put', kind: 'data', call: 2, effect: { type: 'fail', error: full } }] as const
    const broken = far(there, faults)
    const [second] = await run({ here, broken }, [plain(streamSource(20 * MIB, 2))], { run: 'two' })
    expect(second!.outcome).toBe('incomplete')
    expect(second!.copies).toMatchObject([
      { repository: 'here', outcome: 'written', error: undefined },
      { repository: 'broken', outcome: 'failed', error: { code: 'HF_STORAGE_FULL' } },
    ])
    expect(failureOf([second!])).toMatchObject({
      code: 'HF_RUN_FAILED',
      message: 'not every repository has all it should have: stream in broken',
    })
    await loadEverything(there.storage)
    const again = await reopen(scratch.join('there'))
    const [third] = await run({ here, there: again }, [plain(streamSource(5 * MIB, 3))], { run: 'three' })
    expect(third!.copies[1]).toMatchObject({ outcome: 'copied', caughtUp: 1 })
    const runs = (await loadSnapshots(again)).map(({ tags }) => tags.find((tag) => tag.startsWith('run=')))
    expect(runs).toEqual(['run=one', 'run=two', 'run=three'])
    if (!lacks('restic')) expectResticContent(scratch.join('there'))
  })

  test('is written to the next repository when the first one fails in the middle, which gets it later', async () => {
    using scratch = scratchFolder()
    const here = await newRepository(scratch.join('here'), options)
    const there = await newRepository(scratch.join('there'), options)
    await run({ here, there }, [plain(streamSource(5 * MIB, 1))], { run: 'one' })
    const error = new HoldfastError('HF_STORAGE_IO', 'the disk is gone')
    const faults = [{ operation: 'put', kind: 'data', call: 5, effect: { type: 'fail', error } }] as const
    const broken = far(here, faults)
    const stream = streamSource(24 * MIB, 2)
    // So small that the first repository waits for what is fed to the next one.
    const spool = { root: scratch.path, capacityBytes: 8 * MIB }
    const [second] = await run({ broken, there: far(there) }, [plain(stream)], { run: 'two', spool })
    expect(stream.reads).toBe(2)
    expect(second!.outcome).toBe('incomplete')
    expect(second!.copies).toMatchObject([
      { repository: 'broken', outcome: 'failed', error: { code: 'HF_STORAGE_IO' } },
      { repository: 'there', outcome: 'written', snapshot: { original: undefined } },
    ])
    expect(spools(scratch.path)).toEqual([])
    // What had been copied by then was not stored again.
    expect(second!.copies[1]!.storedBytes).toBeLessThan(20 * MIB)
    const [back, other] = [await reopen(scratch.join('here')), await reopen(scratch.join('there'))]
    const [third] = await run({ here: back, there: other }, [plain(streamSource(5 * MIB, 3))], { run: 'three' })
    expect(third!.copies).toMatchObject([
      { repository: 'here', outcome: 'written', caughtUp: 1 },
      { repository: 'there', outcome: 'copied', caughtUp: 0 },
    ])
    for (const repository of [back, other]) expect(await loadEverything(repository.storage)).toHaveLength(3)
  })

  test('is read once more for a repository that cuts at other places', async () => {
    const [one, two, other] = [
      await memoryRepository(options),
      await memoryRepository(options),
      await memoryRepository({ packBytes: SMALL_PACKS }),
    ]
    const stream = streamSource(3 * MIB)
    const [result] = await run({ one, other, two }, [plain(stream)])
    expect(stream.reads).toBe(2)
    expect(result!.copies.map(({ repository, outcome }) => [repository, outcome])).toEqual([
      ['one', 'written'],
      ['two', 'copied'],
      ['other', 'written'],
    ])
    for (const { storage } of [one, two, other]) expect(await loadEverything(storage)).toHaveLength(1)
  })

  test('has no snapshot anywhere when it cannot be read, and is not read again for that', async () => {
    const [one, two] = [await memoryRepository(options), await memoryRepository(options)]
    const stream = streamSource(MIB)
    let reads = 0
    const failing: Source = {
      ...stream,
      backup: () => {
        reads++
        return Promise.reject(new HoldfastError('HF_SOURCE_UNREACHABLE', 'the server is down'))
      },
    }
    const [result] = await run({ one, two }, [plain(failing)])
    expect(reads).toBe(1)
    expect(result).toMatchObject({ outcome: 'failed', error: { code: 'HF_SOURCE_UNREACHABLE' } })
    expect(result!.copies.map(({ outcome }) => outcome)).toEqual(['failed', 'failed'])
    for (const repository of [one, two]) expect(await loadSnapshots(repository)).toEqual([])
  })

  test('loses only the repository whose lock is lost', async () => {
    const [one, two] = [await memoryRepository(options), await memoryRepository(options)]
    const lost = new AbortController()
    lost.abort(new HoldfastError('HF_LOCK_LOST', 'somebody removed the lock'))
    const second = await opened('two', two)
    const stream = streamSource(MIB)
    const first = await opened('one', one)
    const { copies } = await writeCopies([first, { ...second, signal: lost.signal }], {
      source: 'stream',
      spool: { root: '/tmp', capacityBytes: MIB },
      backUp: async ({ repository }, packs, signal) => {
        return await stream.backup({
          repository,
          type: 'full',
          require: [],
          options: { ...plainOptions(repository), packs, signal },
        })
      },
    })
    expect(copies).toMatchObject([
      { repository: 'one', outcome: 'written' },
      { repository: 'two', outcome: 'failed', error: { code: 'HF_LOCK_LOST' } },
    ])
  })
})
