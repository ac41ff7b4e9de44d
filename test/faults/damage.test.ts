import { mkdirSync, writeFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { type CheckResult, checkRepository } from '../../src/engine/repository/check/check.ts'
import { addKey } from '../../src/engine/repository/key-management.ts'
import { currentHolder, encodeLock } from '../../src/engine/repository/lock-file.ts'
import { entriesOf, type PackListing } from '../../src/engine/repository/pack/blob-rows.ts'
import { repairIndex } from '../../src/engine/repository/repair/repair-index.ts'
import { repairPacks } from '../../src/engine/repository/repair/repair-packs.ts'
import { repairSnapshots } from '../../src/engine/repository/repair/repair-snapshots.ts'
import { openRepository, Repository } from '../../src/engine/repository/repository.ts'
import { loadSnapshots } from '../../src/engine/repository/snapshots.ts'
import { openLocalStorage } from '../../src/engine/storage/local/local-storage.ts'
import { openMemoryStorage } from '../../src/engine/storage/memory/memory-storage.ts'
import type { FileKind, FileRef, Storage } from '../../src/engine/storage/storage.ts'
import { localTimestamp } from '../../src/lib/go-time.ts'
import { noProgress } from '../../src/lib/progress.ts'
import { craftPack } from '../support/crafted-repository.ts'
import { flipBit, listAllFiles } from '../support/damaged-storage.ts'
import { lacks } from '../support/requirements.ts'
import {
  backUp,
  CHEAP_KDF,
  expectResticContent,
  newRepository,
  PASSWORD,
  scratchFolder,
} from '../support/test-repository.ts'

/** `HOLDFAST_DAMAGES=20 npx vitest run test/faults/damage.test.ts` does twenty times as many cases, with other numbers. */
const ROUNDS = Number(process.env.HOLDFAST_DAMAGES ?? 1)

/** Random damages of each kind of file in a round: 360 in all. */
const casesPerRound: Readonly<Record<FileKind, number>> = {
  config: 30,
  data: 150,
  index: 60,
  key: 30,
  lock: 30,
  snapshot: 60,
}

/** The same numbers every time for a seed (mulberry32), so that a case can be looked at again. */
function seededRandom(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }
}
type Random = ReturnType<typeof seededRandom>

/** A sound repository as files in memory, and what is known about it. */
interface Sound {
  readonly files: ReadonlyMap<string, { readonly file: FileRef; readonly content: Uint8Array }>
  readonly repository: Repository
  readonly listings: readonly PackListing[]
  /** The pack no index lists. */
  readonly leftover: string
  /** Packs by the index file that alone lists them. */
  readonly packsOfIndex: ReadonlyMap<string, readonly string[]>
}

const keyOf = (file: FileRef): string => (file.kind === 'config' ? 'config' : `${file.kind}/${file.name}`)

let sound: Sound

/** Three snapshots that share much, each with packs and an index file of its own; two keys, two locks, a leftover of an interrupted run. */
beforeAll(async () => {
  using scratch = scratchFolder()
  const source = scratch.join('source')
  mkdirSync(`${source}/docs/deeper`, { recursive: true })
  const repository = await newRepository(scratch.join('repository'))
  const random = seededRandom(4)
  const noise = (length: number): Uint8Array => Uint8Array.from({ length }, () => random(256))
  const packsOfIndex = new Map<string, readonly string[]>()
  for (let round = 0; round < 3; round++) {
    const known = new Set([...(await repository.list('index')), ...(await repository.list('data'))])
    for (let i = 0; i < 12; i++) {
      writeFileSync(`${source}/docs/text ${round} ${i}`, `line ${round} of ${i}\n`.repeat(20 + 150 * i))
      writeFileSync(`${source}/docs/deeper/noise ${round} ${i}`, noise(4000 * i))
    }
    writeFileSync(`${source}/changing`, noise(50_000))
    await backUp(repository, source)
    const isNew = (name: string): boolean => !known.has(name)
    const [index] = (await repository.list('index')).filter(isNew)
    packsOfIndex.set(index!, (await repository.list('data')).filter(isNew))
  }
  const listings = repository.index.listings(() => true)
  await addKey(repository, 'another password', { kdf: CHEAP_KDF })
  for (const exclusive of [false, true])
    await repository.saveUnpacked(
      'lock',
      encodeLock({ ...currentHolder(), time: localTimestamp(repository.clock.now()), exclusive }),
    )
  const unlisted = craftPack(repository, [{ type: 'data', plaintext: noise(5000) }])
  await repository.storage.put({ kind: 'data', name: unlisted.listing.pack }, unlisted.bytes)
  const files = new Map()
  for (const { file } of await listAllFiles(repository.storage))
    files.set(keyOf(file), { file, content: await repository.storage.get(file) })
  sound = { files, repository, listings, leftover: unlisted.listing.pack, packsOfIndex }
})

