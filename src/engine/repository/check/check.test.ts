import { mkdirSync, writeFileSync } from 'node:fs'
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
  storePack,
} from '../../../../test/support/crafted-repository.ts'
import { flipBit, overwrite, tamper } from '../../../../test/support/damaged-storage.ts'
import { lacks } from '../../../../test/support/requirements.ts'
import { newRepository, PASSWORD, reopen, restic, scratchFolder } from '../../../../test/support/test-repository.ts'
import { utf8 } from '../../../lib/bytes.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { noProgress } from '../../../lib/progress.ts'
import { randomBytes } from '../../../lib/random.ts'
import { withFaults } from '../../storage/layers/with-faults.ts'
import { openLocalStorage } from '../../storage/local/local-storage.ts'
import { openMemoryStorage } from '../../storage/memory/memory-storage.ts'
import type { PackListing } from '../pack/blob-rows.ts'
import { openRepository, type Repository } from '../repository.ts'
import { encodeTree } from '../tree/encode-tree.ts'
import { BlobWriter } from '../write/blob-writer.ts'
import { type CheckOptions, type CheckResult, checkRepository } from './check.ts'
import type { Finding } from './finding.ts'

const check = async (repository: Repository, options: Partial<CheckOptions> = {}): Promise<CheckResult> =>
  await checkRepository(repository, { progress: noProgress, threads: 0, ...options })

const brief = ({ findings }: CheckResult): string[] =>
  findings.map(({ kind, severity, object }) => `${severity} ${kind} ${object.id ?? object.type}`).sort()

const pieces = (...sizes: readonly number[]): Uint8Array[] => sizes.map((size) => randomBytes(size))

const folder = (): CraftedFolder => ({
  'a file': pieces(5000, 3000),
  empty: [],
  docs: { one: pieces(100), 'two \u{1f40b}': [utf8('the same'), utf8('the same')], deeper: { three: pieces(70_000) } },
})

/** A repository with two snapshots, and its packs: data and trees of each. */
async function sample(): Promise<{ repository: Repository; packs: string[]; listings: PackListing[] }> {
  const repository = await newMemoryRepository()
  await craftSnapshot(repository, folder())
  await craftSnapshot(repository, folder())
  return { repository, packs: await repository.list('data'), listings: repository.index.listings(() => true) }
}

describe('a repository that is whole', () => {
  test('has no findings', async () => {
    const { repository } = await sample()
    const result = await check(repository, { read: { kind: 'all' } })
    expect(result.findings).toEqual([])
    expect(result).toMatchObject({
      errors: 0,
      brokenPacks: [],
      brokenSnapshots: [],
      suggestRepairIndex: false,
      suggestPrune: false,
      counts: { snapshots: 2, trees: 6, packs: 4, blobs: 15, packsRead: 4 },
    })
    expect(result.counts.bytesRead).toBeGreaterThan(156_000)
  })

  test('may be empty', async () => {
    const result = await check(await newMemoryRepository(), { read: { kind: 'all' } })
    expect(result).toMatchObject({ errors: 0, findings: [], counts: { snapshots: 0, packs: 0, packsRead: 0 } })
  })

  test('may be of version 1', async () => {
    const repository = await newMemoryRepository({ version: 1 })
    await craftSnapshot(repository, folder())
    expect((await check(repository, { read: { kind: 'all' } })).findings).toEqual([])
  })
})

describe('small files', () => {
  test('a damaged config, key or lock is named, restic finding nothing', async () => {
    const { repository } = await sample()
    const { storage } = repository
    const lock = await repository.saveUnpacked('lock', utf8('{}'))
    const [key] = await repository.list('key')
    expect((await check(repository)).findings).toEqual([])
    await tamper(storage, { kind: 'lock', name: lock }, (bytes) => bytes.subarray(1))
    await tamper(storage, { kind: 'key', name: key! }, (bytes) => flipBit(bytes, 77))
    await tamper(storage, { kind: 'config' }, (bytes) => flipBit(bytes, 300))
    const result = await check(repository)
    expect(brief(result)).toEqual([
      'error config-damaged config',
      `error key-damaged ${key}`,
      `warning lock-damaged ${lock}`,
    ])
    expect(result.errors).toBe(2)
  })

  test('the config of another repository is no substitute', async () => {
    const { repository } = await sample()
    const other = await newMemoryRepository()
    await overwrite(repository.storage, { kind: 'config' }, await other.storage.get({ kind: 'config' }))
    expect(brief(await check(repository))).toEqual(['error config-damaged config'])
  })

  test('a damaged snapshot is named and the others are checked', async () => {
    const { repository } = await sample()
    const [first, second] = await repository.list('snapshot')
    await tamper(repository.storage, { kind: 'snapshot', name: first! }, (bytes) => flipBit(bytes, 500))
    const third = (await snapshotOf(repository, undefined)).id
    const result = await check(repository)
    expect(brief(result)).toEqual([first, third].sort().map((id) => `error snapshot-damaged ${id}`))
    expect(result.brokenSnapshots.toSorted()).toEqual([first!, third].sort())
    expect(result.counts.snapshots).toBe(1)
    expect(result.findings[0]!.hint).not.toContain(second)
  })
})

