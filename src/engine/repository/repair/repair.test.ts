import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  type CraftedFolder,
  craftNode,
  craftPack,
  craftSnapshot,
  newMemoryRepository,
  snapshotOf,
  snapshotOfBytes,
  storeIndex,
} from '../../../../test/support/crafted-repository.ts'
import { copyToMemory, flipBit, overwrite, tamper } from '../../../../test/support/damaged-storage.ts'
import { lacks } from '../../../../test/support/requirements.ts'
import {
  backUp,
  expectResticContent,
  newRepository,
  PASSWORD,
  reopen,
  scratchFolder,
} from '../../../../test/support/test-repository.ts'
import { utf8 } from '../../../lib/bytes.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { parseTime } from '../../../lib/go-time.ts'
import { noProgress } from '../../../lib/progress.ts'
import { randomBytes } from '../../../lib/random.ts'
import { sha256Hex } from '../../kernels/sha256.ts'
import { withFaults } from '../../storage/layers/with-faults.ts'
import { type CheckResult, checkRepository } from '../check/check.ts'
import { entriesOf, type PackListing } from '../pack/blob-rows.ts'
import { openRepository, type Repository } from '../repository.ts'
import { loadSnapshots } from '../snapshots.ts'
import { decodeTree } from '../tree/decode-tree.ts'
import { encodeTree } from '../tree/encode-tree.ts'
import { recover } from './recover.ts'
import { repairIndex } from './repair-index.ts'
import { repairPacks } from './repair-packs.ts'
import { repairSnapshots } from './repair-snapshots.ts'

const progress = noProgress

const check = async (repository: Repository): Promise<CheckResult> =>
  await checkRepository(repository, { read: { kind: 'all' }, threads: 0, progress })

const errorsOf = async (repository: Repository): Promise<string[]> =>
  (await check(repository)).findings.filter(({ severity }) => severity === 'error').map(({ message }) => message)

const pieces = (...sizes: readonly number[]): Uint8Array[] => sizes.map((size) => randomBytes(size))

const folder = (): CraftedFolder => ({
  'a file': pieces(5000, 3000),
  docs: { one: pieces(100), two: pieces(40, 50, 60), deeper: { three: pieces(7000) } },
})

interface Sample {
  readonly repository: Repository
  readonly data: PackListing
  readonly trees: PackListing
}

/** A repository with one snapshot: one pack of data, one of trees. */
async function sample(): Promise<Sample> {
  const repository = await newMemoryRepository()
  await craftSnapshot(repository, folder())
  const listings = repository.index.listings(() => true)
  return {
    repository,
    data: listings.find(({ rows }) => rows[32] === 0)!,
    trees: listings.find(({ rows }) => rows[32] === 1)!,
  }
}

const dataFile = (name: string): { kind: 'data'; name: string } => ({ kind: 'data', name })

/** Makes one blob of a pack unreadable. */
const spoil = async (repository: Repository, listing: PackListing, blob: number): Promise<string> => {
  const entry = entriesOf(listing.rows)[blob]!
  await tamper(repository.storage, dataFile(listing.pack), (bytes) => flipBit(bytes, (entry.offset + 20) * 8))
  return entry.id
}

