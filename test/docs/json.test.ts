import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { backupStatusMessage } from '../../src/cli/output/backup-progress.ts'
import { BackupReport } from '../../src/cli/output/backup-report.ts'
import { jsonLine } from '../../src/cli/output/json.ts'
import { foundNodeJson, listedNodeJson } from '../../src/cli/output/node-json.ts'
import { Output } from '../../src/cli/output/output.ts'
import { restoreMessage } from '../../src/cli/output/restore-progress.ts'
import { RestoreReport } from '../../src/cli/output/restore-report.ts'
import { usageJson } from '../../src/cli/output/usage-report.ts'
import { terminalOf } from '../../src/cli/terminal.ts'
import { storedSnapshotJson } from '../../src/engine/repository/snapshot.ts'
import { createNode, textToByteString } from '../../src/engine/repository/tree/node.ts'
import { zeroTime } from '../../src/lib/go-time.ts'
import { differences } from '../golden/differences.ts'
import { readRecordings } from '../support/golden.ts'
import { makeSnapshot } from '../support/make-snapshot.ts'
import { type OurStage, ourStage } from '../support/our-stage.ts'
import { resticScenarios } from '../support/restic-cases.ts'
import { type Outcome, stage } from '../support/stage.ts'
import { noise } from '../support/storage-victims.ts'
import { workingFolder } from '../support/working-folder.ts'
import { JsonPageCheck, parseJsonPage } from './json-page.ts'

const path = join(import.meta.dirname, '..', '..', 'docs', 'reference', 'json.md')
const page = parseJsonPage(readFileSync(path, 'utf8'))

/** The command in a command line: one word, or two. */
const commandOf = ([first, second]: readonly string[]): string =>
  first === 'key' || first === 'repair' ? `${first} ${second}` : first!

/** Commands that print no JSON of their own. */
const isOwnJson = (command: string): boolean => !['cat', 'list', 'dump'].includes(command)

/** Messages and documents in what restic 0.19.1 printed, which is what Holdfast prints but for the differences. */
function* recorded(): Generator<readonly [command: string, value: unknown]> {
  for (const { name: scenario } of resticScenarios)
    for (const { name, arguments: args, stdout, stderr } of readRecordings(scenario)) {
      const command = commandOf(args)
      if (!args.includes('--json') || !isOwnJson(command) || args.includes('--ncdu')) continue
      const difference = differences[scenario]?.[name]
      for (const [restic, change] of [
        [stdout, difference?.stdout],
        [stderr, difference?.stderr],
      ] as const) {
        const lines = typeof change === 'function' ? change(restic) : (change ?? restic)
        for (const line of lines) if (typeof line === 'object') yield [command, line]
      }
    }
}

/** What has every field, which no short run of a program has. */
function complete(): (readonly [command: string, value: unknown])[] {
  const summary = {
    ...{ backupStart: zeroTime, backupEnd: zeroTime, filesNew: 1, filesChanged: 1, filesUnmodified: 1, dirsNew: 1 },
    ...{ dirsChanged: 1, dirsUnmodified: 1, dataBlobs: 1, treeBlobs: 1, dataAddedBytes: 1, dataAddedPackedBytes: 1 },
    ...{ totalFilesProcessed: 1, totalBytesProcessed: 1 },
  }
  const id = 'a'.repeat(64)
  const snapshot = makeSnapshot('2026-01-31T17:04:05Z', {
    ...{ parent: id, original: id, uid: 1, gid: 1, excludes: ['x'], tags: ['x'], programVersion: 'holdfast', summary },
  })
  const node = createNode({
    ...{ name: 'x', type: 'symlink', mode: 0o777, mtime: zeroTime, atime: zeroTime, ctime: zeroTime },
    ...{ user: 'ann', group: 'ann', inode: 1, deviceId: 1, size: 1, links: 1 },
    ...{ linkTarget: '\xff', error: 'vanished' },
  })
  const backup = { files: 1, folders: 1, bytes: 1, errors: 1, scanFinished: true, currentFiles: ['x'] }
  const state = { ...backup, total: { files: 2, folders: 2, bytes: 2 } }
  const restore = {
    files: 1,
    filesTotal: 1,
    filesSkipped: 1,
    filesDeleted: 1,
    bytes: 1,
    bytesTotal: 1,
    bytesSkipped: 1,
  }
  const usage = {
    kinds: new Map((['config', 'data', 'index', 'key', 'lock', 'snapshot'] as const).map((kind) => [kind, 1])),
    classes: [{ storageClass: 'x', files: 1, bytes: 1, hiddenFiles: 1, hiddenBytes: 1 }],
    ...{ bytes: 1, hiddenBytes: 1, freeBytes: 1 },
  }
  const failing = { key: 'kms x', state: 'fails', error: 'x', hint: 'x' }
  const kitOpened = { message_type: 'kit_opened', kit: 'x', repository_id: id, location: 'x', snapshots: 1 }
  const masterRotated = {
    ...{ message_type: 'master_key_rotated', repository_id: id, snapshots: 1 },
    ...{ old_location: 'x', location: 'x' },
  }
  return [
    ['backup', backupStatusMessage(state, 2000, 2)],
    ['restore', restoreMessage('status', restore, 2000)],
    ['restore', restoreMessage('summary', restore, 2000)],
    ['snapshots', [storedSnapshotJson(snapshot)]],
    ['ls', listedNodeJson(textToByteString('/x'), { ...node, type: 'file' })],
    ['key list', [{ current: true, id, userName: 'x', hostName: 'x', created: '', sealedFor: ['kms'] }]],
    [
      'key doctor',
      { message_type: 'key_examination', repository: 'x', keys: [failing], key_files: [], max_age_days: 90 },
    ],
    ['storage:verify', { message_type: 'check', name: 'x', outcome: 'failed', detail: 'x', duration_ms: 1 }],
    ['storage:verify', { message_type: 'finding', what: 'access', state: 'bad', text: 'x', remedy: 'x' }],
    [
      'storage:usage',
      usageJson({ location: 'x', usage, growth: [], cost: { currency: 'EUR', amount: 1, withoutPrice: ['x'] } }),
    ],
    ['storage:undelete', { message_type: 'would_undelete', kind: 'config', name: 'config' }],
    ['storage:undelete', { message_type: 'would_undelete', kind: 'data', name: id, size: 1 }],
    ['storage:undelete', { message_type: 'undeleted', kind: 'data', name: id, size: 1 }],
    ['storage:undelete', { message_type: 'summary', files: 1, bytes: 1, dry_run: false }],
    ['key import', { ...kitOpened, rejected: [{ source: 'x', what: 'x' }] }],
    ['key rotate', { ...masterRotated, written: 'holdfast.yaml' }],
    ['find', [{ matches: [foundNodeJson(textToByteString('/x'), node)], hits: 1, snapshot: id }]],
  ]
}

