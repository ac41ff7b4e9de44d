import { appendFileSync, mkdirSync, readdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { expect, test } from 'vitest'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'
import { TypedInput } from '../../../test/support/stage.ts'
import { workingFolder } from '../../../test/support/working-folder.ts'

/** Files by name, in a folder of the stage. */
function write(stage: OurStage, files: Readonly<Record<string, string>>): string {
  for (const [name, content] of Object.entries(files)) {
    const path = stage.path('data', name)
    mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true })
    writeFileSync(path, content)
  }
  return stage.path('data')
}

/** Paths in the newest snapshot, below the folder that was backed up. */
async function listed(stage: OurStage): Promise<readonly string[]> {
  const data = stage.path('data')
  const [, ...nodes] = await stage.json<{ path: string }>(['ls', 'latest'])
  return nodes.flatMap(({ path }) => (path.startsWith(`${data}/`) ? [path.slice(data.length + 1)] : []))
}

const snapshotsOf = async (stage: OurStage): Promise<readonly Record<string, unknown>[]> =>
  (await stage.json<readonly Record<string, unknown>[]>(['snapshots']))[0]!

function inputOf(text: string): TypedInput {
  const stdin = new TypedInput()
  stdin.end(text)
  return stdin
}

test('a snapshot says who made it, of what, when and how', async () => {
  using stage = await ourStage()
  const data = write(stage, { file: 'content' })
  await stage.must([
    ...['backup', data, '--host', 'web1', '--tag', 'a,b', '--tag', 'c', '--time', '2024-02-03 04:05:06'],
    ...['--exclude', '*.tmp', '--iexclude', '*.BAK'],
  ])
  const [snapshot] = await snapshotsOf(stage)
  expect(snapshot).toMatchObject({
    hostname: 'web1',
    paths: [data],
    tags: ['a', 'b', 'c'],
    excludes: ['*.tmp'],
    program_version: expect.stringMatching(/^holdfast \d/),
    summary: { files_new: 1, total_bytes_processed: 7 },
  })
  expect(String(snapshot!.time)).toMatch(/^2024-02-03T04:05:06/)
})

test('what is excluded is left out, whichever option says so', async () => {
  using stage = await ourStage()
  const data = write(stage, {
    'keep.txt': 'x',
    'drop.tmp': 'x',
    'Drop.BAK': 'x',
    'listed.log': 'x',
    'named.out': 'x',
    'large.txt': 'x'.repeat(5000),
    'cache/CACHEDIR.TAG': 'Signature: 8a477f597d28d172789f06886806bc55',
    'cache/data': 'x',
    'marked/.nobackup': '# not this\n',
    'marked/data': 'x',
    'unmarked/.nobackup': 'other',
    'unmarked/data': 'x',
  })
  writeFileSync(stage.path('excludes'), '# comment\n*.log\n$WHAT\n')
  const { exitCode } = await stage.run(
    [
      ...['backup', data, '--exclude', '*.tmp', '--iexclude', '*.bak', '--exclude-file', stage.path('excludes')],
      ...['--exclude-larger-than', '4K', '--exclude-caches', '--exclude-if-present', '.nobackup:# not'],
    ],
    { environment: { WHAT: 'named.*' } },
  )
  expect(exitCode).toBe(0)
  expect(await listed(stage)).toEqual([
    'cache',
    'cache/CACHEDIR.TAG',
    'keep.txt',
    'marked',
    'marked/.nobackup',
    'unmarked',
    'unmarked/.nobackup',
    'unmarked/data',
  ])
})

test('the cache of the program is never part of a backup', async () => {
  using stage = await ourStage()
  mkdirSync(stage.path('cache', 'holdfast', 'compiled'), { recursive: true })
  writeFileSync(stage.path('cache', 'holdfast', 'compiled', 'x'), 'x')
  writeFileSync(stage.path('cache', 'other'), 'x')
  await stage.must(['backup', stage.path('cache')])
  const [, ...nodes] = await stage.json<{ name: string }>(['ls', 'latest'])
  const names = nodes.map(({ name }) => name)
  expect(names).toContain('other')
  expect(names).not.toContain('compiled')
})

test('lists of files name targets: patterns, lines and names ended by zero bytes, also from standard input', async () => {
  using stage = await ourStage()
  const data = write(stage, { 'a.txt': '1', 'b.txt': '2', ' [c]': '3', 'd\ne': '4', f: '5', g: '6' })
  writeFileSync(stage.path('patterns'), `# comment\n${data}/*.txt\n${data}/none*\n`)
  writeFileSync(stage.path('lines'), `${data}/ [c]\n\n`)
  writeFileSync(stage.path('raw'), `${data}/d\ne\0`)
  const { exitCode, stderr } = await stage.run(
    [
      ...['backup', '--files-from', stage.path('patterns'), '--files-from-verbatim', stage.path('lines')],
      ...['--files-from-raw', stage.path('raw'), '--files-from-verbatim', '-', `${data}/g`],
    ],
    { stdin: inputOf(`${data}/f\n`) },
  )
  expect(stderr).toBe(`pattern "${data}/none*" does not match any files, skipping\n`)
  expect(exitCode).toBe(0)
  expect(await listed(stage)).toEqual([' [c]', 'a.txt', 'b.txt', 'd\ne', 'f', 'g'])
})