/** Files changed, by key; undefined for those that are gone. */
type Damage = ReadonlyMap<string, Uint8Array | undefined>

interface DamageCase {
  /** For messages. */
  readonly what: string
  readonly damage: Damage
  readonly deletes: boolean
}

const ways = ['flip', 'truncate', 'delete', 'swap', 'zero'] as const

/** One random damage to one file of a kind (two when they are swapped). */
function damageTo(kind: FileKind, random: Random, seed: number): DamageCase {
  const candidates = [...sound.files.values()].filter(({ file }) => file.kind === kind)
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!
  for (;;) {
    const { file, content } = pick(candidates)
    const way = pick(ways)
    const key = keyOf(file)
    const what = `seed ${seed}: ${way} ${key}`
    const one = (changed: Uint8Array | undefined, detail = ''): DamageCase => ({
      what: `${what} ${detail}`.trimEnd(),
      damage: new Map([[key, changed]]),
      deletes: changed === undefined,
    })
    switch (way) {
      case 'flip': {
        const bit = random(content.length * 8)
        return one(flipBit(content, bit), `bit ${bit}`)
      }
      case 'truncate': {
        const length = random(content.length)
        return one(content.slice(0, length), `to ${length} of ${content.length} bytes`)
      }
      case 'delete':
        return one(undefined)
      case 'zero': {
        const start = random(content.length)
        const end = Math.min(content.length, start + 1 + random(5000))
        const changed = new Uint8Array(content).fill(0, start, end)
        if (Buffer.compare(changed, content) === 0) continue
        return one(changed, `from ${start} to ${end}`)
      }
      case 'swap': {
        const other = pick(
          [...sound.files.values()].filter((f) => f.file !== file && (kind === 'config' || f.file.kind === kind)),
        )
        // There is only one config: it gets the content of some other file.
        if (kind === 'config') return one(other.content, `with ${keyOf(other.file)}`)
        return {
          what: `${what} with ${keyOf(other.file)}`,
          damage: new Map([
            [key, other.content],
            [keyOf(other.file), content],
          ]),
          deletes: false,
        }
      }
    }
  }
}

/** The repository with damage, open as if it had been opened before. */
async function damaged(damage: Damage, files: Sound['files'] = sound.files): Promise<Repository> {
  const storage = openMemoryStorage('damaged')
  for (const [key, { file, content }] of files) {
    const changed = damage.has(key) ? damage.get(key) : content
    if (changed) await storage.put(file, changed)
  }
  return openedOn(storage)
}

const openedOn = (storage: Storage): Repository => {
  const { config, masterKey, keyId } = sound.repository
  return new Repository(storage, config, masterKey, keyId, {})
}

const check = async (repository: Repository): Promise<CheckResult> =>
  await checkRepository(repository, { read: { kind: 'all' }, threads: 0, progress: noProgress })

