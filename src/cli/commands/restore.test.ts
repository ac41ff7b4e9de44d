import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'
import { describeFolder } from '../../engine/restore/testing.ts'

/** A small tree and a snapshot of it. */
async function backedUp(): Promise<OurStage & { readonly data: string; readonly out: string }> {
  const stage = await ourStage()
  const data = stage.path('data')
  mkdirSync(join(data, 'sub'), { recursive: true })
  for (const [name, content] of Object.entries({ 'a.txt': 'alpha', 'b.log': 'beta', 'sub/C.TXT': 'gamma' }))
    writeFileSync(join(data, name), content)
  chmodSync(join(data, 'b.log'), 0o600)
  utimesSync(join(data, 'a.txt'), 1_700_000_000, 1_700_000_000)
  await stage.must(['backup', data])
  return { ...stage, [Symbol.dispose]: () => stage[Symbol.dispose](), data, out: stage.path('out') }
}

const below = (folder: string): readonly string[] => readdirSync(folder, { recursive: true }).map(String).sort()

test('brings everything back as it was, under its whole path or from a folder of the snapshot', async () => {
  using stage = await backedUp()
  const { data, out } = stage
  const stdout = await stage.must(['restore', 'latest', '--target', out, '--verify'])
  expect(describeFolder(join(out, data))).toEqual(describeFolder(data))
  expect(stdout).toMatch(/^restoring snapshot [0-9a-f]{8} of \[.*\/data\] at .* to .*\/out$/m)
  expect(stdout).toMatch(/^Summary: Restored \d+ files\/dirs \(14 B\) in 0:\d\d$/m)
  expect(stdout).toMatch(/^finished verifying 3 files in .*\/out \(took .*\)$/m)
  await stage.must(['restore', `latest:${data}`, '--target', stage.path('bare')])
  expect(describeFolder(stage.path('bare'))).toEqual(describeFolder(data))
})

test('patterns choose, in options and in files', async () => {
  using stage = await backedUp()
  const { data } = stage
  writeFileSync(stage.path('patterns'), '*.log\n')
  const chosen = async (...args: readonly string[]): Promise<readonly string[]> => {
    rmSync(stage.out, { recursive: true, force: true })
    await stage.must(['restore', `latest:${data}`, '--target', stage.out, ...args])
    return below(stage.out)
  }
  expect(await chosen('--include', '*.txt')).toEqual(['a.txt'])
  expect(await chosen('--iinclude', '*.txt')).toEqual(['a.txt', 'sub', 'sub/C.TXT'])
  expect(await chosen('--exclude', '*.txt')).toEqual(['b.log', 'sub', 'sub/C.TXT'])
  expect(await chosen('--iexclude', '*.TXT')).toEqual(['b.log', 'sub'])
  expect(await chosen('--include-file', stage.path('patterns'))).toEqual(['b.log'])
  expect(await chosen('--exclude-file', stage.path('patterns'))).toEqual(['a.txt', 'sub', 'sub/C.TXT'])
})

test('what is there already is replaced as --overwrite says', async () => {
  using stage = await backedUp()
  const { data, out } = stage
  const target = ['restore', `latest:${data}`, '--target', out]
  await stage.must(target)
  const change = (mtime: number): void => {
    writeFileSync(join(out, 'a.txt'), 'ALPHA')
    utimesSync(join(out, 'a.txt'), mtime, mtime)
  }
  const contentAfter = async (mode: string): Promise<string> => {
    await stage.must([...target, '--overwrite', mode])
    return readFileSync(join(out, 'a.txt'), 'utf8')
  }
  change(1_700_000_000)
  // Size and time are those of the snapshot.
  expect(await contentAfter('if-changed')).toBe('ALPHA')
  expect(await contentAfter('never')).toBe('ALPHA')
  expect(await contentAfter('always')).toBe('alpha')
  change(1_700_000_001)
  expect(await contentAfter('if-newer')).toBe('ALPHA')
  expect(await contentAfter('if-changed')).toBe('alpha')
  change(1_699_999_999)
  expect(await contentAfter('if-newer')).toBe('alpha')
})