describe('the index', () => {
  test('damage ends the check: all else would be a consequence', async () => {
    const { repository } = await sample()
    const [index] = await repository.list('index')
    await tamper(repository.storage, { kind: 'index', name: index! }, (bytes) => flipBit(bytes, 1000))
    const result = await check(repository, { read: { kind: 'all' } })
    expect(brief(result)).toEqual([`error index-damaged ${index}`])
    expect(result).toMatchObject({ errors: 1, suggestRepairIndex: true, counts: { packsRead: 0 } })
  })

  test('is never taken from the local cache', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('repository')
    await craftSnapshot(await newRepository(path), folder())
    const cacheDirectory = scratch.join('cache')
    const repository = await reopen(path, { cacheDirectory })
    const [index] = await repository.list('index')
    await tamper(repository.storage, { kind: 'index', name: index! }, (bytes) => flipBit(bytes, 1000))
    expect((await repository.loadIndex()).packCount).toBe(2)
    expect(brief(await check(repository))).toEqual([`error index-damaged ${index}`])
  })

  test('a lost index file shows as packs in no index and trees that are not found', async () => {
    const { repository, packs } = await sample()
    for (const name of await repository.list('index')) await repository.storage.delete({ kind: 'index', name })
    const result = await check(repository)
    expect(brief(result).filter((line) => line.startsWith('hint'))).toEqual(
      packs.map((pack) => `hint pack-unindexed ${pack}`),
    )
    expect(result.findings.filter(({ kind }) => kind === 'tree-damaged')).toHaveLength(2)
    expect(result.suggestRepairIndex).toBe(true)
  })

  test('a pack that is listed twice is a hint, listed differently an error', async () => {
    const { repository, listings } = await sample()
    const [first, second] = listings
    await storeIndex(repository, [first!])
    const twice = await check(repository, { read: { kind: 'all' } })
    expect(brief(twice)).toEqual([`hint pack-in-several-indexes ${first!.pack}`])
    expect(twice).toMatchObject({ errors: 0, suggestRepairIndex: true })

    await storeIndex(repository, [{ pack: second!.pack, rows: second!.rows.subarray(0, 45) }])
    const differently = await check(repository, { read: { kind: 'all' } })
    expect(brief(differently)).toEqual([
      `error pack-listings-differ ${second!.pack}`,
      `hint pack-in-several-indexes ${first!.pack}`,
    ])
    expect(differently.brokenPacks).toEqual([second!.pack])
  })

  test('a pack with data and trees is a hint', async () => {
    const repository = await newMemoryRepository()
    const pack = craftPack(repository, [
      { type: 'data', plaintext: utf8('x') },
      { type: 'tree', plaintext: utf8('{"nodes":[]}\n') },
    ])
    await storePack(repository, pack)
    const result = await check(repository, { read: { kind: 'all' } })
    expect(brief(result)).toEqual([`hint pack-mixed ${pack.listing.pack}`])
    expect(result).toMatchObject({ errors: 0, suggestPrune: true })
  })
})