describe('repair index', () => {
  test('brings back a lost index, a damaged one and half of one', async () => {
    const { repository, data, trees } = await sample()
    const [name] = await repository.list('index')
    const before = repository.index.listings(() => true).length
    await repository.storage.delete({ kind: 'index', name: name! })
    expect((await repairIndex(repository, { progress })).addedPacks.toSorted()).toEqual([data.pack, trees.pack].sort())
    expect(await errorsOf(repository)).toEqual([])

    const [rebuilt] = await repository.list('index')
    await tamper(repository.storage, { kind: 'index', name: rebuilt! }, (bytes) => flipBit(bytes, 800))
    expect((await repairIndex(repository, { progress })).removedIndexes).toEqual([rebuilt])
    expect((await check(repository)).findings).toEqual([])

    for (const index of await repository.list('index')) await repository.storage.delete({ kind: 'index', name: index })
    await storeIndex(repository, [trees])
    expect((await repairIndex(repository, { progress })).addedPacks).toEqual([data.pack])
    expect((await check(repository)).findings).toEqual([])
    expect(repository.index.listings(() => true)).toHaveLength(before)
    expect(await repository.list('index')).toHaveLength(1)
  })

  test('forgets packs that are gone', async () => {
    const { repository, data } = await sample()
    await repository.storage.delete(dataFile(data.pack))
    expect((await repairIndex(repository, { progress })).removedPacks).toEqual([data.pack])
    expect(repository.index.hasPack(data.pack)).toBe(false)
  })

  test('reads packs that are listed in two ways, or twice', async () => {
    const { repository, data, trees } = await sample()
    await storeIndex(repository, [{ pack: data.pack, rows: data.rows.subarray(0, 90) }, trees])
    expect((await repairIndex(repository, { progress })).addedPacks).toEqual([data.pack])
    expect((await check(repository)).findings).toEqual([])
    expect(repository.index.packFacts(data.pack)!.blobs).toBe(entriesOf(data.rows).length)
  })

  test('corrects what an index says of the size', async () => {
    const { repository, data, trees } = await sample()
    for (const index of await repository.list('index')) await repository.storage.delete({ kind: 'index', name: index })
    await storeIndex(repository, [{ pack: data.pack, rows: data.rows.subarray(45) }, trees])
    expect((await check(repository)).errors).toBeGreaterThan(0)
    expect((await repairIndex(repository, { progress })).addedPacks).toEqual([data.pack])
    expect((await check(repository)).findings).toEqual([])
  })

  test('keeps what is known of a truncated pack, for "repair packs"', async () => {
    const { repository, data } = await sample()
    await tamper(repository.storage, dataFile(data.pack), (bytes) => bytes.subarray(0, -50))
    expect(await repairIndex(repository, { progress })).toMatchObject({
      damagedPacks: [data.pack],
      addedPacks: [],
      unreadablePacks: [],
    })
    const [repaired] = await repairPacks(repository, { packs: [data.pack], progress })
    expect(repaired!.saved).toBeGreaterThan(4)
  })

  test('with all packs read believes nothing, and finds what is no pack', async () => {
    const { repository, data, trees } = await sample()
    for (const index of await repository.list('index')) await repository.storage.delete({ kind: 'index', name: index })
    const lie = entriesOf(data.rows)[0]!
    await storeIndex(repository, [{ pack: data.pack, rows: data.rows.map((byte, i) => (i === 3 ? byte ^ 1 : byte)) }])
    const noPack = 'ab'.repeat(32)
    await repository.storage.put(dataFile(noPack), randomBytes(500))
    const result = await repairIndex(repository, { readAllPacks: true, progress })
    expect(result.addedPacks.toSorted()).toEqual([data.pack, trees.pack].sort())
    expect(result.unreadablePacks).toEqual([noPack])
    expect(repository.index.has('data', lie.id)).toBe(true)
    expect(await errorsOf(repository)).toEqual([])
  })

  test('a header may be larger than what is read at first', async () => {
    const repository = await newMemoryRepository()
    const many = Array.from({ length: 300 }, (_, i) => ({ type: 'data' as const, plaintext: utf8(`blob ${i}`) }))
    const pack = craftPack(repository, many)
    await repository.storage.put(dataFile(pack.listing.pack), pack.bytes)
    expect((await repairIndex(repository, { progress })).addedPacks).toEqual([pack.listing.pack])
    expect(repository.index.listings(() => true).map(({ rows }) => entriesOf(rows).length)).toEqual([300])
    expect(await errorsOf(repository)).toEqual([])
  })

  test('an index file that cannot be fetched is not taken for a damaged one', async () => {
    const { repository } = await sample()
    const error = new HoldfastError('HF_STORAGE_IO', 'no network')
    const faulty = withFaults(repository.storage, [
      { operation: 'get', kind: 'index', effect: { type: 'fail', error } },
    ])
    const remote = await openRepository(faulty, { password: PASSWORD })
    await expect(repairIndex(remote, { progress })).rejects.toBe(error)
    expect(await errorsOf(repository)).toEqual([])
  })
})