/** Warnings that a healthy machine gives no reason for. */
function warned(): (readonly [command: string, value: unknown])[] {
  const { stdin, stdout, stderr, environment } = stage()
  const terminal = terminalOf(stdin, stdout, environment)
  const context = { output: new Output({ stdout, stderr, terminal, json: true, verbosity: 1 }), environment }
  const backup = new BackupReport(context)
  backup.observer().onUnstable!('/x')
  backup.stop()
  const restore = new RestoreReport(context)
  restore.observer().onWarning!('times are rounded')
  restore.stop()
  const [first, second] = stderr.text.trimEnd().split('\n')
  return [
    ['backup', JSON.parse(first!)],
    ['restore', JSON.parse(second!)],
  ]
}

/** The largest file below a folder of the repository. */
function largest(stage: OurStage, folder: string): string {
  const entries = readdirSync(stage.path('repository', folder), { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return files.toSorted((a, b) => statSync(b).size - statSync(a).size)[0]!
}

function spoil(file: string): void {
  const bytes = readFileSync(file)
  bytes[100]! ^= 1
  rmSync(file)
  writeFileSync(file, bytes)
}

/** What Holdfast prints on a repository on which all kinds of things are done. */
async function* printed(stage: OurStage): AsyncGenerator<readonly [command: string, value: unknown]> {
  const work = stage.path('work')
  mkdirSync(work)
  writeFileSync(join(work, 'a.txt'), 'text')
  writeFileSync(join(work, 'b.img'), noise(1, 100_000))
  writeFileSync(stage.path('password'), 'correct horse', { mode: 0o600 })
  writeFileSync(stage.path('other password'), 'battery staple', { mode: 0o600 })
  const from = ['--from-repo', stage.path('repository'), '--from-password-file', stage.path('password')]
  const run = async (...args: readonly string[]): Promise<readonly (readonly [string, unknown])[]> =>
    valuesOf(commandOf(args), await stage.run([...args, '--json']))
  yield* await run('backup', work, '-vv')
  yield* await run('backup', work, stage.path('missing'))
  yield* await run('snapshots')
  yield* await run('find', 'a.txt')
  yield* await run('storage:verify', '--objects', '5', '--large-file', '10K')
  yield* await run('storage:usage')
  yield* await run('storage:speed', '--bytes', '10K', '--file-size', '1K')
  const blobs = (await stage.must(['list', 'blobs'])).split('\n')
  yield* await run('find', '--show-pack-id', '--blob', blobs.find((line) => line.startsWith('data'))!.slice(5))
  yield* await run('init', '-r', stage.path('other'))
  yield* await run('copy', ...from, '-r', stage.path('other'))
  yield* await run('rewrite', '--new-host', 'x', '--dry-run')
  yield* await run('rewrite', '--new-host', 'x', '--forget')
  yield* await run('forget', '--keep-last', '1', '--prune')
  yield* await run('forget', '--keep-last', '1', '--group-by', 'host,tags', '--dry-run')
  yield* await run('prune', '--dry-run')
  const added = await run('key', 'add', '--new-password-file', stage.path('other password'))
  yield* added
  yield* await run('key', 'remove', (added[0]![1] as { id: string }).id)
  yield* await run('key', 'passwd', '--new-password-file', stage.path('password'))
  const exported = await run('key', 'export', '--output', stage.path(), '--shares', '2', '--needed', '2')
  yield* exported
  yield* await run('key', 'import', ...(exported[0]![1] as { files: string[] }).files)
  yield* await run('key', 'list')
  yield* await run('key', 'doctor')
  yield* await run('key', 'rotate', '--new-password-file', stage.path('password'))
  yield* await run('key', 'rotate', '--master', '--to', stage.path('next'))
  yield* await run('key', 'rotate', '--finish', '--from', stage.path('next'))
  yield* await run('unlock')
  yield* await run('migrate', '-r', stage.path('other'))
  await stage.must(['init', '--repository-version', '1', '-r', stage.path('old')])
  yield* await run('migrate', '-r', stage.path('old'))
  yield* await run('migrate', 'upgrade_repo_v2', '-r', stage.path('old'))
  yield* await run('migrate', 'upgrade_repo_v2', '-r', stage.path('old'))
  yield* await run('cache', '--cleanup')
  yield* await run('cache')
  yield* await run('version')
  yield* await run('restore', 'latest', '--target', stage.path('restored'), '-vv')

  mkdirSync(stage.path('repository', 'locks'), { recursive: true })
  writeFileSync(stage.path('repository', 'locks', 'b'.repeat(64)), 'rubbish')
  yield* await run('check', '--no-lock')
  await stage.must(['unlock', '--remove-all'])
  const pack = largest(stage, 'data')
  spoil(pack)
  yield* await run('check', '--read-data')
  yield* await run('restore', 'latest', '--target', stage.path('not all'))
  {
    // Where the packs are saved to.
    using _ = workingFolder(stage.path())
    yield* await run('repair', 'packs', pack.slice(-64))
  }
  yield* await run('repair', 'snapshots', '--dry-run')
  yield* await run('repair', 'snapshots', '--forget')
  yield* await run('repair', 'index')
  const lost = await stage.backUp('lost', 'text')
  yield* await run('forget', lost)
  yield* await run('recover')
  spoil(largest(stage, 'snapshots'))
  yield* await run('check')
}

function valuesOf(command: string, { stdout, stderr }: Outcome): (readonly [string, unknown])[] {
  const documents = stdout.startsWith('[\n') || stdout.includes('\n,') ? [stdout] : stdout.split('\n')
  return [...documents, ...stderr.split('\n')]
    .filter((text) => /^[[{]/.test(text))
    .map((text) => [command, JSON.parse(text)] as const)
}

test('the page of JSON output describes what is printed, and nothing else', async () => {
  using work = await ourStage()
  const check = new JsonPageCheck(page)
  const problems: string[] = []
  const take = ([command, value]: readonly [string, unknown]): void => {
    for (const problem of check.problems(command, value)) problems.push(`${problem} in ${JSON.stringify(value)}`)
  }
  for (const sample of recorded()) take(sample)
  for (const [command, value] of complete()) take([command, JSON.parse(jsonLine(value))])
  for (const sample of warned()) take(sample)
  for await (const sample of printed(work)) take(sample)
  expect(problems).toEqual([])
  expect(check.unseen()).toEqual([])
})

describe('a page of JSON output', () => {
  const text = [
    '## Every command',
    '### `exit_error`',
    '| `code` | number | |',
    '## `work`',
    '### `done`',
    '| `count` | number | how many |',
    '| `by` | list of person or null | |',
    '| `note` | string, optional | |',
    '### document: list of person',
    '## Objects',
    '### person',
    '| `name` | string | |',
  ].join('\n')

  test('is held to values', () => {
    const check = new JsonPageCheck(parseJsonPage(text))
    expect(check.problems('work', { message_type: 'done', count: 1, by: [{ name: 'x' }] })).toEqual([])
    expect(check.problems('work', { message_type: 'done', count: '1', by: null, note: null })).toEqual([
      'work done.count is no number: 1',
      'work done.note is null',
    ])
    expect(check.problems('work', { message_type: 'done', count: 1, by: [{ age: 1 }], more: 1 })).toEqual([
      'person has no field age',
      'person: name is missing',
      'work done has no field more',
    ])
    expect(check.problems('work', { message_type: 'begun' })).toEqual(['work has no message begun'])
    expect(check.problems('work', [{ name: 1 }])).toEqual(['person.name is no string: 1'])
    expect(check.problems('other', [])).toEqual(['other has no document'])
    expect(check.unseen()).toEqual([
      'work document person',
      'every command exit_error',
      'every command exit_error.code',
    ])
  })

  test('has to say what its types are', () => {
    expect(() => parseJsonPage(text.replace('### person', '### somebody'))).toThrow(
      'the page does not say what person is',
    )
  })
})