describe('packs', () => {
  test('missing, too short, too long and unknown ones are told apart', async () => {
    const { repository, packs } = await sample()
    const { storage } = repository
    await storage.delete({ kind: 'data', name: packs[0]! })
    await tamper(storage, { kind: 'data', name: packs[1]! }, (bytes) => bytes.subarray(0, -1))
    await tamper(storage, { kind: 'data', name: packs[2]! }, (bytes) => Buffer.concat([bytes, randomBytes(3)]))
    await storage.put({ kind: 'data', name: 'ab'.repeat(32) }, randomBytes(100))
    const result = await check(repository)
    expect(brief(result).filter((line) => line.includes(' pack'))).toEqual([
      `error pack-missing ${packs[0]}`,
      ...packs.slice(1, 3).map((pack) => `error pack-size ${pack}`),
      `hint pack-unindexed ${'ab'.repeat(32)}`,
    ])
    expect(result.brokenPacks.toSorted()).toEqual(packs.slice(0, 3))
    expect(result.suggestPrune).toBe(true)
  })
})

describe('trees', () => {
  const root = (nodes: string): Uint8Array => utf8(`{"nodes":[${nodes}]}\n`)
  const node = (fields: string): string =>
    `{"name":"n","mtime":"2026-03-01T12:00:00Z","atime":"2026-03-01T12:00:00Z","ctime":"2026-03-01T12:00:00Z","uid":0,"gid":0,${fields}}`
  const zero = '0'.repeat(64)
  const absent = 'ab'.repeat(32)

  test.each([
    ['a file without a list of blobs', node('"type":"file","content":null'), 'file "n" has nil blob list'],
    ['a null blob', node(`"type":"file","content":["${zero}"]`), 'file "n" blob 0 has null ID'],
    [
      'a blob that is in no index',
      node(`"type":"file","content":["${absent}"]`),
      `file "n" blob ${absent} not found in index`,
    ],
    ['a folder without a tree', node('"type":"dir","content":null'), 'dir node "n" has no subtree'],
    ['a folder with a null tree', node(`"type":"dir","subtree":"${zero}"`), 'dir node "n" subtree id is null'],
    ['an irregular node', node('"type":"irregular","content":null'), 'node "n" has an invalid type'],
    ['an unknown type', node('"type":"portal","content":null'), 'node "n" has an invalid type'],
  ])('%s', async (_, json, problem) => {
    const repository = await newMemoryRepository()
    const { tree } = await snapshotOfBytes(repository, root(json))
    const result = await check(repository, { read: { kind: 'all' } })
    expect(result.findings.find(({ object }) => object.id === tree)).toMatchObject({
      kind: 'tree-damaged',
      severity: 'error',
      details: [problem],
    })
    expect(result.errors).toBeGreaterThan(0)
  })

  test.each([
    ['a name that is empty', root(node('"type":"fifo","content":null').replace('"n"', '""'))],
    ['no JSON', utf8('no tree at all')],
    ['a list that is cut off', root('').subarray(0, 10)],
  ])('%s cannot be read', async (_, bytes) => {
    const repository = await newMemoryRepository()
    const { tree } = await snapshotOfBytes(repository, bytes)
    expect(brief(await check(repository))).toEqual([`error tree-damaged ${tree}`])
  })

  test('each problem of a tree counts, and a tree without end of them is told in short', async () => {
    const repository = await newMemoryRepository()
    const content = Array.from({ length: 250 }, () => Buffer.from(randomBytes(32)).toString('hex'))
    const bytes = encodeTree([craftNode('n', { type: 'file', content })])
    await snapshotOfBytes(repository, bytes)
    const [finding] = (await check(repository)).findings
    expect(finding!.details).toHaveLength(101)
    expect(finding!.details.at(-1)).toBe('and 150 more')
  })

  test('sockets, links, devices and fifos need nothing', async () => {
    const repository = await newMemoryRepository()
    const types = ['chardev', 'dev', 'fifo', 'socket', 'symlink'] as const
    await snapshotOfBytes(repository, encodeTree(types.map((type) => craftNode(type, { type }))))
    expect((await check(repository)).findings).toEqual([])
  })

  test('a tree with an intact copy elsewhere is not lost', async () => {
    const { repository, listings } = await sample()
    const trees = listings.find(({ rows }) => rows[32] === 1)!
    const bytes = await repository.storage.get({ kind: 'data', name: trees.pack })
    const writer = new BlobWriter(repository)
    for (const { id } of repository.index.listings((pack) => pack === trees.pack).flatMap(entries))
      await writer.save('tree', await repository.loadBlob('tree', id), id, { duplicate: true })
    await writer.flush()
    await overwrite(repository.storage, { kind: 'data', name: trees.pack }, bytes.toReversed())
    expect(brief(await check(repository))).toEqual([])
    expect(brief(await check(repository, { read: { kind: 'all' } }))).toEqual([`error pack-damaged ${trees.pack}`])
  })
})