describe('repair packs', () => {
  test('saves what is intact and tells what is lost', async () => {
    const { repository, data } = await sample()
    const lost = await spoil(repository, data, 1)
    const result = await repairPacks(repository, { packs: [data.pack], progress })
    expect(result).toEqual([
      { pack: data.pack, saved: entriesOf(data.rows).length - 1, lost: [{ type: 'data', id: lost }] },
    ])
    expect(await repository.list('data')).not.toContain(data.pack)
    expect(repository.index.hasPack(data.pack)).toBe(false)
    for (const { id } of entriesOf(data.rows))
      if (id !== lost) expect(sha256Hex(await repository.loadBlob('data', id))).toBe(id)
    const found = await check(repository)
    expect(found.brokenPacks).toEqual([])
    expect(found.findings.flatMap(({ details }) => details)).toEqual([expect.stringContaining(lost)])
  })

  test('works for a pack that is cut off, has lost its header, is gone or is unknown', async () => {
    const { repository, data, trees } = await sample()
    await tamper(repository.storage, dataFile(data.pack), (bytes) => bytes.subarray(0, bytes.length / 2))
    await tamper(repository.storage, dataFile(trees.pack), (bytes) => flipBit(bytes, bytes.length * 8 - 200))
    const packs = [data.pack, trees.pack, 'cd'.repeat(32)]
    const [cut, headless, unknown] = await repairPacks(repository, { packs, progress })
    expect(cut!.saved).toBeGreaterThan(0)
    expect(cut!.lost.length).toBe(entriesOf(data.rows).length - cut!.saved)
    expect(headless).toMatchObject({ saved: entriesOf(trees.rows).length, lost: [] })
    expect(unknown).toMatchObject({ saved: 0, lost: [] })

    const [rest] = (await repository.list('data')).filter((pack) => repository.index.hasPack(pack))
    await repository.storage.delete(dataFile(rest!))
    expect((await repairPacks(repository, { packs: [rest!], progress }))[0]).toMatchObject({ saved: 0 })
    expect((await check(repository)).brokenPacks).toEqual([])
  })

  test('finds by its header what the index gets wrong', async () => {
    const { repository, data, trees } = await sample()
    for (const index of await repository.list('index')) await repository.storage.delete({ kind: 'index', name: index })
    const rows = Buffer.from(data.rows)
    rows.writeUInt32LE(rows.readUInt32LE(45 + 33) + 1, 45 + 33)
    await storeIndex(repository, [{ pack: data.pack, rows }, trees])
    await repository.loadIndex()
    const [repaired] = await repairPacks(repository, { packs: [data.pack], progress })
    expect(repaired).toMatchObject({ saved: entriesOf(data.rows).length, lost: [] })
    expect(await errorsOf(repository)).toEqual([])
  })

  test('reads around a bad sector', async () => {
    const { repository, data } = await sample()
    const error = new HoldfastError('HF_STORAGE_IO', 'bad sector')
    const entries = entriesOf(data.rows).toSorted((a, b) => a.offset - b.offset)
    const bad = entries[2]!
    const { storage } = repository
    const faulty = await openRepository(
      {
        location: storage.location,
        properties: storage.properties,
        features: storage.features,
        create: (options) => storage.create(options),
        put: (file, content, options) => storage.put(file, content, options),
        stat: (file, options) => storage.stat(file, options),
        list: (kind, options) => storage.list(kind, options),
        delete: (file, options) => storage.delete(file, options),
        close: () => storage.close(),
        get: async (file, range, options) => {
          if (file.kind === 'data' && file.name === data.pack && range)
            if (range.offset < bad.offset + bad.length && range.offset + range.length > bad.offset) throw error
          return await storage.get(file, range, options)
        },
      },
      { password: PASSWORD },
    )
    await faulty.loadIndex()
    expect(await repairPacks(faulty, { packs: [data.pack], progress })).toEqual([
      { pack: data.pack, saved: entries.length - 1, lost: [{ type: 'data', id: bad.id }] },
    ])
  })

  test('keeps a copy of each pack, and changes nothing when it cannot', async () => {
    using scratch = scratchFolder()
    const { repository, data } = await sample()
    await spoil(repository, data, 0)
    const bytes = await repository.storage.get(dataFile(data.pack))
    const path = scratch.join(`pack-${data.pack}`)
    writeFileSync(path, 'something else')
    const repair = async (): Promise<unknown> =>
      await repairPacks(repository, { packs: [data.pack], copyTo: scratch.path, progress })
    await expect(repair()).rejects.toMatchObject({ code: 'HF_TARGET_INVALID' })
    const nowhere = repairPacks(repository, { packs: [data.pack], copyTo: scratch.join('no', 'where'), progress })
    await expect(nowhere).rejects.toMatchObject({ code: 'HF_TARGET_INVALID' })
    expect(await repository.list('data')).toContain(data.pack)

    writeFileSync(path, bytes)
    await repair()
    expect(readFileSync(path).equals(bytes)).toBe(true)

    const another = await sample()
    const original = await another.repository.storage.get(dataFile(another.data.pack))
    await repairPacks(another.repository, { packs: [another.data.pack], copyTo: scratch.path, progress })
    const copy = scratch.join(`pack-${another.data.pack}`)
    expect(readFileSync(copy).equals(original)).toBe(true)
    expect(statSync(copy).mode & 0o777).toBe(0o600)
    expect(existsSync(`${copy}.partial`)).toBe(false)
  })

  test.each(['put', 'delete'] as const)('loses nothing that was intact when any %s fails', async (operation) => {
    const { repository, data, trees } = await sample()
    const lost = await spoil(repository, data, 0)
    const error = new HoldfastError('HF_STORAGE_IO', 'pulled the plug')
    for (let call = 1; ; call++) {
      const copy = await copyToMemory(repository.storage)
      const faulty = withFaults(copy, [{ operation, call, times: 1000, effect: { type: 'fail', error } }])
      const remote = await openRepository(faulty, { password: PASSWORD })
      await remote.loadIndex()
      const outcome = await repairPacks(remote, { packs: [data.pack, trees.pack], progress }).catch((e: unknown) => e)
      const after = await openRepository(copy, { password: PASSWORD })
      await after.loadIndex()
      for (const listing of [data, trees])
        for (const { type, id } of entriesOf(listing.rows))
          if (id !== lost) expect(sha256Hex(await after.loadBlob(type, id))).toBe(id)
      if (outcome !== error) break
    }
  })
})

