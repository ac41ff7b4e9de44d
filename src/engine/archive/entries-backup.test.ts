import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync, statSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { noise } from '../../../test/support/storage-victims.ts'
import { contentOf, nodesOf } from '../../../test/support/stored-nodes.ts'
import {
  expectResticContent,
  memoryRepository,
  newRepository,
  plainOptions,
  restic,
  scratchFolder,
} from '../../../test/support/test-repository.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { backupEntries } from './entries-backup.ts'
import type { EntryAttributes, EntrySink } from './entry-tree.ts'
import { hexIds, idBytes } from './hex-ids.ts'
import { StreamDigester } from './stream-digest.ts'

const MIB = 1024 * 1024
const attributes: EntryAttributes = {
  mode: 0o600,
  mtime: { seconds: 1_700_000_000, nanoseconds: 5, offsetSeconds: 0 },
  uid: 70,
  gid: 70,
}
const blocks = { kind: 'blocks', blockBytes: 64 * 1024 } as const

async function* inPieces(bytes: Uint8Array, pieceBytes = 10_007): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

describe('a backup of entries', () => {
  test('cuts a file into blocks that count from its beginning, whatever pieces it comes in', async () => {
    const repository = await memoryRepository()
    const bytes = noise(1, 9 * MIB + 12_345)
    const { tree, summary, snapshot } = await backupEntries(repository, {
      ...plainOptions(repository, ['source=shop']),
      paths: ['/shop'],
      write: (entries) => entries.file('/shop/data/base/1', attributes, inPieces(bytes), blocks),
      lateTags: () => ['point=0/3000028'],
    })
    const node = (await nodesOf(repository, tree)).get('/shop/data/base/1')!
    const expected = Array.from({ length: Math.ceil(bytes.length / blocks.blockBytes) }, (_, i) =>
      sha256(bytes.subarray(i * blocks.blockBytes, (i + 1) * blocks.blockBytes)),
    )
    expect(node.content).toEqual(expected)
    expect(snapshot).toMatchObject({ paths: ['/shop'], tags: ['source=shop', 'point=0/3000028'] })
    expect(node.size).toBe(bytes.length)
    expect((await contentOf(repository, node)).equals(bytes)).toBe(true)
    expect(summary).toMatchObject({ filesNew: 1, dirsNew: 3, dataBlobs: expected.length })
  })

  test('joins parts that were read at the same time, and says the same blobs of a stream without storing it', async () => {
    const repository = await memoryRepository()
    const rule = { kind: 'content', averageBytes: 64 * 1024 } as const
    const parts = [noise(5, 3 * MIB + 1), noise(6, 700_001), new Uint8Array(0)]
    const { tree, summary } = await backupEntries(repository, {
      ...plainOptions(repository),
      paths: ['/shop'],
      write: async (entries) => {
        const read = await Promise.all(parts.map((bytes) => entries.part(inPieces(bytes), rule)))
        const saved = await Promise.all(read.map((part) => part.saved))
        entries.joinedFile('/shop/data/table.dat', attributes, saved)
      },
    })
    const node = (await nodesOf(repository, tree)).get('/shop/data/table.dat')!
    expect((await contentOf(repository, node)).equals(Buffer.concat(parts))).toBe(true)
    expect(summary).toMatchObject({ filesNew: 1, dataBlobs: node.content!.length })
    expect(node.content!.length).toBeGreaterThan(25)
    const digester = new StreamDigester(repository.config.chunkerPolynomial)
    const digests = []
    for (const bytes of parts) digests.push(await digester.digest(inPieces(bytes, 65_537), rule))
    expect(digests.flatMap(({ ids }) => hexIds(ids))).toEqual(node.content)
    expect(digests.map(({ size }) => size)).toEqual(parts.map(({ length }) => length))
  })

  test('takes several files at the same time, empty ones, and blobs that are there already', async () => {
    const repository = await memoryRepository()
    const contents = Array.from({ length: 40 }, (_, i) => noise(i, i * 300_000))
    const first = await backupEntries(repository, {
      ...plainOptions(repository),
      paths: ['/shop'],
      write: async (entries) => {
        await Promise.all(
          contents.map((bytes, i) =>
            entries.file(`/shop/${i}`, attributes, inPieces(bytes), i % 2 === 0 ? blocks : { kind: 'content' }),
          ),
        )
      },
    })
    const nodes = await nodesOf(repository, first.tree)
    for (const [i, bytes] of contents.entries())
      expect((await contentOf(repository, nodes.get(`/shop/${i}`)!)).equals(bytes), `file ${i}`).toBe(true)
    const second = await backupEntries(repository, {
      ...plainOptions(repository),
      parent: first.snapshot,
      paths: ['/shop'],
      write: async (entries) => {
        for (const i of contents.keys()) {
          const { content, size } = nodes.get(`/shop/${i}`)!
          if (i !== 3) entries.storedFile(`/shop/${i}`, attributes, idBytes(content!), Number(size))
        }
        await entries.file('/shop/3', attributes, inPieces(noise(99, 5)), blocks)
      },
    })
    expect(second.summary).toMatchObject({ filesUnmodified: 39, filesChanged: 1, filesNew: 0, dataBlobs: 1 })
  })

  test.each<{ readonly what: string; readonly write: (entries: EntrySink) => Promise<void> | void }>([
    { what: 'a path that leaves the snapshot', write: (e) => e.symlink('/shop/../../etc/passwd', 'x', attributes) },
    { what: 'a relative path', write: (e) => e.directory('shop', attributes) },
    { what: 'an empty name', write: (e) => e.directory('/shop//data', attributes) },
    { what: 'the root', write: (e) => e.directory('/', attributes) },
    { what: 'a zero byte', write: (e) => e.directory('/a\0b', attributes) },
    {
      what: 'a file twice',
      write: async (e) => {
        await e.file('/a', attributes, inPieces(noise(1, 10)), blocks)
        await e.file('/a', attributes, inPieces(noise(1, 10)), blocks)
      },
    },
    {
      what: 'a directory twice',
      write: (e) => {
        e.directory('/a/b', attributes)
        e.directory('/a', attributes)
        e.directory('/a', attributes)
      },
    },
    {
      what: 'a file below a link',
      write: (e) => {
        e.symlink('/a', '/etc', attributes)
        e.storedFile('/a/passwd', attributes, new Uint8Array(0), 0)
      },
    },
  ])('refuses $what', async ({ write }) => {
    const repository = await memoryRepository()
    const backup = backupEntries(repository, {
      ...plainOptions(repository),
      paths: ['/'],
      write: async (entries) => write(entries),
    })
    await expect(backup).rejects.toMatchObject({ code: 'HF_SOURCE_INVALID' })
    expect(await repository.list('snapshot')).toEqual([])
  })

  test('is made although the tree of the snapshot before is gone: then everything counts as new', async () => {
    const repository = await memoryRepository()
    const options = { ...plainOptions(repository), paths: ['/shop'] }
    const write = (entries: EntrySink) => entries.file('/shop/file', attributes, inPieces(noise(1, 1000)), blocks)
    const first = await backupEntries(repository, { ...options, write })
    const parent = { ...first.snapshot!, tree: 'ab'.repeat(32) }
    const second = await backupEntries(repository, { ...options, parent, write })
    expect(second.tree).toBe(first.tree)
    expect(second.summary).toMatchObject({ filesNew: 1, filesUnmodified: 0 })
  })

  test('of which one input fails is no snapshot', async () => {
    const repository = await memoryRepository()
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield noise(1, 100_000)
      throw new HoldfastError('HF_SOURCE_COMMAND', 'the server is gone')
    }
    const backup = backupEntries(repository, {
      ...plainOptions(repository),
      paths: ['/'],
      write: async (entries) => {
        await entries.file('/whole', attributes, inPieces(noise(2, 100_000)), blocks)
        await entries.file('/cut', attributes, failing(), blocks)
      },
    })
    await expect(backup).rejects.toMatchObject({ code: 'HF_SOURCE_COMMAND' })
    expect(await repository.list('snapshot')).toEqual([])
  })
})

