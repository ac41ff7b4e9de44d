import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { copyStorage } from '../../../../test/support/copy-storage.ts'
import { makeSnapshot } from '../../../../test/support/make-snapshot.ts'
import { lacks } from '../../../../test/support/requirements.ts'
import {
  backUp,
  expectResticContent,
  memoryRepository,
  newRepository,
  overStorage,
  PASSWORD,
  reopen,
  restic,
  scratchFolder,
} from '../../../../test/support/test-repository.ts'
import { loadEverything } from '../../../../test/support/whole-snapshots.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { zeroTime } from '../../../lib/go-time.ts'
import { noProgress } from '../../../lib/progress.ts'
import { randomBytes } from '../../../lib/random.ts'
import { sha256Hex } from '../../kernels/sha256.ts'
import { withFaults } from '../../storage/layers/with-faults.ts'
import { errorFrom } from '../../storage/testing.ts'
import type { RepositoryVersion } from '../config.ts'
import type { InitOptions, Repository } from '../repository.ts'
import { loadSnapshots, saveSnapshot } from '../snapshots.ts'
import { changeTags } from '../tag.ts'
import { encodeTree } from '../tree/encode-tree.ts'
import { createNode } from '../tree/node.ts'
import { BlobWriter } from '../write/blob-writer.ts'
import { type CopyResult, copySnapshots } from './copy-snapshots.ts'

const SMALL_PACKS = 4 * 1024 * 1024

async function copyAll(
  source: Repository,
  destination: Repository,
  options: { readonly threads?: number; readonly signal?: AbortSignal } = {},
): Promise<CopyResult> {
  const snapshots = await loadSnapshots(source)
  return await copySnapshots(source, destination, snapshots, { threads: 2, progress: noProgress, ...options })
}

/** Two snapshots of a folder with compressible and incompressible files of all sizes. */
async function makeSource(path: string, data: string, options: InitOptions = {}): Promise<Repository> {
  const repository = await newRepository(path, { packBytes: SMALL_PACKS, ...options })
  mkdirSync(`${data}/sub`, { recursive: true })
  for (let i = 0; i < 300; i++) writeFileSync(`${data}/sub/small ${i}`, `text ${i}\n`.repeat(i))
  for (let i = 0; i < 12; i++) writeFileSync(`${data}/noise ${i}`, randomBytes(900_000))
  writeFileSync(`${data}/empty`, '')
  await backUp(repository, data)
  writeFileSync(`${data}/noise 3`, randomBytes(900_000))
  await backUp(repository, data, { tags: ['second'] })
  return await reopen(path)
}

/** Ids of all blobs that are stored, and whether they are compressed. */
function blobsOf(repository: Repository): Map<string, boolean> {
  const blobs = new Map<string, boolean>()
  for (const type of ['data', 'tree'] as const) {
    const table = repository.index.table(type)
    for (let row = 0; row < table.count; row++)
      blobs.set(`${type} ${table.idHex(row)}`, table.uncompressedLength(row) > 0)
  }
  return blobs
}

describe.skipIf(lacks('restic'))('copies', () => {
  const versions: readonly (readonly [RepositoryVersion, RepositoryVersion])[] = [
    [1, 1],
    [1, 2],
    [2, 1],
    [2, 2],
  ]
  test.each(versions)('are whole, from version %d to %d', async (from, to) => {
    using scratch = scratchFolder()
    const [path, copy, data] = [scratch.join('source'), scratch.join('copy'), scratch.join('data')]
    const source = await makeSource(path, data, { version: from })
    const destination = await newRepository(copy, { version: to, packBytes: SMALL_PACKS })
    expect(destination.config.chunkerPolynomial).not.toBe(source.config.chunkerPolynomial)
    const { copied } = await copyAll(source, destination)
    expectResticContent(copy)
    const [stored, original] = [blobsOf(await reopen(copy)), blobsOf(source)]
    expect([...stored.keys()].sort()).toEqual([...original.keys()].sort())
    expect([...stored.values()].every((compressed) => compressed === (to === 2))).toBe(true)
    for (const { source: before, copy: after } of copied)
      expect(after).toEqual({ ...before, id: after.id, parent: undefined, original: before.id })
    const target = scratch.join('restored')
    expect(restic(copy, 'restore', copied[1]!.copy.id, '--target', target).status).toBe(0)
    expect(treeOf(target + data)).toEqual(treeOf(data))
  })

  test('are known to restic as copies, and copies of restic to us', async () => {
    using scratch = scratchFolder()
    const [path, copy] = [scratch.join('source'), scratch.join('copy')]
    const source = await makeSource(path, scratch.join('data'))
    await copyAll(source, await newRepository(copy))
    writeFileSync(scratch.join('password'), PASSWORD)
    const from = ['--from-repo', path, '--from-password-file', scratch.join('password')]
    const theirs = restic(copy, 'copy', ...from)
    expect(theirs.status, theirs.stderr).toBe(0)
    expect(await loadSnapshots(await reopen(copy))).toHaveLength(2)
    const second = scratch.join('second')
    await newRepository(second)
    expect(restic(second, 'copy', ...from).status).toBe(0)
    const { copied, skipped } = await copyAll(source, await reopen(second))
    expect([copied.length, skipped.length]).toEqual([0, 2])
  })
})

