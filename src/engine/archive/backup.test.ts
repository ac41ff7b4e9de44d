import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { contentOf, nodesOf } from '../../../test/support/stored-nodes.ts'
import {
  backUp,
  CHEAP_KDF,
  expectResticContent,
  newRepository,
  PASSWORD,
  plainOptions,
  reopen,
  restic,
  scratchFolder,
} from '../../../test/support/test-repository.ts'
import { workingFolder } from '../../../test/support/working-folder.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { localTimestamp } from '../../lib/go-time.ts'
import { randomBytes } from '../../lib/random.ts'
import { createRabinScanner } from '../kernels/rabin.ts'
import { initRepository, Repository } from '../repository/repository.ts'
import { loadSnapshots } from '../repository/snapshots.ts'
import { withDryRun } from '../storage/layers/with-dry-run.ts'
import { openMemoryStorage } from '../storage/memory/memory-storage.ts'
import { backupStream } from './backup.ts'
import type { BackupObserver } from './backup-observer.ts'

const MIB = 1024 * 1024

function writeManySizes(folder: string): string[] {
  mkdirSync(folder, { recursive: true })
  const sizes = [0, 1, 100, 4096, 512 * 1024 - 1, 512 * 1024, 512 * 1024 + 1, 3 * MIB, 8 * MIB, 8 * MIB + 1, 20 * MIB]
  return sizes.map((size, i) => {
    const path = `${folder}/size ${i}`
    writeFileSync(path, randomBytes(size))
    return path
  })
}