/** What a case shows as, sorted: files that findings other than hints are about, without trees, which are consequences. */
const accused = ({ findings }: CheckResult): string[] =>
  [
    ...new Set(
      findings
        .filter(({ severity, object }) => severity !== 'hint' && object.type !== 'tree')
        .map(({ object }) => (object.type === 'config' ? 'config' : `${object.type}/${object.id}`)),
    ),
  ].sort()

/** What is wrong with the outcome of a case; undefined when it is as `docs/format.md` says. */
function judge({ damage, deletes }: DamageCase, result: CheckResult): string | undefined {
  const keys = [...damage.keys()]
  const [kind, name] = keys[0]!.split('/')
  const isLeftover = (key: string): boolean => key === `data/${sound.leftover}`
  const expected = keys.filter((key) => !isLeftover(key)).sort()
  if (deletes && (kind === 'snapshot' || kind === 'key' || kind === 'lock')) {
    return result.findings.every(({ object }) => object.id === sound.leftover)
      ? undefined
      : 'something is accused although the format cannot show this'
  }
  if (deletes && kind === 'index') {
    // The file cannot be named, what it listed can.
    const orphans = result.findings
      .filter((finding) => finding.kind === 'pack-unindexed')
      .map(({ object }) => object.id)
    const lost = [...sound.packsOfIndex.get(name!)!, sound.leftover].sort()
    if (accused(result).length > 0) return `${accused(result)} is accused`
    if (result.errors === 0) return 'no error was found'
    if (!result.suggestRepairIndex) return 'nothing is said of the index'
    return orphans.toSorted().join() === lost.join() ? undefined : `packs in no index: ${orphans}`
  }
  const found = accused(result)
  return found.join() === expected.join() ? undefined : `accused: ${found.join(' ') || 'nothing'}`
}

/** Blobs of which not a byte has changed, in the pack it is in. */
function intactBlobs(damage: Damage): { readonly type: 'data' | 'tree'; readonly id: string }[] {
  return sound.listings.flatMap(({ pack, rows }) => {
    const key = `data/${pack}`
    const now = damage.has(key) ? damage.get(key) : sound.files.get(key)!.content
    const before = sound.files.get(key)!.content
    return entriesOf(rows).filter(({ offset, length }) => {
      const range = [offset, offset + length] as const
      return now && now.length >= range[1] && Buffer.compare(now.subarray(...range), before.subarray(...range)) === 0
    })
  })
}

/** Fails unless all these blobs are what they were. */
async function expectBlobs(repository: Repository, blobs: ReturnType<typeof intactBlobs>): Promise<void> {
  for (const { type, id } of blobs) await repository.loadBlob(type, id)
}

const kinds = Object.keys(casesPerRound) as FileKind[]

function* casesOf(kind: FileKind): Generator<DamageCase> {
  const seeds = casesPerRound[kind] * ROUNDS
  for (let i = 0; i < seeds; i++) {
    const seed = kinds.indexOf(kind) * 1_000_000 + i
    yield damageTo(kind, seededRandom(seed), seed)
  }
}

test('the repository without damage is whole', async () => {
  const result = await check(await damaged(new Map()))
  expect(result.findings.map(({ kind, object }) => `${kind} ${object.id}`)).toEqual([
    `pack-unindexed ${sound.leftover}`,
  ])
  expect(result.counts).toMatchObject({ snapshots: 3, packs: 6, packsRead: 6 })
})

describe('every damage is found, and nothing else is accused', () => {
  test.each(kinds)('to files of kind %s', { timeout: 60_000 * ROUNDS }, async (kind) => {
    const wrong: string[] = []
    for (const damageCase of casesOf(kind)) {
      const verdict = judge(damageCase, await check(await damaged(damageCase.damage)))
      if (verdict !== undefined) wrong.push(`${damageCase.what}: ${verdict}`)
    }
    expect(wrong).toEqual([])
  })

  test('without reading the data, all but damage inside packs of data', async () => {
    const missed = new Set<string>()
    for (const kind of kinds)
      for (const damageCase of casesOf(kind)) {
        if (damageCase.what.includes(sound.leftover)) continue
        const repository = await damaged(damageCase.damage)
        const result = await checkRepository(repository, { threads: 0, progress: noProgress })
        const isFound = result.findings.some(({ object }) => object.id !== sound.leftover)
        if (!isFound) missed.add(damageCase.deletes ? `deleted ${kind}` : `changed ${kind}`)
      }
    expect([...missed].sort()).toEqual(['changed data', 'deleted key', 'deleted lock', 'deleted snapshot'])
  })
})

