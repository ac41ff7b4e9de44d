import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { Collector } from '../../../test/support/stage.ts'
import { describeFolder } from '../../engine/restore/testing.ts'

/** A small tree and two snapshots of it, the second after some changes. */
async function changed(): Promise<OurStage & { readonly data: string }> {
  const stage = await ourStage()
  const data = stage.path('data')
  mkdirSync(join(data, 'sub'), { recursive: true })
  const write = (name: string, content: string, day: string): void => {
    writeFileSync(join(data, name), content)
    utimesSync(join(data, name), new Date(`2024-01-${day}T12:00:00Z`), new Date(`2024-01-${day}T12:00:00Z`))
  }
  write('a.txt', 'alpha', '01')
  write('b.log', 'beta, longer', '02')
  write('sub/c.txt', 'gamma', '03')
  symlinkSync('a.txt', join(data, 'link'))
  await stage.must(['backup', data, '--time', '2024-02-01 00:00:00'])
  write('a.txt', 'ALPHA', '04')
  write('line\nfeed', 'x', '05')
  rmSync(join(data, 'sub'), { recursive: true })
  await stage.must(['backup', data, '--time', '2024-02-02 00:00:00'])
  return { ...stage, [Symbol.dispose]: () => stage[Symbol.dispose](), data }
}

async function snapshotIds(stage: OurStage): Promise<readonly string[]> {
  const [list] = await stage.json<readonly { id: string }[]>(['snapshots'])
  return list!.map(({ id }) => id)
}

test('ls lists folders, in any order, and below them', async () => {
  using stage = await changed()
  const { data } = stage
  const [first] = await snapshotIds(stage)
  const names = async (...args: readonly string[]): Promise<readonly string[]> =>
    (await stage.must(['ls', '-q', `${first!}:${data}`, ...args])).trimEnd().split('\n')
  expect(await names()).toEqual(['/a.txt', '/b.log', '/link', '/sub', '/sub/c.txt'])
  expect(await names('/')).toEqual(['/a.txt', '/b.log', '/link', '/sub'])
  expect(await names('/sub')).toEqual(['/sub', '/sub/c.txt'])
  expect(await names('--recursive', '/')).toEqual(await names())
  expect(await names('--sort', 'size', '--reverse', '/')).toEqual(['/b.log', '/a.txt', '/sub', '/link'])
  expect(await names('--sort', 'time', '/a.txt', '/b.log')).toEqual(['/a.txt', '/b.log'])
  expect(await names('--sort', 'extension', '/')).toEqual(['/link', '/sub', '/b.log', '/a.txt'])
  expect(await names('-l', '/a.txt')).toEqual([
    expect.stringMatching(/^-rw-r--r-- +\d+ +\d+ {6}5 2024-01-01 12:00:00 \/a\.txt$/),
  ])
  expect(await names('-l', '--human-readable', '/link')).toEqual([
    expect.stringMatching(/^Lrwxrwxrwx +\d+ +\d+ 0 B .* \/link -> a\.txt$/),
  ])
})

test('ls prints a tree that ncdu can read', async () => {
  using stage = await changed()
  const text = await stage.must(['ls', '--ncdu', `latest:${stage.data}`])
  const [major, minor, metadata, [root, ...children]] = JSON.parse(text)
  expect([major, minor, root]).toEqual([1, 2, { name: '/' }])
  expect(metadata).toMatchObject({ paths: [stage.data] })
  expect(children.map(({ name }: { name: string }) => name)).toEqual(['a.txt', 'b.log', 'line\nfeed', 'link'])
  expect(children[0]).toMatchObject({ asize: 5, dsize: 512, notreg: false, mode: 0o644, mtime: 1_704_369_600 })
})

test('names go to programs as they are, and to a terminal in quotes when they could do harm', async () => {
  using stage = await changed()
  expect(await stage.must(['ls', '-q', `latest:${stage.data}`])).toContain('\n/line\nfeed\n')
  const stdout = new Collector({ isTTY: true })
  await stage.must(['ls', '-q', `latest:${stage.data}`], { stdout })
  expect(stdout.text).toContain('"/line\\nfeed"\n')
})

test('find finds by name, by time and without regard to case, in the snapshots that are chosen', async () => {
  using stage = await changed()
  const { data } = stage
  const [first, second] = await snapshotIds(stage)
  const found = async (...args: readonly string[]): Promise<readonly string[]> => {
    const [list] = await stage.json<
      readonly { snapshot: string; hits: number; matches: readonly { path: string }[] }[]
    >(['find', ...args])
    for (const { hits, matches } of list!) expect(hits).toBe(matches.length)
    return list!.flatMap(({ snapshot, matches }) =>
      matches.map(({ path }) => `${snapshot === first ? 1 : 2} ${path.slice(data.length + 1)}`),
    )
  }
  expect(await found('*.txt')).toEqual(['2 a.txt', '1 a.txt', '1 sub/c.txt'])
  expect(await found('*.txt', '--reverse')).toEqual(['1 a.txt', '1 sub/c.txt', '2 a.txt'])
  expect(await found('*.TXT', '--ignore-case', '--snapshot', second!)).toEqual(['2 a.txt'])
  expect(await found('*.txt', '--newest', '2024-01-02')).toEqual(['1 a.txt'])
  expect(await found('*.txt', '--oldest', '2024-01-04')).toEqual(['2 a.txt'])
  expect(await found('*.txt', '--host', 'nobody')).toEqual([])
  expect(await found('nothing')).toEqual([])
})

