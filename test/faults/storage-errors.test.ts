import type { Worker } from 'node:worker_threads'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { checkRepository } from '../../src/engine/repository/check/check.ts'
import { initRepository, openRepository, type Repository } from '../../src/engine/repository/repository.ts'
import type { StoredSnapshot } from '../../src/engine/repository/snapshot.ts'
import { type Fault, type Operation, withFaults } from '../../src/engine/storage/layers/with-faults.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { openMemoryStorage } from '../../src/engine/storage/memory/memory-storage.ts'
import type { FileKind, Storage } from '../../src/engine/storage/storage.ts'
import { type ErrorCode, HoldfastError } from '../../src/lib/errors.ts'
import { noProgress } from '../../src/lib/progress.ts'
import { copyStorage, fileNames } from '../support/copy-storage.ts'
import { lacks } from '../support/requirements.ts'
import {
  AGES,
  newReports,
  OTHER_PASSWORD,
  opens,
  SMALL_PACK_BYTES,
  type Victim,
  victims,
  type World,
  writeAge,
} from '../support/storage-victims.ts'
import { backUp, CHEAP_KDF, expectResticContent, PASSWORD, scratchFolder } from '../support/test-repository.ts'
import { loadEverything } from '../support/whole-snapshots.ts'

/** All of the first calls are failed, then every n-th so that about as many more are. */
const FIRST_CALLS = 20
const MORE_CALLS = 6

const operations: readonly Operation[] = ['create', 'put', 'get', 'stat', 'list', 'delete']

/** How a call fails; `forGood`: every call from there on does, as when a network drive is gone. */
interface Kind {
  readonly name: string
  readonly code: ErrorCode
  readonly effect: 'fail' | 'fail-after' | 'cut'
  readonly forGood?: boolean
}

const kinds: readonly Kind[] = [
  { name: 'an input or output error', code: 'HF_STORAGE_IO', effect: 'fail' },
  { name: 'a connection lost after the work was done', code: 'HF_STORAGE_IO', effect: 'fail-after' },
  { name: 'a full disk', code: 'HF_STORAGE_FULL', effect: 'fail' },
  { name: 'an answer cut short', code: 'HF_STORAGE_SHORT', effect: 'cut' },
  { name: 'no permission', code: 'HF_STORAGE_DENIED', effect: 'fail' },
  { name: 'a storage that is gone for good', code: 'HF_STORAGE_IO', effect: 'fail', forGood: true },
]

/** Whether a call of this operation can fail so: only writes meet a full disk, only reads a short answer. */
const applies = ({ code, effect }: Kind, operation: Operation): boolean =>
  (code !== 'HF_STORAGE_FULL' || operation === 'put') && (effect !== 'cut' || operation === 'get')

interface Call {
  readonly operation: Operation
  readonly kind: FileKind | undefined
}

/** `put data/ab12cd34` */
function callOf(text: string): Call {
  const [operation, object] = text.split(' ')
  return { operation: operation as Operation, kind: object?.split('/')[0] as FileKind | undefined }
}

/** The faults that hit the last of `calls`. */
function faultsAt(calls: readonly Call[], kind: Kind): Fault[] {
  const last = calls.at(-1)!
  const error = new HoldfastError(
    kind.code,
    `cannot ${last.operation} ${last.kind ?? 'the repository'}/0badc0de: ${kind.name}`,
  )
  const effect = kind.effect === 'cut' ? { type: 'cut' as const, bytes: 40 } : { type: kind.effect, error }
  if (kind.forGood)
    return operations.map((operation) => {
      const before = calls.slice(0, -1).filter((call) => call.operation === operation).length
      return { operation, call: before + 1, effect }
    })
  const call = calls.filter((one) => one.operation === last.operation && one.kind === last.kind).length
  return [{ ...last, kind: last.kind!, call, times: 1, effect }]
}

/** Whether there are at least as many calls like the last of `expected` as there are among these. */
function includesAll(calls: readonly Call[], expected: readonly Call[]): boolean {
  const { operation, kind } = expected.at(-1)!
  const count = (of: readonly Call[]): number =>
    of.filter((call) => call.operation === operation && call.kind === kind).length
  return count(calls) >= count(expected)
}

