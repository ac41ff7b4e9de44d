import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FilesStage, filesStage, openSource, snapshotOf } from '../../../test/support/files-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import type { Assertion } from '../../config/assertion.ts'
import { rootOf, type StoredSnapshot } from '../../engine/repository/snapshot.ts'
import type { Node } from '../../engine/repository/tree/node.ts'
import { TreeMaker } from '../../engine/restore/testing.ts'
import { configKind } from '../config-files/index.ts'
import { logsKind } from '../logs/index.ts'
import type { ProofCheck, ProofSandbox } from '../proof.ts'
import { SandboxFolder } from '../sandbox/sandbox-folder.ts'
import type { Source } from '../source.ts'
import type { FileAnswer } from './file-answer.ts'
import { filesKind } from './index.ts'

function fill({ file }: FilesStage): void {
  mkdirSync(file('nginx'))
  writeFileSync(file('shop.conf'), 'port = 8080\nhost = shop\n')
  writeFileSync(file('.env'), 'PASSWORD=hunter2\n', { mode: 0o600 })
  writeFileSync(file('large'), Buffer.alloc(3_000_000, 'a line that repeats\n'))
  writeFileSync(file('nginx', 'nginx.conf'), 'http {}\n')
  linkSync(file('shop.conf'), file('second-name'))
  symlinkSync('/etc/passwd', file('outside'))
  symlinkSync(file('nginx', 'nginx.conf'), file('inside'))
}

async function structureOf(stage: FilesStage, source: Source, snapshot: StoredSnapshot): Promise<ProofCheck[]> {
  const checks: ProofCheck[] = []
  await source.proof!.checkStructure({ repository: stage.repository, snapshot, report: (check) => checks.push(check) })
  return checks
}

const failed = (checks: readonly ProofCheck[]): string =>
  checks.flatMap(({ outcome, name, detail }) => (outcome === 'failed' ? `${name}: ${detail}` : [])).join('\n')

interface Proved extends AsyncDisposable {
  readonly checks: ProofCheck[]
  readonly sandbox: ProofSandbox
  /** Path of something restored, by its path on the machine. */
  restored(path: string): string
}