describe('repair snapshots', () => {
  /** The names in a folder of a snapshot, and the sizes of files. */
  async function look(
    repository: Repository,
    tree: string,
    ...path: readonly string[]
  ): Promise<Record<string, unknown>> {
    const { nodes } = decodeTree(await repository.loadBlob('tree', tree))
    const [first, ...rest] = path
    if (first !== undefined) return await look(repository, nodes.find(({ name }) => name === first)!.subtree!, ...rest)
    return Object.fromEntries(nodes.map(({ name, type, size }) => [name, type === 'file' ? size : type]))
  }

  test('leaves what is whole alone', async () => {
    const { repository } = await sample()
    const snapshots = await loadSnapshots(repository)
    const files = await repository.list('data')
    const { repairs } = await repairSnapshots(repository, { snapshots, forget: true, progress })
    expect(repairs).toEqual([{ snapshot: snapshots[0], changes: [], outcome: 'whole', saved: undefined }])
    expect(await loadSnapshots(repository)).toEqual(snapshots)
    expect(await repository.list('data')).toEqual(files)
  })

  test('cuts lost parts out of files and tells where', async () => {
    const { repository, data } = await sample()
    const second = entriesOf(data.rows).findIndex(({ uncompressedLength }) => uncompressedLength === 3000)
    await spoil(repository, data, second)
    await repairPacks(repository, { packs: [data.pack], progress })
    const [snapshot] = await loadSnapshots(repository)
    const dryRun = await repairSnapshots(repository, { snapshots: [snapshot!], dryRun: true, forget: true, progress })
    expect(dryRun.repairs[0]).toMatchObject({ outcome: 'repaired', saved: undefined })
    expect(await loadSnapshots(repository)).toEqual([snapshot])

    const { repairs } = await repairSnapshots(repository, { snapshots: [snapshot!], progress })
    expect(repairs[0]!.changes).toEqual([{ path: '/a file', what: 'removed-missing-content' }])
    const saved = repairs[0]!.saved!
    expect(saved).toMatchObject({ original: snapshot!.id, tags: ['repaired'], time: snapshot!.time })
    expect(await repository.list('snapshot')).toEqual([snapshot!.id, saved.id].sort())
    expect((await look(repository, saved.tree!))['a file']).toBe(5000)

    await repairSnapshots(repository, { snapshots: [snapshot!], forget: true, progress })
    expect(await repository.list('snapshot')).not.toContain(snapshot!.id)
    expect(await errorsOf(repository)).toEqual([])
  })

  test('empties directories that cannot be read, also when the empty one is lost itself', async () => {
    const repository = await newMemoryRepository()
    await craftSnapshot(repository, { full: { file: pieces(10) }, void: {}, fine: { file: pieces(20) } })
    const [trees] = repository.index.listings(() => true).filter(({ rows }) => rows[32] === 1)
    for (const [row, { id }] of entriesOf(trees!.rows).entries()) {
      const text = Buffer.from(await repository.loadBlob('tree', id)).toString()
      if (text.includes('"size":10,') || text === '{"nodes":[]}\n') await spoil(repository, trees!, row)
    }
    const snapshots = await loadSnapshots(repository)
    const { repairs } = await repairSnapshots(repository, { snapshots, forget: true, progress })
    expect(repairs[0]!.changes).toEqual([
      { path: '/full', what: 'emptied-directory' },
      { path: '/void', what: 'emptied-directory' },
    ])
    const { tree } = repairs[0]!.saved!
    expect(await look(repository, tree!, 'full')).toEqual({})
    expect(await look(repository, tree!, 'void')).toEqual({})
    expect(await look(repository, tree!, 'fine')).toEqual({ file: 20 })
  })

  test('removes what is of no known type, corrects sizes, gives folders without a tree an empty one', async () => {
    const repository = await newMemoryRepository()
    const tree = encodeTree([
      craftNode('dir', { type: 'dir' }),
      craftNode('file', { type: 'file', content: [], size: 7 }),
      craftNode('odd', { type: 'irregular' }),
      craftNode('pipe', { type: 'fifo' }),
    ])
    const snapshot = await snapshotOfBytes(repository, tree)
    const { repairs } = await repairSnapshots(repository, { snapshots: [snapshot], forget: true, progress })
    expect(repairs[0]!.changes.map(({ path, what }) => `${path} ${what}`)).toEqual([
      '/dir emptied-directory',
      '/file fixed-size',
      '/odd removed-invalid-type',
    ])
    expect(await look(repository, repairs[0]!.saved!.tree!)).toEqual({ dir: 'dir', file: 0, pipe: 'fifo' })
    expect(await errorsOf(repository)).toEqual([])
  })

  test('keeps fields of newer programs in trees with nothing wrong', async () => {
    const repository = await newMemoryRepository()
    const [time, id] = ['2026-03-01T12:00:00Z', '"uid":0,"gid":0']
    const node = `{"name":"n","type":"fifo","mtime":"${time}","atime":"${time}","ctime":"${time}",${id},"colour":"red","content":null}`
    const snapshot = await snapshotOfBytes(repository, utf8(`{"nodes":[${node}]}\n`))
    const { repairs } = await repairSnapshots(repository, { snapshots: [snapshot], progress })
    expect(repairs[0]!.outcome).toBe('whole')
  })

  test('removes a snapshot of which nothing is left, and an unreadable one, only when told to forget', async () => {
    const { repository } = await sample()
    const lost = await snapshotOf(repository, 'ab'.repeat(32))
    const broken = (await snapshotOf(repository, 'cd'.repeat(32))).id
    await tamper(repository.storage, { kind: 'snapshot', name: broken }, (bytes) => flipBit(bytes, 300))
    const options = { snapshots: [lost], unreadable: [broken], progress }
    const kept = await repairSnapshots(repository, options)
    expect(kept).toMatchObject({ repairs: [{ outcome: 'lost' }], removed: [] })
    const dry = await repairSnapshots(repository, { ...options, forget: true, dryRun: true })
    expect(dry.removed).toEqual([broken])
    expect(await repository.list('snapshot')).toHaveLength(3)
    await repairSnapshots(repository, { ...options, forget: true })
    expect(await repository.list('snapshot')).toHaveLength(1)
    expect(await errorsOf(repository)).toEqual([])
  })

  test('does not take a storage that fails for lost data', async () => {
    const { repository } = await sample()
    const snapshots = await loadSnapshots(repository)
    const error = new HoldfastError('HF_STORAGE_IO', 'no network')
    const faulty = withFaults(repository.storage, [{ operation: 'get', kind: 'data', effect: { type: 'fail', error } }])
    const remote = await openRepository(faulty, { password: PASSWORD })
    await remote.loadIndex()
    await expect(repairSnapshots(remote, { snapshots, forget: true, progress })).rejects.toBe(error)
    expect(await loadSnapshots(repository)).toEqual(snapshots)
  })

  test.each(['put', 'delete'] as const)('always leaves a snapshot when any %s fails', async (operation) => {
    const { repository, data } = await sample()
    await spoil(repository, data, 0)
    await repairPacks(repository, { packs: [data.pack], progress })
    const snapshots = await loadSnapshots(repository)
    const error = new HoldfastError('HF_STORAGE_IO', 'pulled the plug')
    for (let call = 1; ; call++) {
      const copy = await copyToMemory(repository.storage)
      const faulty = withFaults(copy, [{ operation, call, times: 1000, effect: { type: 'fail', error } }])
      const remote = await openRepository(faulty, { password: PASSWORD })
      await remote.loadIndex()
      const outcome = await repairSnapshots(remote, { snapshots, forget: true, progress }).catch((e: unknown) => e)
      const after = await openRepository(copy, { password: PASSWORD })
      await after.loadIndex()
      const left = await loadSnapshots(after)
      expect(left.length).toBeGreaterThan(0)
      for (const { tree } of left) await look(after, tree!, 'docs', 'deeper')
      if (outcome !== error) break
    }
  })
})