describe('after damage', () => {
  test('to packs, everything else can be read', async () => {
    for (const { damage } of [...casesOf('data')].slice(0, 40)) {
      const repository = await damaged(damage)
      await repository.loadIndex()
      await expectBlobs(repository, intactBlobs(damage))
    }
  })

  test('to the config or the only key, opening says what is wrong', async () => {
    const keys = [...sound.files.values()].filter(({ file }) => file.kind === 'key')
    const [first, second] = keys.map(({ file }) => keyOf(file))
    for (const kind of ['config', 'key'] as const)
      for (const { damage, what } of [...casesOf(kind)].slice(0, 12)) {
        const [changed] = damage.values()
        const all =
          kind === 'config'
            ? damage
            : new Map([
                [first!, changed],
                [second!, changed],
              ])
        const { storage } = await damaged(all)
        const opened = openRepository(storage, { password: PASSWORD }).then(
          () => 'opened',
          (error: unknown) => (error as { code: string }).code,
        )
        // A key file may be damaged where it does not matter for opening: who made it, and when.
        const harmless = kind === 'key' ? ['opened'] : []
        expect(
          [
            ...harmless,
            'HF_REPO_NOT_FOUND',
            'HF_CRYPTO_AUTH',
            'HF_DATA_DAMAGED',
            'HF_KEY_INVALID',
            'HF_KEY_WRONG_PASSWORD',
          ],
          what,
        ).toContain(await opened)
      }
  })

  const sample = (): DamageCase[] => [
    ...[...casesOf('data')].slice(40, 80),
    ...[...casesOf('index')].slice(0, 20),
    ...[...casesOf('snapshot')].slice(0, 10),
  ]

  test('all repairs together make a whole repository, and lose nothing that is intact', {
    timeout: 10 * 60_000,
  }, async () => {
    for (const { damage, what } of sample()) {
      const repository = await damaged(damage)
      await repairAll(repository)
      const { findings } = await check(repository)
      expect(
        findings.filter(({ severity }) => severity === 'error'),
        what,
      ).toEqual([])
      // What no index lists any more and no snapshot needs may go.
      const needed = intactBlobs(damage).filter(({ type, id }) => type === 'data' || repository.index.has(type, id))
      await expectBlobs(repository, needed)
    }
  })

  test.skipIf(lacks('restic'))('restic finds nothing wrong after the repairs', async () => {
    for (const damageCase of sample().filter((_, i) => i % 14 === 0)) {
      using scratch = scratchFolder()
      const storage = openLocalStorage(scratch.join('repository'))
      await storage.create()
      const repository = await damaged(damageCase.damage)
      await repairAll(repository)
      for (const { file } of await listAllFiles(repository.storage))
        if (file.kind !== 'lock') await storage.put(file, await repository.storage.get(file))
      expectResticContent(scratch.join('repository'))
    }
  })
})

/** What a person does, in the order `check` tells. */
async function repairAll(repository: Repository): Promise<void> {
  const progress = noProgress
  await repairIndex(repository, { progress })
  const { brokenPacks, brokenSnapshots } = await check(repository)
  await repairPacks(repository, { packs: brokenPacks, progress })
  const unreadable: string[] = []
  const snapshots = await loadSnapshots(repository, { onUnreadable: ({ id }) => unreadable.push(id) })
  expect(unreadable.sort()).toEqual(brokenSnapshots.toSorted())
  await repairSnapshots(repository, { snapshots, unreadable, forget: true, progress })
}