test('find finds what uses blobs, trees and packs', async () => {
  using stage = await changed()
  const { data } = stage
  const [first] = await snapshotIds(stage)
  const nodes = await stage.json<{ path: string }>(['ls', first!])
  expect(nodes.length).toBeGreaterThan(1)
  const [list] = await stage.json<readonly { id: string; tree: string; time: string }[]>(['snapshots'])
  const tree = list![0]!.tree
  const [trees] = await stage.json<readonly { object_type: string; pack: string }[]>([
    ...['find', '--tree', tree.slice(0, 12), '--show-pack-id'],
  ])
  expect(trees).toEqual([
    {
      object_type: 'tree',
      id: tree,
      path: '/',
      snapshot: first,
      time: list![0]!.time,
      pack: expect.stringMatching(/^[0-9a-f]{64}$/),
    },
  ])
  const [inPack] = await stage.json<readonly { object_type: string; path: string }[]>([
    'find',
    '--pack',
    trees![0]!.pack,
  ])
  expect(inPack!.map(({ object_type, path }) => `${object_type} ${path}`)).toContain(`tree ${data}`)
  const text = await stage.must(['find', '--tree', tree, '--show-pack-id'])
  expect(text).toContain(
    `Found tree ${tree}\n ... path /\n ... in snapshot ${first!.slice(0, 8)} (2024-02-01 00:00:00)\n`,
  )
  expect(text).toContain(`Object belongs to pack ${trees![0]!.pack}\n`)
  const { exitCode, stderr } = await stage.run(['find', '--pack', 'ffff0000'])
  expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: expect.stringContaining('ffff0000') })
})

test('diff tells what changed, and how much', async () => {
  using stage = await changed()
  const ids = await snapshotIds(stage)
  const [before, after] = ids.map((id) => `${id}:${stage.data}`) as [string, string]
  expect((await stage.must(['diff', before, after])).split('\n').slice(2, 7)).toEqual([
    'M    /a.txt',
    '+    /line',
    'feed',
    '-    /sub/',
    '-    /sub/c.txt',
  ])
  const messages = await stage.json(['diff', before, after])
  expect(messages.at(-1)).toMatchObject({
    message_type: 'statistics',
    source_snapshot: before,
    target_snapshot: after,
    changed_files: 1,
    added: { files: 1, dirs: 0, data_blobs: 2 },
    removed: { files: 1, dirs: 1, data_blobs: 2 },
  })
  expect(await stage.must(['diff', before, before, '-q'])).toMatch(/^\nFiles: +0 new, +0 removed, +0 changed\n/)
  const unknown = await stage.run(['diff', before, 'ffffffff'])
  expect(unknown).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('ffffffff') })
})

test('dump writes a file, and refuses what is none', async () => {
  using stage = await changed()
  const out = stage.path('out')
  await stage.must(['dump', 'latest', `${stage.data}/a.txt`, '--target', out])
  expect(readFileSync(out, 'utf8')).toBe('ALPHA')
  expect(statSync(out).mode & 0o777).toBe(0o600)
  expect(await stage.must(['dump', `latest:${stage.data}`, 'a.txt'])).toBe('ALPHA')
  for (const [path, reason] of [
    ['link', 'symlink'],
    ['missing', 'not in the snapshot'],
    ['a.txt/below', 'is a file'],
  ])
    expect(await stage.run(['dump', `latest:${stage.data}`, path!])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(reason!),
    })
})

test.skipIf(lacks('unzip'))('dump writes a folder as an archive, but not to a terminal', async () => {
  using stage = await changed()
  const [first] = await snapshotIds(stage)
  await stage.must(['restore', `${first!}:${stage.data}`, '--target', stage.path('expected')])
  await stage.must(['dump', `${first!}:${stage.data}`, '/', '--target', stage.path('all.tar')])
  mkdirSync(stage.path('tar'))
  execFileSync('tar', ['-x', '-p', '-f', stage.path('all.tar'), '-C', stage.path('tar')])
  expect(Object.keys(describeFolder(stage.path('tar')))).toEqual(Object.keys(describeFolder(stage.path('expected'))))
  await stage.must(['dump', '--archive', 'zip', first!, `${stage.data}/sub`, '--target', stage.path('sub.zip')])
  execFileSync('unzip', ['-q', stage.path('sub.zip'), '-d', stage.path('zip')])
  // The whole path in the snapshot, as restic writes it.
  expect(readFileSync(join(stage.path('zip'), stage.data, 'sub', 'c.txt'), 'utf8')).toBe('gamma')
  const terminal = await stage.run(['dump', first!, '/'], { stdout: new Collector({ isTTY: true }) })
  expect(terminal).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('not for a terminal') })
  const nowhere = await stage.run(['dump', first!, '/', '--target', stage.path('no', 'folder')])
  expect(nowhere).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('cannot be written') })
  expect(existsSync(stage.path('no'))).toBe(false)
})
