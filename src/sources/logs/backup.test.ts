import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  createWriteStream,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { finished } from 'node:stream/promises'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { contentOf, nodesOf } from '../../../test/support/stored-nodes.ts'
import {
  expectResticContent,
  newRepository,
  plainOptions,
  restic,
  scratchFolder,
} from '../../../test/support/test-repository.ts'
import type { BackupObserver } from '../../engine/archive/backup-observer.ts'
import type { Repository } from '../../engine/repository/repository.ts'
import type { StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { systemClock } from '../../lib/clock.ts'
import { filesManifest } from '../files/manifest.ts'
import type { BackupType, Source, SourceBackup } from '../source.ts'
import { logsKind } from './index.ts'

const sourceOf = (settings: object): Source =>
  logsKind.open('logs', logsKind.settings.parse(settings), {
    clock: systemClock,
    secret: async () => '',
  })

/** Renames `app.log.N` to `app.log.N+1` and begins a new `app.log`, for ever, as logrotate without compression. */
const ROTATE = `
  const { renameSync, writeFileSync } = require('node:fs')
  const [, folder, count] = process.argv
  process.chdir(folder)
  for (let last = Number(count) - 1; last < 400; last++) {
    for (let number = last; number > 0; number--) renameSync('app.log.' + number, 'app.log.' + (number + 1))
    renameSync('app.log', 'app.log.1')
    writeFileSync('app.log', 'a later line\\n')
    if (last === Number(count)) console.log('rotating')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3)
  }
`

interface Run {
  readonly observer?: Partial<BackupObserver>
  readonly parent?: StoredSnapshot | undefined
  readonly type?: BackupType
}

function backUp(repository: Repository, source: Source, { observer, parent, type = 'incremental' }: Run = {}) {
  const options = plainOptions(repository, ['source=logs'])
  return source.backup({
    repository,
    type,
    require: [],
    options: { ...options, parent, observer: { ...options.observer, ...observer } },
  })
}

/** The files of a snapshot below a folder, by their path in it. */
async function storedBelow(
  repository: Repository,
  folder: string,
  { result }: SourceBackup,
): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const [path, node] of await nodesOf(repository, result.tree))
    if (node.type === 'file' && path.startsWith(`${folder}/`))
      files.set(path.slice(folder.length + 1), String(await contentOf(repository, node)))
  return files
}

/** A folder of logs and a repository beside it. */
async function stage() {
  const scratch = scratchFolder()
  const repository = await newRepository(scratch.join('repository'))
  mkdirSync(scratch.join('log'))
  const log = (...names: string[]) => scratch.join('log', ...names)
  return { repository, folder: scratch.join('log'), log, scratch, [Symbol.dispose]: () => scratch[Symbol.dispose]() }
}

const daysAgo = (path: string, days: number): void => {
  const time = Date.now() / 1000 - days * 86_400
  utimesSync(path, time, time)
}