async function open(storage: Storage): Promise<Repository> {
  const password = (await opens(storage, PASSWORD)) ? PASSWORD : OTHER_PASSWORD
  const repository = await openRepository(storage, { password }, { packBytes: SMALL_PACK_BYTES })
  await repository.loadIndex()
  return repository
}

async function newIn(storage: Storage, version: 1 | 2): Promise<Repository> {
  const options = { version, packBytes: SMALL_PACK_BYTES, key: { kdf: CHEAP_KDF } }
  const repository = await initRepository(storage, { password: PASSWORD }, options)
  await repository.loadIndex()
  return repository
}

/** The whole operation, as a program would do it, over a storage that may fail. */
async function perform(victim: Victim, storage: Storage, world: World): Promise<readonly string[]> {
  const repository = await openRepository(storage, { password: PASSWORD }, { packBytes: SMALL_PACK_BYTES })
  await repository.loadIndex()
  const reports = newReports()
  await victim.run(repository, world, reports)
  return reports.texts
}

const namesObject = /\b(config|data|index|key|lock|snapshot|tree|pack|packs|blob|repository)\b/

describe('an error of the storage at any call', () => {
  const scratch = scratchFolder()
  const data = scratch.join('data')
  let histories: Readonly<Record<1 | 2, Storage>>
  let world: World
  /** Opening the repository is the same for all: it is made to fail for one of them. */
  let openingCalls: number
  const threads = new Set<Worker>()
  process.on('worker', (worker: Worker) => {
    threads.add(worker)
    worker.once('exit', () => threads.delete(worker))
  })

  beforeAll(async () => {
    histories = { 1: openMemoryStorage(), 2: openMemoryStorage() }
    for (const version of [1, 2] as const) {
      const repository = await newIn(histories[version], version)
      for (let age = 0; age < AGES; age++) {
        if (age > 0) await backUp(repository, data)
        writeAge(data, age)
      }
    }
    const source = openMemoryStorage()
    await backUp(await newIn(source, 2), data)
    world = { data, source }
    const counted = withFaults(histories[2], [])
    await (await openRepository(counted, { password: PASSWORD })).loadIndex()
    openingCalls = counted.calls.length
    // A migration that fails leaves a copy of the config among the temporary files.
    vi.stubEnv('TMPDIR', scratch.path)
    return () => {
      vi.unstubAllEnvs()
      scratch[Symbol.dispose]()
    }
  })

  async function startOf(victim: Victim): Promise<{ readonly image: Storage; readonly before: StoredSnapshot[] }> {
    const image = await copyStorage(histories[victim.version ?? 2])
    await victim.prepare?.(await open(image), world)
    return { image, before: await loadEverything(image) }
  }

  /** What was promised to stay is there, whole. */
  async function expectKept(victim: Victim, storage: Storage, before: readonly StoredSnapshot[]): Promise<void> {
    const password = (await opens(storage, PASSWORD)) ? PASSWORD : OTHER_PASSWORD
    const after = await loadEverything(storage, password)
    for (const { id, tree } of (victim.keeps ?? ((all) => all))(before)) {
      const kept = after.filter((snapshot) => snapshot.id === id || snapshot.original === id)
      expect(kept[0], `snapshot ${id}`).toBeDefined()
      if (!victim.changesTrees) expect(kept[0]!.tree, `snapshot ${id}`).toBe(tree)
    }
  }

  async function expectComplete(victim: Victim, storage: Storage, before: readonly StoredSnapshot[]): Promise<void> {
    const repository = await open(storage)
    expect(await victim.isDone(repository, before)).toBe(true)
    const { findings } = await checkRepository(repository, { read: { kind: 'all' }, threads: 0, progress: noProgress })
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([])
  }

  test.each(victims)(
    '$name: it is told, no snapshot is lost, and the next run completes',
    { timeout: 10 * 60_000 },
    async (victim) => {
      const { image, before } = await startOf(victim)
      const counted = withFaults(await copyStorage(image), [])
      expect(await perform(victim, counted, world)).toEqual([])
      const calls = counted.calls.map(callOf)
      await expectComplete(victim, counted, before)
      const step = Math.max(1, Math.floor((calls.length - FIRST_CALLS) / MORE_CALLS))
      let failures = 0
      let readAgain = 0
      let tries = 0
      for (let at = victim.startsThreads ? 0 : openingCalls; at < calls.length; at += at < FIRST_CALLS ? 1 : step) {
        const suitable = kinds.filter((kind) => applies(kind, calls[at]!.operation))
        // One call fails in these ways, the next in others. Backups start threads, which takes a while: one way will do.
        const ways = [suitable[at % suitable.length]!, suitable[(at + 1) % suitable.length]!]
        for (const kind of victim.startsThreads ? ways.slice(0, 1) : ways) {
          const where = `${kind.name} at call ${at + 1}, ${counted.calls[at]}`
          const storage = await copyStorage(image)
          const faulty = withFaults(storage, faultsAt(calls.slice(0, at + 1), kind))
          let told: readonly string[] = []
          let error: unknown
          try {
            told = await perform(victim, faulty, world)
          } catch (thrown) {
            error = thrown
          }
          // Threads divide the work differently each time: there may have been no such call.
          if (!includesAll(faulty.calls.map(callOf), calls.slice(0, at + 1))) continue
          if (error !== undefined) {
            failures++
            expect(error, where).toBeInstanceOf(HoldfastError)
            expect((error as Error).message, where).toMatch(namesObject)
            expect((error as HoldfastError).code, `${where}: ${(error as Error).stack}`).not.toBe('HF_INTERNAL')
          } else if (told.length > 0) {
            failures++
            for (const text of told) expect(text, where).toMatch(namesObject)
          }
          // A read may be made good from elsewhere; a write or a removal that failed must be told.
          else {
            expect(['get', 'list', 'stat'], where).toContain(calls[at]!.operation)
            // What is read of packs in large pieces is read once more, blob by blob, when that fails.
            if (calls[at]!.operation === 'get' && calls[at]!.kind === 'data') readAgain++
          }
          expect(threads.size, where).toBe(0)
          await expectKept(victim, storage, before).catch((lost) => {
            throw new Error(`${where}: ${lost}`, { cause: lost })
          })
          const isDone = await victim.isDone(await open(storage), before)
          if (error === undefined && told.length === 0) expect(isDone, where).toBe(true)
          if (!isDone) await perform(victim, storage, world)
          await expectKept(victim, storage, before)
          await expectComplete(victim, storage, before)
          tries++
        }
      }
      expect(tries).toBeGreaterThan(3)
      expect(failures).toBeGreaterThan((tries - readAgain) * 0.8)
    },
  )

  test('would show in what is loaded of the snapshots', async () => {
    const names = async (kind: 'data' | 'index'): Promise<string[]> =>
      (await fileNames(histories[2])).filter((name) => name.startsWith(kind)).map((name) => name.slice(kind.length + 1))
    for (const kind of ['data', 'index'] as const)
      for (const name of await names(kind)) {
        const without = await copyStorage(histories[2])
        await without.delete({ kind, name })
        await expect(loadEverything(without)).rejects.toThrow()
        const damaged = await copyStorage(histories[2])
        const content = await damaged.get({ kind, name })
        content[content.length >> 1]! ^= 1
        await damaged.delete({ kind, name })
        await damaged.put({ kind, name }, content)
        await expect(loadEverything(damaged)).rejects.toThrow()
      }
  })

  test.skipIf(lacks('restic')).each(victims)('$name: restic finds nothing wrong after the next run', async (victim) => {
    const { image, before } = await startOf(victim)
    const counted = withFaults(await copyStorage(image), [])
    await perform(victim, counted, world)
    const calls = counted.calls.map(callOf)
    const lastWrite = calls.findLastIndex(({ operation }) => operation === 'put' || operation === 'delete')
    const at = lastWrite < 0 ? calls.length - 1 : lastWrite
    const storage = await copyStorage(image)
    const faulty = withFaults(storage, faultsAt(calls.slice(0, at + 1), kinds[1]!))
    await perform(victim, faulty, world).catch(() => undefined)
    const path = scratch.join(victim.name)
    await copyStorage(storage, openLocalStorage(path))
    if (await opens(storage, PASSWORD)) {
      await perform(victim, openLocalStorage(path), world)
      expectResticContent(path)
    }
    await expectKept(victim, openLocalStorage(path), before)
  })
})