describe('recover', () => {
  const labels = {
    time: parseTime('2026-05-01T12:00:00Z')!,
    host: 'here',
    username: 'me',
    uid: 1,
    gid: 2,
    programVersion: 'holdfast test',
  }

  test('makes a snapshot of what forgotten and lost ones had', async () => {
    const { repository } = await sample()
    const kept = (await loadSnapshots(repository))[0]!
    const forgotten = await craftSnapshot(repository, { forgotten: { file: pieces(100) } })
    await repository.storage.delete({ kind: 'snapshot', name: forgotten.id })
    for (const name of await repository.list('index')) await repository.storage.delete({ kind: 'index', name })
    const { roots, snapshot } = await recover(repository, { labels, progress })
    expect(roots).toEqual([forgotten.tree])
    expect(snapshot).toMatchObject({ paths: ['/recover'], tags: ['recovered'], hostname: 'here', uid: 1, gid: 2 })
    const { nodes } = decodeTree(await repository.loadBlob('tree', snapshot!.tree!))
    expect(nodes).toMatchObject([{ name: forgotten.tree!.slice(0, 8), type: 'dir', subtree: forgotten.tree }])
    expect((await check(repository)).findings).toEqual([])
    expect(await repository.list('snapshot')).toContain(kept.id)

    expect(await recover(repository, { labels, progress })).toEqual({ roots: [], snapshot: undefined })
  })

  test('leaves out trees that cannot be read', async () => {
    const { repository, trees } = await sample()
    for (const name of await repository.list('snapshot')) await repository.storage.delete({ kind: 'snapshot', name })
    await tamper(repository.storage, dataFile(trees.pack), (bytes) => {
      const spoiled = new Uint8Array(bytes)
      for (const { offset } of entriesOf(trees.rows)) spoiled[offset + 20]! ^= 1
      return spoiled
    })
    expect((await recover(repository, { labels, progress })).snapshot).toBeUndefined()
  })
})