function entries({ rows }: PackListing): { id: string }[] {
  return Array.from({ length: rows.length / 45 }, (_, row) => ({
    id: Buffer.from(rows.subarray(row * 45, row * 45 + 32)).toString('hex'),
  }))
}

describe('chosen snapshots', () => {
  test('only what they need is read', async () => {
    const { repository } = await sample()
    const result = await check(repository, { read: { kind: 'all' }, select: (all) => all.slice(0, 1) })
    expect(result.counts).toMatchObject({ snapshots: 1, trees: 3, packs: 4, packsRead: 2 })
    expect((await check(repository, { read: { kind: 'all' }, select: () => [] })).counts.packsRead).toBe(0)
  })

  test('damage elsewhere is not looked for', async () => {
    const { repository, packs } = await sample()
    for (const pack of packs)
      await tamper(repository.storage, { kind: 'data', name: pack }, (bytes) => spoilTail(bytes))
    const damaged = async (select: CheckOptions['select']): Promise<number> =>
      (await check(repository, { read: { kind: 'all' }, select })).brokenPacks.length
    expect(await damaged(undefined)).toBe(4)
    expect(await damaged((all) => all.slice(0, 1))).toBe(2)
  })
})

/** Damages the header only, so that trees can still be read. */
const spoilTail = (bytes: Uint8Array): Uint8Array => flipBit(bytes, (bytes.length - 20) * 8)

describe('while it runs', () => {
  test('findings are told at once', async () => {
    const { repository, packs } = await sample()
    await tamper(repository.storage, { kind: 'data', name: packs[0]! }, (bytes) => flipBit(bytes, 400))
    const told: Finding[] = []
    const result = await check(repository, { read: { kind: 'all' }, onFinding: (finding) => told.push(finding) })
    expect(told).toEqual(result.findings)
    expect(told.length).toBeGreaterThan(0)
  })

  test('it can be cancelled', async () => {
    const { repository } = await sample()
    for (const read of [undefined, { kind: 'all' } as const])
      for (const threads of [0, 2]) {
        const controller = new AbortController()
        const cancelled = check(repository, {
          threads,
          read,
          signal: controller.signal,
          progress: {
            ...noProgress,
            note: (message) => {
              if (message.startsWith('check snapshots')) controller.abort()
            },
          },
        })
        await expect(cancelled).rejects.toMatchObject({ code: 'HF_INTERRUPTED' })
      }
  })
})

describe.skipIf(lacks('restic'))('with restic', () => {
  test.each([1, 2])(
    'a repository of version %i written by restic is whole, and both find the same damage',
    async (version) => {
      using scratch = scratchFolder()
      const path = scratch.join('repository')
      mkdirSync(scratch.join('data'))
      for (let i = 0; i < 30; i++) writeFileSync(scratch.join('data', `file ${i}`), randomBytes(50_000 * i))
      expect(restic(path, 'init', '--repository-version', String(version)).status).toBe(0)
      expect(restic(path, 'backup', scratch.join('data')).status).toBe(0)
      const repository = await openRepository(openLocalStorage(path), { password: PASSWORD })
      expect((await check(repository, { read: { kind: 'all' } })).findings).toEqual([])

      const [pack] = await repository.list('data')
      await tamper(repository.storage, { kind: 'data', name: pack! }, (bytes) => flipBit(bytes, bytes.length * 4))
      const result = await check(repository, { read: { kind: 'all' } })
      expect(result.brokenPacks).toEqual([pack])
      const { status, stderr } = restic(path, 'check', '--read-data')
      expect(status).toBe(1)
      expect(stderr).toContain(pack!.slice(0, 8))
    },
  )
})

test('storage that cannot be listed is an error of its own', async () => {
  const storage = openMemoryStorage()
  await craftSnapshot(await newMemoryRepository({}, storage), folder())
  const error = new HoldfastError('HF_STORAGE_IO', 'the disk is gone')
  const faulty = withFaults(storage, [{ operation: 'list', kind: 'data', effect: { type: 'fail', error } }])
  const repository = await openRepository(faulty, { password: PASSWORD })
  await expect(check(repository)).rejects.toBe(error)
})