async function restoreFor(stage: FilesStage, source: Source, snapshot: StoredSnapshot): Promise<Proved> {
  const checks: ProofCheck[] = []
  const folder = SandboxFolder.create()
  const job = { repository: stage.repository, snapshot, report: (check: ProofCheck) => checks.push(check) }
  const sandbox = (await source.proof!.openSandbox(job, folder))!
  return {
    checks,
    sandbox,
    restored: (path) => join(folder.path, 'restored', path),
    async [Symbol.asyncDispose]() {
      await sandbox[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

describe('the structure of a snapshot of files', () => {
  test.for([
    ['files', filesKind, {}],
    ['config', configKind, { secrets: ['.env'] }],
    ['logs', logsKind, { window: '7d' }],
  ] as const)('of %s is sound after a backup', async ([_, kind, settings]) => {
    using stage = await filesStage()
    fill(stage)
    const source = openSource(kind as typeof filesKind, { paths: [stage.folder], ...settings })
    const checks = await structureOf(stage, source, await snapshotOf(stage.repository, source))
    expect(failed(checks)).toBe('')
    expect(checks.map(({ name, outcome }) => [name, outcome])).toEqual([
      ['manifest', 'passed'],
      ['folders and names', 'passed'],
      ['blobs of every file', 'passed'],
      ['paths of the manifest', 'passed'],
      ['counts of the backup', 'passed'],
    ])
  })

  test('fails for a snapshot of another source, and of another time', async () => {
    using stage = await filesStage()
    fill(stage)
    const source = openSource(filesKind, { paths: [stage.folder] })
    const first = await snapshotOf(stage.repository, source)
    const config = await snapshotOf(stage.repository, openSource(configKind, { paths: [stage.folder] }))
    expect(failed(await structureOf(stage, source, config))).toMatch(/^manifest: .*not in the snapshot$/m)
    rmSync(stage.file('large'))
    const second = await snapshotOf(stage.repository, source)
    const exchanged = { ...first, tree: rootOf(second) }
    expect(failed(await structureOf(stage, source, exchanged))).toMatch(/^counts of the backup: 6 files of/)
  })

  test.for<[string, (maker: TreeMaker) => Promise<Node> | Node, RegExp]>([
    [
      'a file of another length',
      (maker) => maker.file('x', ['four'], { size: 5 }),
      /x has 5 bytes, and its blobs have 4/,
    ],
    [
      'a lost blob',
      (maker) => maker.node('x', 'file', { size: 4, content: ['ab'.repeat(32)] }),
      /x has a blob that is not in the repository/,
    ],
    ['a folder without list', (maker) => maker.node('x', 'dir'), /x has no list of what is in it/],
    [
      'a lost folder',
      (maker) => maker.node('x', 'dir', { subtree: 'ab'.repeat(32) }),
      /folders and names: .*x cannot be listed/,
    ],
    ['a name that leads elsewhere', (maker) => maker.file('..', ['x']), /name that leads elsewhere/],
  ])('fails for %s, and says which', async ([_, plant, expected]) => {
    using stage = await filesStage()
    const source = openSource(configKind, { paths: ['/shop'], secrets: ['secret'] })
    const maker = new TreeMaker(stage.repository)
    const manifest = {
      format: 1,
      source: 'config',
      type: 'config',
      paths: ['/shop', '/gone', '/lost'],
      exclude: [],
      iexclude: [],
      missing: ['/gone'],
      secrets: ['secret'],
      since: null,
      started: '2026-11-21T00:00:00Z',
    }
    const shop = await maker.directory('shop', [await plant(maker)])
    const ours = await maker.directory('config', [await maker.file('manifest.json', [JSON.stringify(manifest)])])
    const tree = await maker.tree([
      await maker.directory('.holdfast', [ours]),
      shop,
      await maker.file('stranger', ['x']),
    ])
    await maker.writer.flush()
    const snapshot = { ...(await snapshotOf(stage.repository, openSource(filesKind, { paths: [stage.folder] }))), tree }
    const found = failed(await structureOf(stage, source, snapshot))
    expect(found).toMatch(expected)
    expect(found).toMatch(/paths of the manifest: \/stranger is not below.*\/lost is missing/)
    expect(found).not.toContain('/gone is missing')
  })
})

describe('a restored snapshot of files', () => {
  test.for([filesKind, configKind, logsKind])('of type $type is equal to what was backed up', async (kind) => {
    using stage = await filesStage()
    fill(stage)
    spawnSync('setfattr', ['-n', 'user.colour', '-v', 'green', stage.file('shop.conf')])
    const source = openSource(kind as typeof filesKind, { paths: [stage.folder] })
    await using proved = await restoreFor(stage, source, await snapshotOf(stage.repository, source))
    await proved.sandbox.compare()
    expect(failed(proved.checks)).toBe('')
    expect(proved.checks.filter(({ outcome }) => outcome === 'skipped')).toEqual([])
    expect(proved.checks.map(({ level, name }) => `${level} ${name}`)).toEqual(
      expect.arrayContaining(['restore files restored', 'data content', 'data permissions', 'data links']),
    )
    expect(proved.checks.find(({ name }) => name === 'owners')?.outcome).toBe(
      process.getuid?.() === 0 ? 'passed' : 'not applicable',
    )
  })

  describe('is found to differ', () => {
    let stage: FilesStage
    let source: Source
    let snapshot: StoredSnapshot
    beforeAll(async () => {
      stage = await filesStage()
      fill(stage)
      source = openSource(configKind, { paths: [stage.folder], secrets: ['.env'] })
      snapshot = await snapshotOf(stage.repository, source)
    })
    afterAll(() => stage[Symbol.dispose]())

    test.for<[string, (file: (...names: string[]) => string) => void, RegExp]>([
      [
        'one byte, length and time as before',
        (file) => {
          const { atime, mtime } = lstatSync(file('nginx', 'nginx.conf'))
          writeFileSync(file('nginx', 'nginx.conf'), 'httq {}\n')
          utimesSync(file('nginx', 'nginx.conf'), atime, mtime)
        },
        /^content: .*nginx\.conf/m,
      ],
      ['a lost file', (file) => rmSync(file('shop.conf')), /^entries: .*shop\.conf is missing/m],
      ['a lost folder', (file) => rmSync(file('nginx'), { recursive: true }), /^entries: .*nginx is missing/m],
      ['a file too many', (file) => writeFileSync(file('new'), 'x'), /^entries: .*new is not in the snapshot/m],
      ['permissions', (file) => chmodSync(file('nginx'), 0o777), /^permissions: .*nginx has permissions 777/m],
      ['a time', (file) => utimesSync(file('large'), 1, 1), /^times of modification: .*large was modified/m],
      [
        'a link',
        (file) => {
          rmSync(file('inside'))
          symlinkSync('/elsewhere', file('inside'))
        },
        /^links: .*inside leads elsewhere/m,
      ],
      [
        'a second name',
        (file) => {
          const { atime, mtime, mode } = lstatSync(file('shop.conf'))
          copyFileSync(file('shop.conf'), file('copy'))
          renameSync(file('copy'), file('second-name'))
          chmodSync(file('second-name'), mode)
          utimesSync(file('second-name'), atime, mtime)
        },
        /^links: .*shop\.conf is a file of its own/m,
      ],
      ['the length of a secret', (file) => writeFileSync(file('.env'), 'x'), /^sizes: .*\(secret\) has 1 bytes/m],
    ])('by %s', async ([_, plant, expected]) => {
      await using proved = await restoreFor(stage, source, snapshot)
      expect(failed(proved.checks)).toBe('')
      plant((...names) => proved.restored(stage.file(...names)))
      await proved.sandbox.compare()
      expect(failed(proved.checks)).toMatch(expected)
      expect(failed(proved.checks)).not.toContain('.env')
    })
  })

  test.skipIf(process.getuid?.() !== 0)('is found to differ by an owner', async () => {
    using stage = await filesStage()
    fill(stage)
    const source = openSource(filesKind, { paths: [stage.folder] })
    await using proved = await restoreFor(stage, source, await snapshotOf(stage.repository, source))
    chownSync(proved.restored(stage.file('large')), 1234, 1234)
    await proved.sandbox.compare()
    expect(failed(proved.checks)).toMatch(/^owners: .*large belongs to 1234:1234 instead of 0:0$/)
  })

  test.skipIf(lacks('root'))('is proved without root as far as that goes, and says what was not', async () => {
    using stage = await filesStage()
    fill(stage)
    writeFileSync(stage.file('closed'), 'x', { mode: 0 })
    mkdirSync(stage.file('sealed'), { mode: 0o500 })
    spawnSync('mknod', [stage.file('null'), 'c', '1', '3'])
    const source = openSource(filesKind, { paths: [stage.folder] })
    const snapshot = await snapshotOf(stage.repository, source)
    const checks: ProofCheck[] = []
    const job = { repository: stage.repository, snapshot, report: (check: ProofCheck) => checks.push(check) }
    spawnSync('chown', ['-R', '65534:65534', stage.beside()])
    await using folder = SandboxFolder.create()
    process.setegid!(65_534)
    process.seteuid!(65_534)
    try {
      await using sandbox = (await source.proof!.openSandbox(job, folder))!
      await sandbox.compare()
    } finally {
      process.seteuid!(0)
      process.setegid!(0)
    }
    expect(failed(checks)).toBe('')
    const others = checks.filter(({ outcome }) => outcome !== 'passed').map(({ name, outcome }) => [name, outcome])
    expect(others).toEqual([
      ['devices', 'not applicable'],
      ['content of files that their owner may not read', 'skipped'],
      ['owners', 'not applicable'],
      ['extended attributes', 'not applicable'],
    ])
  })

  test('goes with the proof', async () => {
    using stage = await filesStage()
    fill(stage)
    const source = openSource(filesKind, { paths: [stage.folder] })
    let place = ''
    {
      await using proved = await restoreFor(stage, source, await snapshotOf(stage.repository, source))
      place = proved.restored('/')
      expect(existsSync(place)).toBe(true)
    }
    expect(existsSync(place)).toBe(false)
  })
})

describe('an assertion about a file', () => {
  test('is answered from what was restored, and never from the machine', async () => {
    using stage = await filesStage()
    fill(stage)
    const source = openSource(configKind, { paths: [stage.folder], secrets: ['.env'] })
    await using proved = await restoreFor(stage, source, await snapshotOf(stage.repository, source))
    const ask = (file: string) => proved.sandbox.answer({ kind: 'file', name: 'it', expect: 'true', file })
    const text = 'port = 8080\nhost = shop\n'
    expect(await ask(stage.file('shop.conf'))).toEqual({
      value: text,
      rows: ['port = 8080', 'host = shop'],
      exists: true,
      size: text.length,
    })
    const absent = { value: null, rows: [], exists: false, size: null }
    expect(await ask(stage.file('no', 'such'))).toEqual(absent)
    expect(await ask(stage.file('shop.conf', 'below a file'))).toEqual(absent)
    // Where these lead there is a file on this machine, and none in the snapshot.
    expect(await ask(stage.file('outside'))).toEqual(absent)
    expect(await ask('/../../etc/passwd')).toEqual(absent)
    expect(await ask(stage.file('inside'))).toMatchObject({ value: 'http {}\n' })
    expect(await ask(stage.file('.env'))).toEqual({ value: null, rows: [], exists: true, size: 17 })
    expect(await ask(stage.folder)).toEqual({ value: null, rows: [], exists: true, size: 0 })
    const large = (await ask(stage.file('large'))) as FileAnswer & { value: string }
    expect([large.value.length, large.size]).toEqual([1024 * 1024, 3_000_000])
    await expect(ask('shop.conf')).rejects.toMatchObject({ code: 'HF_ASSERTION_INVALID' })
    const sql: Assertion = { kind: 'sql', name: 'it', expect: 'true', sql: 'select 1', database: undefined }
    await expect(proved.sandbox.answer(sql)).rejects.toMatchObject({ code: 'HF_ASSERTION_INVALID' })
  })
})

describe('a comparison with the source (S4-47)', () => {
  const nothing = { count: 0, names: [] }

  test('finds identical trees equal, whatever their times, and lists one changed file alone', async () => {
    using stage = await filesStage()
    fill(stage)
    chmodSync(stage.file('large'), 0o400)
    const source = openSource(filesKind, { paths: [stage.folder], exclude: ['*.tmp'] })
    const snapshot = await snapshotOf(stage.repository, source)
    const compare = () => source.proof!.compareWithSource!({ repository: stage.repository, snapshot })
    utimesSync(stage.file('shop.conf'), 1, 1)
    writeFileSync(stage.file('left out.tmp'), 'x')
    const same = { missing: nothing, extra: nothing, changed: nothing, unreadable: nothing }
    expect(await compare()).toMatchObject({ ...same, equal: 7 })
    const changed = Buffer.alloc(3_000_000, 'a line that repeats\n')
    changed[2_999_999] = 0
    chmodSync(stage.file('large'), 0o600)
    writeFileSync(stage.file('large'), changed)
    expect(await compare()).toMatchObject({ ...same, equal: 6, changed: { count: 1, names: [stage.file('large')] } })
  })

  test('lists what is missing, what was added and what became something else, and names no secret', async () => {
    using stage = await filesStage()
    fill(stage)
    const source = openSource(configKind, { paths: [stage.folder], secrets: ['.env', '*.key'] })
    const snapshot = await snapshotOf(stage.repository, source)
    rmSync(stage.file('nginx'), { recursive: true })
    mkdirSync(stage.file('apache', 'conf'), { recursive: true })
    writeFileSync(stage.file('apache', 'conf', 'x'), 'x')
    writeFileSync(stage.file('new.key'), 'x')
    writeFileSync(stage.file('.env'), 'PASSWORD=hunter3\n')
    rmSync(stage.file('inside'))
    symlinkSync('elsewhere', stage.file('inside'))
    rmSync(stage.file('second-name'))
    mkdirSync(stage.file('second-name'))
    const result = await source.proof!.compareWithSource!({ repository: stage.repository, snapshot })
    expect(result).toMatchObject({
      equal: 3,
      missing: { count: 1, names: [`${stage.file('nginx')}/`] },
      extra: { count: 2, names: [`${stage.file('apache')}/`, stage.file('(secret)')] },
      changed: { count: 3, names: [stage.file('(secret)'), stage.file('inside'), stage.file('second-name')] },
      unreadable: nothing,
    })
  })

  test('knows nothing of logs outside of the window', async () => {
    using stage = await filesStage()
    writeFileSync(stage.file('app.log'), 'x')
    const source = openSource(logsKind, { paths: [stage.folder], window: '7d' })
    const snapshot = await snapshotOf(stage.repository, source)
    writeFileSync(stage.file('old.log'), 'x')
    utimesSync(stage.file('old.log'), 1, 1)
    writeFileSync(stage.file('new.log'), 'x')
    const result = await source.proof!.compareWithSource!({ repository: stage.repository, snapshot })
    expect(result).toMatchObject({ equal: 1, extra: { names: [stage.file('new.log')] }, missing: nothing })
  })
})

test('names are bytes in all of this', async () => {
  using stage = await filesStage()
  const name = Buffer.concat([Buffer.from(`${stage.folder}/caf`), Buffer.from([0xe9])])
  writeFileSync(name, 'x')
  const source = openSource(filesKind, { paths: [stage.folder] })
  const snapshot = await snapshotOf(stage.repository, source)
  await using proved = await restoreFor(stage, source, snapshot)
  await proved.sandbox.compare()
  expect(failed([...(await structureOf(stage, source, snapshot)), ...proved.checks])).toBe('')
  expect(await source.proof!.compareWithSource!({ repository: stage.repository, snapshot })).toMatchObject({ equal: 1 })
})