test('lists that name nothing are refused', async () => {
  using stage = await ourStage()
  writeFileSync(stage.path('empty'), '\n')
  const { exitCode, stderr } = await stage.run(['backup', '--files-from-verbatim', stage.path('empty')])
  expect(exitCode).toBe(1)
  expect(stderr).toContain('nothing to back up')
})

test('the newest snapshot of the same host and paths is the parent, unless another is named or none is wanted', async () => {
  using stage = await ourStage()
  const data = write(stage, { file: 'content' })
  const other = stage.path('repository', 'config')
  await stage.must(['backup', data, '--host', 'a', '--time', '2024-01-01 00:00:00'])
  await stage.must(['backup', data, '--host', 'b', '--time', '2024-01-02 00:00:00'])
  await stage.must(['backup', other, '--host', 'a', '--time', '2024-01-03 00:00:00'])
  const [first, second, third] = (await snapshotsOf(stage)).map(({ id }) => String(id))
  const parentOf = async (...args: readonly string[]): Promise<unknown> => {
    const [summary] = (await stage.json(['backup', data, '--host', 'a', ...args])).slice(-1)
    return (await snapshotsOf(stage)).find(({ id }) => id === summary!.snapshot_id)!.parent
  }
  expect(await parentOf('--time', '2024-01-04 00:00:00')).toBe(first)
  expect(await parentOf('--time', '2024-01-04 00:00:01', '--group-by', 'paths')).not.toBe(first)
  expect(await parentOf('--parent', second!.slice(0, 10))).toBe(second)
  expect(await parentOf('--group-by', '', '--time', '2024-01-03 12:00:00')).toBe(third)
  expect(await parentOf('--force')).toBeUndefined()
  // Newer than the backup is to be.
  expect(await parentOf('--time', '2023-01-01 00:00:00')).toBeUndefined()
  const { exitCode, stderr } = await stage.run(['backup', data, '--parent', 'ffff0000'])
  expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: expect.stringContaining('ffff0000') })
})

test('a damaged snapshot is named and does not keep a backup from its parent', async () => {
  using stage = await ourStage()
  const data = write(stage, { file: 'content' })
  await stage.must(['backup', data, '--time', '2024-01-01 00:00:00'])
  const [good] = readdirSync(stage.path('repository', 'snapshots'))
  await stage.must(['backup', data, '--time', '2024-01-02 00:00:00'])
  const bad = readdirSync(stage.path('repository', 'snapshots')).find((name) => name !== good)!
  rmSync(stage.path('repository', 'snapshots', bad))
  writeFileSync(stage.path('repository', 'snapshots', bad), 'rubbish')
  const { exitCode, stdout, stderr } = await stage.run(['backup', data])
  expect(exitCode).toBe(0)
  expect(stdout).toContain(`using parent snapshot ${good!.slice(0, 8)}`)
  expect(stderr).toContain(`snapshot ${bad.slice(0, 8)} cannot be read`)
})

test('a dry run tells what it would do, and leaves the repository as it was', async () => {
  using stage = await ourStage()
  const data = write(stage, { 'sub/file': 'content' })
  const before = readdirSync(stage.path('repository'), { recursive: true })
  const messages = await stage.json(['backup', data, '--dry-run', '-vv'])
  expect(messages.at(-1)).toMatchObject({ message_type: 'summary', files_new: 1, data_blobs: 1, dry_run: true })
  expect(messages.map(({ item }) => item)).toContain(`${data}/sub/file`)
  expect(readdirSync(stage.path('repository'), { recursive: true })).toEqual(before)
})

test('nothing new is no snapshot with --skip-if-unchanged', async () => {
  using stage = await ourStage()
  const data = write(stage, { file: 'content' })
  using _ = workingFolder(dirname(data))
  const skipping = ['backup', basename(data), '--skip-if-unchanged']
  await stage.must(['backup', basename(data)])
  expect(await stage.must(skipping)).toContain('skipped creating snapshot')
  expect(await snapshotsOf(stage)).toHaveLength(1)
  appendFileSync(`${data}/file`, '!')
  await stage.must(skipping)
  expect(await snapshotsOf(stage)).toHaveLength(2)
})

test('every file is named at -vv, with what became of it', async () => {
  using stage = await ourStage()
  const data = write(stage, { changed: 'before', same: 'x', 'line\nfeed': 'x' })
  await stage.must(['backup', data])
  appendFileSync(`${data}/changed`, ' and after')
  writeFileSync(`${data}/new`, 'n')
  const stdout = await stage.must(['backup', data, '-vv', '--exclude', 'line*'])
  expect(stdout).toMatch(
    new RegExp(`^modified  ${data}/changed, saved in \\d+\\.\\d{3}s \\(16 B added, \\d+ B stored\\)$`, 'm'),
  )
  expect(stdout).toMatch(new RegExp(`^new       ${data}/new, saved in`, 'm'))
  expect(stdout).toMatch(new RegExp(`^unchanged ${data}/same$`, 'm'))
  expect(stdout).toMatch(new RegExp(`^modified  ${data}/, saved in .* metadata\\)$`, 'm'))
  expect(stdout).toContain(`excluded  "${data}/line\\nfeed"\n`)
})