describe('a backup', () => {
  test('stores files of every size so that they read back the same, cut where the whole file would be cut', async () => {
    using scratch = scratchFolder()
    const paths = writeManySizes(scratch.join('data'))
    const repository = await newRepository(scratch.join('repository'))
    const { snapshot, summary } = await backUp(repository, scratch.join('data'))
    expect(summary).toMatchObject({ filesNew: paths.length, totalFilesProcessed: paths.length })
    const nodes = await nodesOf(repository, snapshot!.tree!)
    for (const path of paths) {
      const node = nodes.get(path)!
      expect(node.size).toBe(statSync(path).size)
      expect((await contentOf(repository, node)).equals(readFileSync(path)), path).toBe(true)
    }
    const large = paths.at(-1)!
    const scanner = createRabinScanner(repository.config.chunkerPolynomial, 20 * MIB)
    scanner.memory.set(readFileSync(large))
    const ids: string[] = []
    for (let start = 0; start < 20 * MIB; ) {
      const cut = scanner.findCut(start, start, 20 * MIB)
      const end = cut < 0 ? 20 * MIB : cut
      ids.push(createHash('sha256').update(scanner.memory.slice(start, end)).digest('hex'))
      start = end
    }
    expect(nodes.get(large)!.content).toEqual(ids)
  })

  test('reads nothing again that did not change, and stores nothing twice', async () => {
    using scratch = scratchFolder()
    writeManySizes(scratch.join('data'))
    const repository = await newRepository(scratch.join('repository'))
    using _ = workingFolder(scratch.path)
    const first = await backUp(repository, 'data', { parent: undefined })
    let read = 0
    const observer: BackupObserver = {
      onError: () => expect.fail('an error'),
      onFileStarted: () => read++,
    }
    const parent = first.snapshot!
    const second = await backUp(repository, 'data', { parent, observer })
    expect(read).toBe(0)
    expect(second.summary).toMatchObject({ filesUnmodified: 11, filesNew: 0, dataBlobs: 0, dataAddedBytes: 0 })
    expect(second.tree).toBe(first.tree)
    expect(second.snapshot!.parent).toBe(first.snapshot!.id)
    const third = await backUp(repository, 'data', { parent: undefined })
    expect(third.summary).toMatchObject({ filesNew: 11, dataBlobs: 0, treeBlobs: 0 })
    const skipped = await backUp(repository, 'data', { parent, skipIfUnchanged: true })
    expect(skipped.snapshot).toBeUndefined()
  })

  test('notices a change that leaves size and mtime as they were, by the ctime', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('data', 'file')
    mkdirSync(scratch.join('data'))
    writeFileSync(path, 'before')
    utimesSync(path, 1000, 1000)
    const repository = await newRepository(scratch.join('repository'))
    await backUp(repository, scratch.join('data'))
    writeFileSync(path, 'after!')
    utimesSync(path, 1000, 1000)
    const rehearsal = new Repository(
      withDryRun(repository.storage),
      repository.config,
      repository.masterKey,
      repository.keyId,
      {},
    )
    rehearsal.useIndex(repository.index, repository.loadedIndexes)
    const ignoring = await backUp(rehearsal, scratch.join('data'), { ignoreCtime: true, dryRun: true })
    expect(ignoring.summary.filesUnmodified).toBe(1)
    const { snapshot, summary } = await backUp(repository, scratch.join('data'))
    expect(summary.filesChanged).toBe(1)
    const node = (await nodesOf(repository, snapshot!.tree!)).get(path)!
    expect((await contentOf(repository, node)).toString()).toBe('after!')
  })

  test('reads a file again that was touched while its parent snapshot was made', async () => {
    using scratch = scratchFolder()
    mkdirSync(scratch.join('data'))
    writeFileSync(scratch.join('data', 'racy'), 'content')
    const repository = await newRepository(scratch.join('repository'))
    const { snapshot } = await backUp(repository, scratch.join('data'))
    const now = localTimestamp(repository.clock.now())
    const touchedThen = {
      ...snapshot!,
      summary: { ...snapshot!.summary!, backupStart: { ...now, seconds: now.seconds - 60 }, backupEnd: now },
    }
    const started: string[] = []
    const observer = { onError: () => expect.fail('an error'), onFileStarted: (path: string) => started.push(path) }
    await backUp(repository, scratch.join('data'), { parent: touchedThen, observer })
    expect(started).toEqual([scratch.join('data', 'racy')])
  })

  test('keeps what a file is after it changed between listing and reading', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('data', 'log')
    mkdirSync(scratch.join('data'))
    writeFileSync(path, 'line 1\n')
    const repository = await newRepository(scratch.join('repository'))
    const { snapshot } = await backUp(repository, scratch.join('data'), {
      observer: { onError: () => expect.fail('an error'), onFileStarted: () => appendFileSync(path, 'line 2\n') },
    })
    const node = (await nodesOf(repository, snapshot!.tree!)).get(path)!
    expect((await contentOf(repository, node)).toString()).toBe('line 1\nline 2\n')
    expect(node.size).toBe(14)
    expect(node.mtime.seconds).toBe(Math.floor(statSync(path).mtimeMs / 1000))
  })

  test('saves a file that outgrows its batch, whole', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('data', 'grows')
    mkdirSync(scratch.join('data'))
    writeFileSync(path, 'small')
    const grown = randomBytes(40 * MIB)
    const repository = await newRepository(scratch.join('repository'))
    const { snapshot } = await backUp(repository, scratch.join('data'), {
      observer: { onError: () => expect.fail('an error'), onFileStarted: () => writeFileSync(path, grown) },
    })
    const node = (await nodesOf(repository, snapshot!.tree!)).get(path)!
    expect((await contentOf(repository, node)).equals(grown)).toBe(true)
  })

  test('goes on without a file that vanished, and says so', async () => {
    using scratch = scratchFolder()
    mkdirSync(scratch.join('data'))
    writeFileSync(scratch.join('data', 'gone'), 'x')
    writeFileSync(scratch.join('data', 'stays'), 'y')
    writeFileSync(scratch.join('data', 'large'), '')
    truncateSync(scratch.join('data', 'large'), 10 * MIB)
    const repository = await newRepository(scratch.join('repository'))
    const errors: string[] = []
    const { snapshot, errors: count } = await backUp(repository, scratch.join('data'), {
      observer: {
        onError: (item, error) => errors.push(`${item}: ${(error as NodeJS.ErrnoException).code}`),
        onFileStarted: (path) => path.endsWith('stays') || rmSync(path),
      },
    })
    expect(count).toBe(2)
    expect(errors.sort()).toEqual([
      `${scratch.join('data', 'gone')}: ENOENT`,
      `${scratch.join('data', 'large')}: ENOENT`,
    ])
    expect([...(await nodesOf(repository, snapshot!.tree!)).keys()].at(-1)).toBe(scratch.join('data', 'stays'))
  })

  test('reaches targets through symbolic links, which stand for the directories they lead to', async () => {
    using scratch = scratchFolder()
    mkdirSync(scratch.join('real', 'below'), { recursive: true })
    writeFileSync(scratch.join('real', 'below', 'file'), 'content')
    symlinkSync('real', scratch.join('link'))
    const repository = await newRepository(scratch.join('repository'))
    const { snapshot, errors } = await backUp(repository, scratch.join('link', 'below'))
    expect(errors).toBe(0)
    const nodes = await nodesOf(repository, snapshot!.tree!)
    expect(nodes.get(scratch.join('link'))).toMatchObject({ type: 'dir', inode: statSync(scratch.join('real')).ino })
    expect((await contentOf(repository, nodes.get(scratch.join('link', 'below', 'file'))!)).toString()).toBe('content')
  })

  test('of nothing that can be read is no snapshot', async () => {
    using scratch = scratchFolder()
    const repository = await newRepository(scratch.join('repository'))
    await expect(backUp(repository, scratch.join('absent'))).rejects.toMatchObject({ code: 'HF_SOURCE_UNREADABLE' })
    expect(await repository.list('snapshot')).toEqual([])
  })

  test('skips the holes of a sparse file', async () => {
    using scratch = scratchFolder()
    const path = scratch.join('data', 'sparse')
    mkdirSync(scratch.join('data'))
    const edge = randomBytes(1000)
    writeFileSync(path, edge)
    truncateSync(path, 3 * 1024 * MIB)
    appendFileSync(path, edge)
    const repository = await newRepository(scratch.join('repository'))
    const { snapshot, summary } = await backUp(repository, scratch.join('data'))
    expect(summary.dataAddedPackedBytes).toBeLessThan(100_000)
    const node = (await nodesOf(repository, snapshot!.tree!)).get(path)!
    expect(node.size).toBe(3 * 1024 * MIB + 1000)
    expect(node.content!.length).toBeGreaterThan(6000)
    const length = node.content!.reduce((sum, id) => sum + repository.index.plaintextLength('data', id)!, 0)
    expect(length).toBe(node.size)
    const last = await repository.loadBlob('data', node.content!.at(-1)!)
    expect(Buffer.from(last.subarray(-1000)).equals(edge)).toBe(true)
  })

  test('that is interrupted writes no snapshot, keeps what it has read, and the next run goes on from there', async () => {
    using scratch = scratchFolder()
    mkdirSync(scratch.join('data'))
    for (let i = 0; i < 40; i++) writeFileSync(scratch.join('data', `file ${i}`), randomBytes(1 * MIB))
    const path = scratch.join('repository')
    const repository = await newRepository(path)
    const controller = new AbortController()
    let done = 0
    const interrupted = backUp(repository, scratch.join('data'), {
      signal: controller.signal,
      observer: {
        onError: () => expect.fail('an error'),
        onItem: () => ++done === 20 && controller.abort(new HoldfastError('HF_INTERRUPTED', 'stopped')),
      },
    })
    await expect(interrupted).rejects.toMatchObject({ code: 'HF_INTERRUPTED' })
    expect(await repository.list('snapshot')).toEqual([])
    const { summary } = await backUp(await reopen(path), scratch.join('data'))
    expect(summary.filesNew).toBe(40)
    expect(summary.dataAddedBytes).toBeLessThan(25 * MIB)
  })

  test('into storage that only the main thread can reach', async () => {
    using scratch = scratchFolder()
    const paths = writeManySizes(scratch.join('data'))
    const repository = await initRepository(
      openMemoryStorage(),
      { password: PASSWORD },
      { key: { kdf: CHEAP_KDF }, packBytes: 4 * MIB },
    )
    await repository.loadIndex()
    const { snapshot } = await backUp(repository, scratch.join('data'))
    const nodes = await nodesOf(repository, snapshot!.tree!)
    for (const path of paths)
      expect((await contentOf(repository, nodes.get(path)!)).equals(readFileSync(path))).toBe(true)
    // 41.5 MiB, in packs that are full at 4 MiB and hold one more blob of at most 8 MiB; and a pack of trees.
    expect((await repository.list('data')).length).toBeGreaterThan(4)
  })

  test('stores a file again whose blobs are gone from the index', async () => {
    using scratch = scratchFolder()
    mkdirSync(scratch.join('data'))
    writeFileSync(scratch.join('data', 'file'), 'content')
    const path = scratch.join('repository')
    const repository = await newRepository(path)
    const { snapshot } = await backUp(repository, scratch.join('data'))
    for (const name of await repository.list('index')) await repository.storage.delete({ kind: 'index', name })
    const errors: string[] = []
    const reopened = await reopen(path)
    const again = await backUp(reopened, scratch.join('data'), { observer: { onError: (item) => errors.push(item) } })
    expect(errors.length).toBeGreaterThan(0)
    expect(snapshot!.id).not.toBe(again.snapshot!.id)
    const node = (await nodesOf(await reopen(path), again.tree)).get(scratch.join('data', 'file'))!
    expect((await contentOf(reopened, node)).toString()).toBe('content')
  })
})