describe('a backup of logs', () => {
  test('holds what was written within the window, and says since when (S1-05)', async () => {
    using all = await stage()
    for (let age = 0; age <= 20; age++) {
      writeFileSync(all.log(`app.log.${age}`), `day ${age}`)
      daysAgo(all.log(`app.log.${age}`), age === 0 ? 0 : age - 0.01)
    }
    const excluded: string[] = []
    const backup = await backUp(all.repository, sourceOf({ paths: [all.folder], window: '7d' }), {
      observer: { onExcluded: (path) => excluded.push(path) },
    })
    const stored = await storedBelow(all.repository, all.folder, backup)
    expect([...stored.keys()].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((age) => `app.log.${age}`))
    expect(excluded).toHaveLength(13)
    expect(backup).toMatchObject({ type: 'full', result: { errors: 0, snapshot: { paths: [all.folder] } } })
    const manifest = (await nodesOf(all.repository, backup.result.tree)).get('/.holdfast/logs/manifest.json')!
    expect(filesManifest.parse(JSON.parse(String(await contentOf(all.repository, manifest))))).toMatchObject({
      type: 'logs',
      since: expect.stringMatching(/^\d{4}-/),
    })
  })

  test('reads unchanged logs only once, and all of them for a full backup', async () => {
    using all = await stage()
    writeFileSync(all.log('old.log'), 'old')
    writeFileSync(all.log('new.log'), 'new')
    daysAgo(all.log('old.log'), 1)
    const source = sourceOf({ paths: [all.folder] })
    const first = await backUp(all.repository, source)
    const read: string[] = []
    const observer = { onFileStarted: (path: string) => read.push(path) }
    appendFileSync(all.log('new.log'), ' and newer')
    const second = await backUp(all.repository, source, { observer, parent: first.result.snapshot })
    expect(read).toEqual([all.log('new.log')])
    expect(second).toMatchObject({ type: 'incremental', result: { summary: { filesUnmodified: 1 } } })
    expect(await storedBelow(all.repository, all.folder, second)).toEqual(
      new Map([
        ['new.log', 'new and newer'],
        ['old.log', 'old'],
      ]),
    )
    read.length = 0
    await backUp(all.repository, source, { observer, parent: first.result.snapshot, type: 'full' })
    expect(read).toHaveLength(2)
  })

  test('loses nothing when all logs move up one name between listing and opening them', async () => {
    using all = await stage()
    writeFileSync(all.log('a-very-old.log'), 'x')
    daysAgo(all.log('a-very-old.log'), 100)
    for (const name of ['app.log', 'app.log.1', 'app.log.2']) writeFileSync(all.log(name), `was ${name}`)
    let isRotated = false
    // Told while the folder has been listed and nothing is open yet.
    const onExcluded = (): void => {
      if (isRotated) return
      isRotated = true
      for (const number of [2, 1]) renameSync(all.log(`app.log.${number}`), all.log(`app.log.${number + 1}`))
      renameSync(all.log('app.log'), all.log('app.log.1'))
      writeFileSync(all.log('app.log'), 'begun after the listing')
    }
    const backup = await backUp(all.repository, sourceOf({ paths: [all.folder], window: '7d' }), {
      observer: { onExcluded },
    })
    const contents = [...(await storedBelow(all.repository, all.folder, backup)).values()]
    for (const name of ['app.log', 'app.log.1', 'app.log.2']) expect(contents).toContain(`was ${name}`)
    expect(new Set(contents).size).toBe(contents.length)
    expect(backup.result.errors).toBe(0)
  })

  test('keeps the names of the beginning when logs are rotated while they are read', async () => {
    using all = await stage()
    for (const name of ['app.log', 'app.log.1']) writeFileSync(all.log(name), `was ${name}`)
    let isRotated = false
    const onFileStarted = (): void => {
      if (isRotated) return
      isRotated = true
      // The clock that files get their times from goes in steps of some milliseconds: a file may seem older than the run it was made in.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30)
      renameSync(all.log('app.log.1'), all.log('app.log.2'))
      // As logrotate compresses.
      writeFileSync(all.log('app.log.1.gz'), gzipSync('was app.log'))
      rmSync(all.log('app.log'))
      writeFileSync(all.log('app.log'), 'fresh')
    }
    const backup = await backUp(all.repository, sourceOf({ paths: [all.folder] }), { observer: { onFileStarted } })
    const stored = await storedBelow(all.repository, all.folder, backup)
    expect([stored.get('app.log'), stored.get('app.log.1')]).toEqual(['was app.log', 'was app.log.1'])
    expect([...stored.keys()].sort()).toEqual(['app.log', 'app.log.1', 'app.log.1.gz'])
    expect(backup.result.errors).toBe(0)
  })

  test('has the copy when a log is copied and truncated under its eyes, although the name is taken', async () => {
    using all = await stage()
    writeFileSync(all.log('app.log'), 'was app.log')
    writeFileSync(all.log('app.log.1'), 'was app.log.1')
    let isRotated = false
    const onFileStarted = (): void => {
      if (isRotated) return
      isRotated = true
      renameSync(all.log('app.log.1'), all.log('app.log.2'))
      copyFileSync(all.log('app.log'), all.log('app.log.1'))
      truncateSync(all.log('app.log'))
    }
    const backup = await backUp(all.repository, sourceOf({ paths: [all.folder] }), { observer: { onFileStarted } })
    const stored = await storedBelow(all.repository, all.folder, backup)
    expect(stored).toEqual(
      new Map([
        ['app.log', ''],
        ['app.log.1', 'was app.log.1'],
        ['app.log.1.rotated-1', 'was app.log'],
      ]),
    )
    expect(backup.result.errors).toBe(0)
  })

  test('loses no line that was written before, however fast all logs are renamed', async () => {
    using all = await stage()
    const before = 8
    for (let number = 0; number < before; number++)
      writeFileSync(all.log(number === 0 ? 'app.log' : `app.log.${number}`), `line ${number}\n`.repeat(20_000))
    const rotator = spawn(process.execPath, ['-e', ROTATE, all.folder, String(before)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(rotator, 'exit')
    try {
      await once(rotator.stdout, 'data')
      const backup = await backUp(all.repository, sourceOf({ paths: [all.folder] }))
      expect(backup.result.errors).toBe(0)
      const stored = [...(await storedBelow(all.repository, all.folder, backup)).values()].join('')
      for (let number = 0; number < before; number++)
        expect(stored.split(`line ${number}\n`).length - 1, `line ${number}`).toBeGreaterThanOrEqual(20_000)
    } finally {
      rotator.kill('SIGKILL')
      await ended
    }
  })

  test.skipIf(lacks('restic'))('ends although a log grows without end, and tar opens what it is (S0-16)', async () => {
    using all = await stage()
    const busy = createWriteStream(all.log('busy.log'))
    const line = `${'x'.repeat(99)}\n`
    busy.write(line.repeat(20_000))
    await new Promise((resolve) => busy.write(line, resolve))
    let isWriting = true
    const write = (): void => {
      if (isWriting) busy.write(line.repeat(1000), () => setImmediate(write))
    }
    write()
    const backup = await backUp(all.repository, sourceOf({ paths: [all.folder] }))
    isWriting = false
    await finished(busy.end())
    const stored = (await storedBelow(all.repository, all.folder, backup)).get('busy.log')!
    expect(stored.length).toBeGreaterThanOrEqual(line.length * 20_001)
    expect(stored.replaceAll('x', '').length).toBe(Math.floor(stored.length / line.length))

    expectResticContent(all.scratch.join('repository'))
    const dumped = restic(all.scratch.join('repository'), 'dump', '--archive', 'tar', 'latest', all.folder)
    expect(dumped.status, dumped.stderr).toBe(0)
    const listing = spawnSync('tar', ['-tf', '-'], { encoding: 'utf8', input: dumped.stdout })
    expect(listing.status, listing.stderr).toBe(0)
    expect(listing.stdout).toContain('busy.log')
  })

  test('keeps links, second names, permissions and times, and passes over sockets and pipes', async () => {
    using all = await stage()
    mkdirSync(all.log('nginx'), { mode: 0o750 })
    writeFileSync(all.log('nginx', 'access.log'), 'GET /')
    chmodSync(all.log('nginx', 'access.log'), 0o640)
    utimesSync(all.log('nginx', 'access.log'), 1_700_000_000.25, 1_700_000_000.25)
    linkSync(all.log('nginx', 'access.log'), all.log('nginx', 'current'))
    symlinkSync('nginx/access.log', all.log('latest'))
    spawnSync('mkfifo', [all.log('pipe')])
    const backup = await backUp(all.repository, sourceOf({ paths: [`${all.folder}/`] }))
    const nodes = await nodesOf(all.repository, backup.result.tree)
    expect(nodes.get(all.log('nginx'))!.mode & 0o777).toBe(0o750)
    expect(nodes.get(all.log('nginx', 'access.log'))).toMatchObject({
      size: 5,
      mtime: { seconds: 1_700_000_000, nanoseconds: 250_000_000 },
    })
    expect(nodes.get(all.log('nginx', 'access.log'))!.mode & 0o777).toBe(0o640)
    expect(nodes.get(all.log('nginx', 'current'))!.content).toEqual(nodes.get(all.log('nginx', 'access.log'))!.content)
    expect(nodes.get(all.log('latest'))).toMatchObject({ type: 'symlink', linkTarget: 'nginx/access.log' })
    expect(nodes.has(all.log('pipe'))).toBe(false)
    // The folders that lead there are as they are, so that a restore in place does not change them.
    expect(nodes.get(all.scratch.path)!.mode & 0o777).toBe(0o700)
  })

  test('names a path that is not there, and fails when there is none', async () => {
    using all = await stage()
    writeFileSync(all.log('app.log'), 'x')
    const failed: string[] = []
    const source = sourceOf({ paths: [all.folder, '/no/such/place'] })
    const backup = await backUp(all.repository, source, { observer: { onError: (item) => failed.push(item) } })
    expect(failed).toEqual(['/no/such/place'])
    expect(backup.result.errors).toBe(1)
    await expect(backUp(all.repository, sourceOf({ paths: ['/no/such/place'] }))).rejects.toMatchObject({
      code: 'HF_SOURCE_UNREADABLE',
    })
  })
})

describe('the settings of logs', () => {
  test.each(['0d', '7 days', '', '-1d'])('refuse the window %j', (window) => {
    expect(logsKind.settings.safeParse({ paths: ['/var/log'], window }).success).toBe(false)
  })
})

describe('the doctor of logs', () => {
  test('says when a window holds nothing', async () => {
    using all = await stage()
    writeFileSync(all.log('app.log'), 'x')
    daysAgo(all.log('app.log'), 10)
    const source = sourceOf({ paths: [all.folder], window: '7d' })
    expect(await source.examine()).toEqual([
      { severity: 'warning', what: expect.stringContaining('in the last 7d'), remedy: undefined },
    ])
    writeFileSync(all.log('app.log'), 'y')
    expect(await source.examine()).toEqual([])
    expect(await source.test()).toMatchObject({ facts: { paths: '1 of 1 there' } })
  })
})