describe.skipIf(lacks('restic'))('with restic', () => {
  test('a repository with damage of all kinds is whole for restic after all repairs', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('repository')
    const source = scratch.join('data')
    mkdirSync(`${source}/sub`, { recursive: true })
    const repository = await newRepository(path, { packBytes: 4 * 1024 * 1024 })
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 20; i++) writeFileSync(`${source}/sub/file ${round} ${i}`, randomBytes(300_000))
      await backUp(repository, source)
    }
    const packs = await repository.list('data')
    expect(packs.length).toBeGreaterThan(5)
    await tamper(repository.storage, dataFile(packs[0]!), (bytes) => flipBit(bytes, bytes.length * 4))
    await tamper(repository.storage, dataFile(packs[1]!), (bytes) => bytes.subarray(0, -3000))
    await repository.storage.delete(dataFile(packs[2]!))
    await overwrite(repository.storage, dataFile(packs[3]!), new Uint8Array(0))
    const [index] = await repository.list('index')
    await tamper(repository.storage, { kind: 'index', name: index! }, (bytes) => flipBit(bytes, 999))

    const damaged = await openRepository(repository.storage, { password: PASSWORD })
    await repairIndex(damaged, { progress })
    const { brokenPacks } = await check(damaged)
    await repairPacks(damaged, { packs: brokenPacks, progress })
    await repairSnapshots(damaged, { snapshots: await loadSnapshots(damaged), forget: true, progress })
    const repaired = await reopen(path)
    expect(await errorsOf(repaired)).toEqual([])
    expectResticContent(path)
  })

  test('restic takes what "recover" makes', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('repository')
    const repository = await newRepository(path)
    const { id } = await craftSnapshot(repository, { file: pieces(1000) })
    await repository.storage.delete({ kind: 'snapshot', name: id })
    const time = parseTime('2026-05-01T12:00:00Z')!
    const labels = { time, host: 'here', username: 'me', uid: 1, gid: 2, programVersion: 'holdfast test' }
    expect((await recover(repository, { labels, progress })).roots).toHaveLength(1)
    expectResticContent(path)
  })
})