describe('a backup of a stream', () => {
  test('is one file, cut as a file would be', async () => {
    using scratch = scratchFolder()
    const bytes = randomBytes(30 * MIB)
    const repository = await newRepository(scratch.join('repository'))
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += 700_001) yield bytes.subarray(at, at + 700_001)
    }
    const { snapshot, summary } = await backupStream(repository, {
      ...plainOptions(repository),
      filename: 'dumps/shop.sql',
      input: pieces(),
    })
    expect(snapshot!.paths).toEqual(['/dumps/shop.sql'])
    const node = (await nodesOf(repository, snapshot!.tree!)).get('/dumps/shop.sql')!
    expect((await contentOf(repository, node)).equals(Buffer.from(bytes))).toBe(true)
    mkdirSync(scratch.join('data'))
    writeFileSync(scratch.join('data', 'same'), bytes)
    const file = await backUp(repository, scratch.join('data'))
    expect(file.summary.dataBlobs).toBe(0)
    expect(summary.totalBytesProcessed).toBe(30 * MIB)
  })

  test('that fails is no snapshot', async () => {
    using scratch = scratchFolder()
    const repository = await newRepository(scratch.join('repository'))
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield randomBytes(1000)
      throw new HoldfastError('HF_SOURCE_COMMAND', 'pg_dump ended with exit code 1')
    }
    const backup = backupStream(repository, { ...plainOptions(repository), filename: '/dump', input: failing() })
    await expect(backup).rejects.toMatchObject({ code: 'HF_SOURCE_COMMAND' })
    expect(await repository.list('snapshot')).toEqual([])
  })
})