test('what is not in the snapshot stays, and goes with --delete', async () => {
  using stage = await backedUp()
  const { data, out } = stage
  const target = ['restore', `latest:${data}`, '--target', out]
  await stage.must(target)
  writeFileSync(join(out, 'other'), 'x')
  await stage.must(target)
  expect(existsSync(join(out, 'other'))).toBe(true)
  const rehearsed = await stage.must([...target, '--delete', '--dry-run', '-vv'])
  expect(rehearsed).toContain(`deleted   ${out}/other\n`)
  expect(existsSync(join(out, 'other'))).toBe(true)
  const [summary] = (await stage.json([...target, '--delete'])).slice(-1)
  expect(summary).toMatchObject({ message_type: 'summary', files_deleted: 1 })
  expect(describeFolder(out)).toEqual(describeFolder(data))
})

test('a dry run names everything and writes nothing', async () => {
  using stage = await backedUp()
  const messages = await stage.json(['restore', `latest:${stage.data}`, '--target', stage.out, '--dry-run', '-vv'])
  expect(messages.filter(({ message_type }) => message_type === 'verbose_status')).toEqual(
    ['/a.txt', '/b.log', '/sub', '/sub/C.TXT'].map((item) => ({
      message_type: 'verbose_status',
      action: 'restored',
      item,
      size: expect.any(Number),
    })),
  )
  expect(messages.at(-1)).toMatchObject({ message_type: 'summary', files_restored: 4, bytes_restored: 14 })
  expect(existsSync(stage.out)).toBe(false)
})

test('"latest" obeys the filters', async () => {
  using stage = await backedUp()
  writeFileSync(stage.path('elsewhere'), 'x')
  await stage.must(['backup', stage.path('elsewhere'), '--host', 'other', '--tag', 'marked'])
  for (const filter of [
    ['--host', 'other'],
    ['--tag', 'marked'],
    ['--path', stage.path('elsewhere')],
  ]) {
    rmSync(stage.out, { recursive: true, force: true })
    await stage.must(['restore', 'latest', '--target', stage.out, ...filter])
    expect(existsSync(join(stage.out, stage.path('elsewhere')))).toBe(true)
  }
  const { exitCode, stderr } = await stage.run(['restore', 'latest', '--target', stage.out, '--host', 'nobody'])
  expect({ exitCode, stderr }).toEqual({
    exitCode: 1,
    stderr: expect.stringContaining('no snapshot matches host nobody'),
  })
})

test('a file whose content is gone is named, the others come back, and the exit code tells', async () => {
  using stage = await backedUp()
  const { data, out } = stage
  writeFileSync(join(data, 'later.txt'), 'delta')
  await stage.must(['backup', data])
  const packs = readdirSync(stage.path('repository', 'data'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs)
  const ofLater = await stage.json<readonly { path: string }[]>(['find', '--pack', packs.at(-1)!.slice(-64)])
  // The packs of the second backup: one with the new file, one with trees. Only the one with the file is damaged.
  const victim = ofLater[0]!.some(({ path }) => path.endsWith('later.txt')) ? packs.at(-1)! : packs.at(-2)!
  chmodSync(victim, 0o600)
  truncateSync(victim, 20)
  const { exitCode, stdout, stderr } = await stage.run(['restore', `latest:${data}`, '--target', out])
  expect(exitCode).toBe(1)
  expect(stderr).toMatch(/^ignoring error for \/later\.txt: /m)
  expect(stderr).toContain('Fatal: There were 1 errors')
  expect(stdout).toContain('Summary: Restored 4 / 5 files/dirs')
  expect(readFileSync(join(out, 'a.txt'), 'utf8')).toBe('alpha')
  rmSync(out, { recursive: true })
  const json = await stage.run(['restore', `latest:${data}`, '--target', out, '--json'])
  const [error, end] = json.stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(error).toMatchObject({ message_type: 'error', during: 'restore', item: '/later.txt' })
  expect(end).toMatchObject({ message_type: 'exit_error', code: 1, error_code: 'HF_RESTORE_FAILED' })
})

test('a target that cannot be is refused', async () => {
  using stage = await backedUp()
  writeFileSync(stage.out, 'a file')
  const { exitCode, stderr } = await stage.run(['restore', 'latest', '--target', stage.out])
  expect({ exitCode, stderr }).toEqual({
    exitCode: 1,
    stderr: expect.stringContaining(`${stage.out} cannot be restored to`),
  })
})