describe('copying', () => {
  test('skips what is there, under its own id, as a copy, or as a copy of the same original', async () => {
    const [source, first, second] = [await memoryRepository(), await memoryRepository(), await memoryRepository()]
    await addSnapshot(source, 'one')
    expect((await copyAll(source, first)).copied).toHaveLength(1)
    expect((await copyAll(source, first)).skipped).toHaveLength(1)
    // A copy of the copy has the same original; copied back, it is what the source has.
    await copyAll(first, second)
    expect((await copyAll(source, second)).skipped).toHaveLength(1)
    expect((await copyAll(second, source)).skipped).toHaveLength(1)
    expect((await copyAll(source, source)).skipped).toHaveLength(1)
    expect(await loadSnapshots(source)).toHaveLength(1)
    // With other tags it is another snapshot.
    await changeTags(source, await loadSnapshots(source), { set: ['new'] }, { progress: noProgress })
    expect((await copyAll(source, first)).copied).toHaveLength(1)
    expect((await loadSnapshots(first)).map(({ tags }) => tags).sort()).toEqual([[], ['new']])
  })

  test('takes each blob once, and only what is missing', async () => {
    const [source, destination] = [await memoryRepository(), await memoryRepository()]
    await addSnapshot(source, 'one', 'shared')
    await addSnapshot(source, 'two', 'shared')
    const writer = new BlobWriter(destination)
    await writer.save('data', Buffer.from('one'))
    await writer.flush()
    const planned: number[] = []
    const { blobs } = await copySnapshots(source, destination, await loadSnapshots(source), {
      threads: 1,
      progress: noProgress,
      observer: { onPlanned: (_, plan) => planned.push(plan.blobs) },
    })
    expect(planned).toEqual([2, 2])
    expect(blobs).toBe(4)
    expect([...blobsOf(destination).keys()].sort()).toEqual([...blobsOf(source).keys()].sort())
    await loadEverything(destination.storage)
  })

  test('keeps compression as it is, whatever the destination would choose', async () => {
    const source = await memoryRepository({ compression: 'off' })
    await addSnapshot(source, 'plain '.repeat(1000))
    const compressed = await memoryRepository()
    await copyAll(source, compressed)
    expect(new Set(blobsOf(compressed).values())).toEqual(new Set([true]))
    const off = await memoryRepository({ compression: 'off' })
    await copyAll(compressed, off)
    expect(blobsOf(off)).toEqual(blobsOf(compressed))
    const again = await memoryRepository({ compression: 'off' })
    await copyAll(source, again)
    expect(blobsOf(again)).toEqual(blobsOf(source))
    for (const { storage } of [compressed, off, again]) await loadEverything(storage)
  })

  test('takes another copy of a damaged blob, and stops when there is none', async () => {
    const source = await memoryRepository()
    await addSnapshot(source, 'content')
    const [pack] = [...source.index.packs()].filter(({ id }) => source.index.find('data', idOf('content'))!.pack === id)
    const flip = (bytes: Uint8Array): Uint8Array => bytes.with(20, bytes[20]! ^ 1)
    const broken = await changed(source, pack!.id, flip)
    const destination = await memoryRepository()
    const error = await errorFrom(() => copyAll(broken, destination))
    expect(error.code).toBe('HF_PACK_DAMAGED')
    expect(error.message).toMatch(`the source repository is damaged: data blob ${idOf('content')}`)
    expect(await loadSnapshots(destination)).toEqual([])
    const writer = new BlobWriter(source)
    await writer.save('data', Buffer.from('content'), idOf('content'), { duplicate: true })
    await writer.flush()
    for (const change of [flip, () => undefined]) {
      const other = await memoryRepository()
      expect((await copyAll(await changed(source, pack!.id, change), other)).copied).toHaveLength(1)
      await loadEverything(other.storage)
    }
  })

  test('says which blob neither repository has', async () => {
    const source = await memoryRepository()
    await saveSnapshot(source, makeSnapshot('2024-03-01T10:00:00Z', { tree: await saveFile(source, ['f'.repeat(64)]) }))
    const error = await errorFrom(async () => copyAll(source, await memoryRepository()))
    expect(error.code).toBe('HF_BLOB_NOT_FOUND')
    expect(error.message).toMatch(`data blob ${'f'.repeat(64)} is in no index of the source repository`)
  })

  test('stops at a signal', async () => {
    const source = await memoryRepository()
    await addSnapshot(source, 'content')
    const destination = await memoryRepository()
    const controller = new AbortController()
    const stopped = errorFrom(() => copyAll(source, destination, { signal: controller.signal }))
    controller.abort()
    expect((await stopped).code).toBe('HF_INTERRUPTED')
    expect(await loadSnapshots(destination)).toEqual([])
  })

  test('that fails at any write leaves the destination whole, and goes on from there', async () => {
    const source = await memoryRepository()
    for (let i = 0; i < 2; i++) await addSnapshot(source, `${i}`, randomBytes(3_500_000))
    const error = new HoldfastError('HF_STORAGE_IO', 'cut off')
    let failed = 0
    for (const type of ['fail', 'fail-after'] as const)
      for (let call = 1; ; call++) {
        const plain = await memoryRepository()
        const storage = withFaults(plain.storage, [{ operation: 'put', call, times: 1, effect: { type, error } }])
        const destination = overStorage(plain, storage, { packBytes: SMALL_PACKS })
        await destination.loadIndex()
        const outcome = await copyAll(source, destination, { threads: 1 }).catch((cause: unknown) => cause)
        await loadEverything(plain.storage)
        if (outcome instanceof Error) expect(outcome).toBe(error)
        else break
        failed++
        await plain.loadIndex()
        await copyAll(source, plain, { threads: 1 })
        expect((await loadEverything(plain.storage)).length).toBe(2)
        expect(call).toBeLessThan(20)
      }
    expect(failed).toBeGreaterThanOrEqual(10)
  })
})