describe.skipIf(lacks('restic'))('with restic on the same repository', () => {
  test.each([1, 2] as const)(
    'version %i: restic finds it whole, restores it equal, and has nothing to add',
    async (version) => {
      using scratch = scratchFolder()
      const data = scratch.join('data')
      writeManySizes(data)
      mkdirSync(`${data}/empty folder`)
      symlinkSync('../elsewhere', `${data}/link`)
      linkSync(`${data}/size 7`, `${data}/hard link`)
      writeFileSync(Buffer.concat([Buffer.from(`${data}/invalid `), Buffer.from([0xff, 0xfe])]), 'odd name')
      writeFileSync(`${data}/new\nline "quoted" \\ ünï`, 'odd name')
      writeFileSync(`${data}/${'n'.repeat(255)}`, 'long name')
      execFileSync('mkfifo', [`${data}/fifo`])
      const path = scratch.join('repository')
      const repository = await newRepository(path, { version })
      const ours = await backUp(repository, data)
      expectResticContent(path)
      const { status, stderr } = restic(path, 'restore', 'latest', '--target', scratch.join('restored'))
      expect(status, stderr).toBe(0)
      expect(
        execFileSync('diff', [
          '-r',
          '--no-dereference',
          '--exclude=fifo',
          data,
          scratch.join('restored') + data,
        ]).toString(),
      ).toBe('')

      const theirs = restic(path, 'backup', '--host', 'test-host', '--json', data)
      expect(theirs.status, theirs.stderr).toBe(0)
      const message = theirs.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
        .at(-1)
      expect(message).toMatchObject({ message_type: 'summary', data_blobs: 0, files_unmodified: 15, files_changed: 0 })
      // The folders above change with every test that runs beside this one; the one that was backed up does not.
      const treeOfData = async (tree: string): Promise<string> =>
        (await nodesOf(await reopen(path), tree)).get(data)!.subtree!
      const [, second] = await loadSnapshots(await reopen(path))
      expect(await treeOfData(second!.tree!)).toBe(await treeOfData(ours.tree))

      const mine = await backUp(await reopen(path), data)
      expect(mine.summary).toMatchObject({ dataBlobs: 0, filesUnmodified: 15, filesChanged: 0 })
      expect(await treeOfData(mine.tree)).toBe(await treeOfData(ours.tree))
    },
  )
})
