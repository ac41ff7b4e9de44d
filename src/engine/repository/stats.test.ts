import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { makeSnapshot } from '../../../test/support/make-snapshot.ts'
import { lacks } from '../../../test/support/requirements.ts'
import {
  backUp,
  memoryRepository,
  newRepository,
  reopen,
  restic,
  scratchFolder,
} from '../../../test/support/test-repository.ts'
import { zeroTime } from '../../lib/go-time.ts'
import { noProgress } from '../../lib/progress.ts'
import { randomBytes } from '../../lib/random.ts'
import { errorFrom } from '../storage/testing.ts'
import type { RepositoryVersion } from './config.ts'
import type { Repository } from './repository.ts'
import { loadSnapshots } from './snapshots.ts'
import { countSnapshots, type Stats, type StatsMode, statsJson } from './stats.ts'
import { encodeTree } from './tree/encode-tree.ts'
import { createNode } from './tree/node.ts'
import { BlobWriter } from './write/blob-writer.ts'

const modes: readonly StatsMode[] = ['restore-size', 'files-by-contents', 'blobs-per-file', 'raw-data']

const count = async (repository: Repository, mode: StatsMode): Promise<Stats> =>
  await countSnapshots(repository, await loadSnapshots(repository), { mode, progress: noProgress })

/** Two snapshots of a folder with everything that is counted in a special way. */
async function makeHistory(path: string, data: string, version: RepositoryVersion): Promise<Repository> {
  const repository = await newRepository(path, { version })
  mkdirSync(`${data}/same/below`, { recursive: true })
  mkdirSync(`${data}/again/below`, { recursive: true })
  const shared = randomBytes(3000)
  for (const folder of ['same', 'same/below', 'again', 'again/below']) writeFileSync(`${data}/${folder}/file`, shared)
  writeFileSync(`${data}/twins`, Buffer.alloc(4 << 20))
  writeFileSync(`${data}/text`, 'a line\n'.repeat(10_000))
  writeFileSync(`${data}/empty`, '')
  linkSync(`${data}/text`, `${data}/again/link`)
  linkSync(`${data}/text`, `${data}/link`)
  symlinkSync('text', `${data}/symlink`)
  await backUp(repository, data)
  writeFileSync(`${data}/text`, 'other lines\n'.repeat(10_000))
  writeFileSync(`${data}/same/file`, randomBytes(700_000))
  await backUp(repository, data)
  return await reopen(path)
}

describe.skipIf(lacks('restic'))('stats', () => {
  test.each([1, 2] as const)('counts a version %d repository as restic does, in every mode', async (version) => {
    using scratch = scratchFolder()
    const path = scratch.join('repository')
    const repository = await makeHistory(path, scratch.join('data'), version)
    for (const mode of modes) {
      const ours = statsJson(await count(repository, mode))
      const theirs: Record<string, number> = JSON.parse(restic(path, 'stats', '--mode', mode, '--json').stdout)
      // An old restic prints neither what it does not count nor, where it has the field, leaves out zeros.
      for (const [name, value] of Object.entries(theirs))
        expect(ours[name] ?? 0, `${mode} ${name}`).toBeCloseTo(value, 6)
      expect(Object.keys(theirs).length).toBeGreaterThan(1)
    }
  })
})

describe('the modes', () => {
  test('count what they say', async () => {
    using scratch = scratchFolder()
    const repository = await makeHistory(scratch.join('repository'), scratch.join('data'), 2)
    const depth = scratch.join('data').split('/').length - 1
    const restored = await count(repository, 'restore-size')
    // Each snapshot: the folders on the way, four folders below, ten files and a link; the file with three names weighs once.
    expect(restored).toMatchObject({
      snapshots: 2,
      totalFiles: 2 * (depth + 4 + 10),
      totalBlobs: 0,
      uncompressedBytes: 0,
    })
    const contents = await count(repository, 'files-by-contents')
    const texts = 70_000 + 120_000
    // Shared file, zeros, two texts, one new file, and nothing: the content of the empty file, as of all that is no file.
    expect(contents).toMatchObject({ totalFiles: 6, totalBytes: 3000 + (4 << 20) + texts + 700_000 })
    const blobs = await count(repository, 'blobs-per-file')
    // The zeros are one blob eight times over; the second text belongs to a path that is counted already.
    expect(blobs.totalBytes).toBe(3000 + (512 << 10) + texts + 700_000)
    const raw = await count(repository, 'raw-data')
    expect(raw.totalBlobs).toBeGreaterThan(blobs.totalBlobs)
    expect(raw.compressionRatio).toBeGreaterThan(1)
    expect(raw.compressionProgress).toBe(100)
    expect(raw.compressionSpaceSaving).toBeCloseTo((1 - raw.totalBytes / raw.uncompressedBytes) * 100)
    expect(statsJson(restored)).toEqual({
      total_size: restored.totalBytes,
      total_file_count: restored.totalFiles,
      snapshots_count: 2,
    })
  })

  test('end at data that is missing', async () => {
    const repository = await memoryRepository()
    const times = { mtime: zeroTime, atime: zeroTime, ctime: zeroTime }
    const lost = createNode({ name: 'lost', type: 'file', size: 5, links: 1, ...times, content: ['f'.repeat(64)] })
    const writer = new BlobWriter(repository)
    const { id: tree } = await writer.save('tree', encodeTree([lost]))
    await writer.flush()
    const run = async (mode: StatsMode, root: string | undefined): Promise<Stats> =>
      await countSnapshots(repository, [makeSnapshot('2024-03-01T10:00:00Z', { tree: root })], {
        mode,
        progress: noProgress,
      })
    for (const mode of ['blobs-per-file', 'raw-data'] as const)
      expect((await errorFrom(() => run(mode, tree))).code, mode).toBe('HF_BLOB_NOT_FOUND')
    for (const mode of modes) {
      expect((await errorFrom(() => run(mode, 'e'.repeat(64)))).code, mode).toBe('HF_BLOB_NOT_FOUND')
      expect((await errorFrom(() => run(mode, undefined))).code, mode).toBe('HF_DATA_DAMAGED')
    }
    expect(await run('restore-size', tree)).toMatchObject({ totalFiles: 1, totalBytes: 5 })
  })
})