test.skipIf(lacks('restic'))('restic restores entries with their attributes', async () => {
  using scratch = scratchFolder()
  const path = scratch.join('repository')
  const repository = await newRepository(path)
  const bytes = noise(7, 3 * MIB)
  await backupEntries(repository, {
    ...plainOptions(repository),
    paths: ['/shop'],
    write: async (entries) => {
      entries.directory('/shop/data', { ...attributes, mode: 0o700 })
      await entries.file('/shop/data/PG_VERSION', attributes, inPieces(Buffer.from('18\n')), blocks)
      await entries.file('/shop/data/base/5/1259', attributes, inPieces(bytes), blocks)
      entries.symlink('/shop/data/pg_tblspc/16384', '/srv/space', attributes)
    },
  })
  expectResticContent(path)
  const target = scratch.join('target')
  const { status, stderr } = restic(path, 'restore', 'latest', '--target', target)
  expect(status, stderr).toBe(0)
  expect(readFileSync(`${target}/shop/data/base/5/1259`).equals(bytes)).toBe(true)
  expect(readlinkSync(`${target}/shop/data/pg_tblspc/16384`)).toBe('/srv/space')
  expect(statSync(`${target}/shop/data`).mode & 0o7777).toBe(0o700)
  expect(statSync(`${target}/shop/data/PG_VERSION`)).toMatchObject({
    uid: process.getuid!() === 0 ? 70 : process.getuid!(),
  })
  expect(execFileSync('stat', ['-c', '%Y', `${target}/shop/data/PG_VERSION`], { encoding: 'utf8' }).trim()).toBe(
    '1700000000',
  )
})