test('missing paths are skipped and make the backup incomplete; nothing is left when all are missing', async () => {
  using stage = await ourStage()
  const data = write(stage, { file: 'x' })
  const some = await stage.run(['backup', data, stage.path('missing')])
  expect(some.exitCode).toBe(3)
  expect(some.stderr).toContain(`${stage.path('missing')} does not exist, skipping\n`)
  expect(await listed(stage)).toEqual(['file'])
  const all = await stage.run(['backup', stage.path('missing')])
  expect(all.exitCode).toBe(1)
  expect(await snapshotsOf(stage)).toHaveLength(1)
})

test('a file that cannot be read makes the backup incomplete, and is named', async () => {
  using stage = await ourStage()
  const data = write(stage, { file: 'x' })
  const { exitCode, stdout, stderr } = await stage.run(['backup', data, '/proc/self/mem', '--json'])
  expect(exitCode).toBe(3)
  const [error, end] = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(error).toMatchObject({ message_type: 'error', during: 'archival', item: '/proc/self/mem' })
  expect(error.error.message).toContain('/proc/self/mem')
  expect(end).toMatchObject({ message_type: 'exit_error', code: 3, error_code: 'HF_INCOMPLETE' })
  expect(JSON.parse(stdout.trimEnd().split('\n').at(-1)!)).toMatchObject({ message_type: 'summary', files_new: 1 })
})

test('standard input becomes a file', async () => {
  using stage = await ourStage()
  await stage.must(['backup', '--stdin', '--stdin-filename', 'dir/typed.txt'], { stdin: inputOf('typed\n') })
  expect(await snapshotsOf(stage)).toMatchObject([{ paths: ['/dir/typed.txt'] }])
  await stage.must(['dump', 'latest', '/dir/typed.txt', '--target', stage.path('out')])
  const [, , file] = await stage.json(['ls', 'latest'])
  expect(file).toMatchObject({ path: '/dir/typed.txt', size: 6, permissions: '-rw-r--r--' })
})

test('standard input that holds nothing is refused, as it holds a password only or data only', async () => {
  using stage = await ourStage()
  const empty = await stage.run(['backup', '--stdin'], { stdin: inputOf('') })
  expect(empty.exitCode).toBe(1)
  expect(empty.stderr).toContain('no data was read')
  const both = await stage.run(['backup', '--stdin'], { stdin: inputOf('x'), environment: { HOLDFAST_PASSWORD: '' } })
  expect(both.stderr).toContain('cannot hold both the password and the data')
  const list = await stage.run(['backup', '--files-from', '-'], { environment: { HOLDFAST_PASSWORD: '' } })
  expect(list.stderr).toContain('cannot hold both the password and the list of files')
  expect(await snapshotsOf(stage)).toHaveLength(0)
})

test('what a command prints becomes a file, and nothing when it fails', async () => {
  using stage = await ourStage()
  const { exitCode, stderr } = await stage.run([
    ...['backup', '--stdin-from-command', '--stdin-filename', 'shop.sql', '--'],
    ...['sh', '-c', 'echo careful >&2; printf "a b"'],
  ])
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: 'subprocess sh: careful\n' })
  expect(await snapshotsOf(stage)).toMatchObject([{ paths: ['/shop.sql'], summary: { total_bytes_processed: 3 } }])
  const failed = await stage.run(['backup', '--stdin-from-command', '--', 'sh', '-c', 'echo half; exit 4'])
  expect(failed.exitCode).toBe(1)
  expect(failed.stderr).toContain('command "sh" failed: exit status 4')
  const absent = await stage.run(['backup', '--stdin-from-command', '--', stage.path('absent')])
  expect(absent.exitCode).toBe(1)
  expect(absent.stderr).toContain('cannot be run')
  expect(await snapshotsOf(stage)).toHaveLength(1)
})

test('an interruption ends waiting for standard input', async () => {
  using stage = await ourStage()
  const controller = new AbortController()
  const stdin = new TypedInput()
  const running = stage.run(['backup', '--stdin'], { stdin, controller })
  stdin.write('some')
  setTimeout(() => controller.abort(new Error('enough')), 700)
  const { exitCode } = await running
  expect(exitCode).not.toBe(0)
  expect(readdirSync(stage.path('repository', 'locks'))).toEqual([])
})

test('links are stored as links, and a folder of links in a path is passed', async () => {
  using stage = await ourStage()
  write(stage, { 'real/file': 'x' })
  symlinkSync('real', stage.path('data', 'link'))
  truncateSync(stage.path('data', 'real', 'file'), 0)
  await stage.must(['backup', stage.path('data', 'link', 'file')])
  expect(await listed(stage)).toEqual(['link', 'link/file'])
  await stage.must(['backup', stage.path('data', 'link')])
  const nodes = await stage.json(['ls', 'latest'])
  expect(nodes.at(-1)).toMatchObject({ name: 'link', type: 'symlink' })
})