const idOf = (content: string): string => sha256Hex(Buffer.from(content))

/** A tree with one file of these blobs. */
async function saveFile(repository: Repository, content: readonly string[]): Promise<string> {
  const writer = new BlobWriter(repository)
  const times = { mtime: zeroTime, atime: zeroTime, ctime: zeroTime }
  const { id } = await writer.save('tree', encodeTree([createNode({ name: 'file', type: 'file', ...times, content })]))
  await writer.flush()
  return id
}

/** Adds a snapshot of a file made of these blobs. */
async function addSnapshot(repository: Repository, ...blobs: readonly (string | Uint8Array)[]): Promise<void> {
  const writer = new BlobWriter(repository)
  const ids: string[] = []
  for (const blob of blobs) ids.push((await writer.save('data', Buffer.from(blob as string))).id)
  await writer.flush()
  // Each is a day newer than the one before, so that their order is no chance.
  const day = (await repository.list('snapshot')).length + 1
  const tree = await saveFile(repository, ids)
  await saveSnapshot(repository, makeSnapshot(`2024-03-0${day}T10:00:00Z`, { tree }))
}

/** The repository over a copy of its storage in which one pack is changed, or missing. */
async function changed(
  repository: Repository,
  pack: string,
  change: (bytes: Uint8Array) => Uint8Array | undefined,
): Promise<Repository> {
  const storage = await copyStorage(repository.storage)
  const file = { kind: 'data', name: pack } as const
  const content = change(await storage.get(file))
  await storage.delete(file)
  if (content) await storage.put(file, content)
  const result = overStorage(repository, storage)
  await result.loadIndex()
  return result
}

/** Paths, sizes and content of all files below a folder. */
const treeOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      return `${path.slice(folder.length)} ${entry.isFile() ? sha256Hex(readFileSync(path)) : 'dir'}`
    })
    .sort()
