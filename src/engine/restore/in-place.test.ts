import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { CHEAP_KDF, PASSWORD, scratchFolder } from '../../../test/support/test-repository.ts'
import type { Id } from '../../lib/id.ts'
import { randomBytes } from '../../lib/random.ts'
import { patternSources } from '../archive/filter/pattern.ts'
import { readAttributes, writeAttribute } from '../posix/extended-attributes.ts'
import { initRepository } from '../repository/repository.ts'
import { openMemoryStorage } from '../storage/memory/memory-storage.ts'
import { planRestore } from './plan.ts'
import { plannedItems, type RestorePlanOptions } from './restore-plan.ts'
import { describeFolder, restoreForTest, TreeMaker } from './testing.ts'

const MIB = 1024 * 1024
const MTIME_NS = 1_700_000_000_123_456_789n

async function newMaker(): Promise<TreeMaker> {
  return new TreeMaker(await initRepository(openMemoryStorage(), { password: PASSWORD }, { key: { kdf: CHEAP_KDF } }))
}

describe('restoring over what is there', () => {
  test('touches nothing when everything is right already', async () => {
    using scratch = scratchFolder()
    const maker = await newMaker()
    const files = [await maker.file('a', ['content']), await maker.file('empty', []), maker.symlink('link', 'a')]
    const tree = await maker.finish([
      await maker.directory('folder', files),
      await maker.file('big', ['b'.repeat(MIB)]),
    ])
    await restoreForTest(maker.repository, tree, scratch.path)
    const paths = ['folder', 'folder/a', 'folder/empty', 'folder/link', 'big'].map((name) => scratch.join(name))
    const before = paths.map((path) => lstatSync(path, { bigint: true }))
    const { items, progress, plan, errors } = await restoreForTest(maker.repository, tree, scratch.path)
    expect(errors).toEqual([])
    expect(paths.map((path) => lstatSync(path, { bigint: true }).ino)).toEqual(before.map(({ ino }) => ino))
    expect(lstatSync(paths[1]!, { bigint: true }).ctimeNs).toBe(before[1]!.ctimeNs)
    expect(plan.writing.placements.row).toHaveLength(0)
    expect(items.filter(({ type }) => type === 'file').map(({ action }) => action)).toEqual(Array(3).fill('unchanged'))
    expect(progress.totals).toMatchObject({ skippedFiles: 3, skippedBytes: 7 + MIB, bytes: 0 })
  })

  test.skipIf(lacks('root'))('corrects attributes of files whose content is right', async () => {
    using scratch = scratchFolder()
    const maker = await newMaker()
    const tree = await maker.finish([
      await maker.file('file', ['content'], { mode: 0x80_0000 + 0o640, uid: 77, gid: 78 }),
      await maker.directory('folder', []),
    ])
    await restoreForTest(maker.repository, tree, scratch.path)
    const right = describeFolder(scratch.path)
    chmodSync(scratch.join('file'), 0o600)
    utimesSync(scratch.join('file'), 1, 1)
    writeAttribute(Buffer.from(scratch.join('file')), { name: 'user.surplus', value: Buffer.from('x') })
    chmodSync(scratch.join('folder'), 0o700)
    const { errors } = await restoreForTest(maker.repository, tree, scratch.path)
    expect(errors).toEqual([])
    expect(describeFolder(scratch.path)).toEqual(right)
    expect(right['/file']).toMatchObject({ mode: '104640', uid: 77, mtime: MTIME_NS })
  })

  test.skipIf(lacks('root', 'setfacl'))('is not misled by what directories hand down to new files', async () => {
    using scratch = scratchFolder()
    const maker = await newMaker()
    const files = await Promise.all(['a', 'b', 'c'].map((name) => maker.file(name, [name], { mode: 0o664 })))
    const tree = await maker.finish([...files, await maker.directory('folder', files)])
    await restoreForTest(maker.repository, tree, scratch.join('plain'))
    mkdirSync(scratch.join('odd'))
    chownSync(scratch.join('odd'), 0, 4711)
    chmodSync(scratch.join('odd'), 0o2775)
    execFileSync('setfacl', ['-d', '-m', 'u:4712:rwx,g::---,o::---', scratch.join('odd')])
    const { errors } = await restoreForTest(maker.repository, tree, scratch.join('odd'))
    expect(errors).toEqual([])
    expect(describeFolder(scratch.join('odd'))).toEqual(describeFolder(scratch.join('plain')))
  })

  test.skipIf(lacks('setfattr'))('sets and removes only those extended attributes that are asked for', async () => {
    using scratch = scratchFolder()
    const maker = await newMaker()
    const attribute = (name: string, text: string) => ({ name, value: Buffer.from(text) })
    const extendedAttributes = [attribute('user.keep', 'new'), attribute('user.other', 'new')]
    const tree = await maker.finish([await maker.file('file', ['x'], { extendedAttributes })])
    const attributesWith = async (name: string, options: Partial<RestorePlanOptions>): Promise<unknown> => {
      mkdirSync(scratch.join(name))
      const path = scratch.join(name, 'file')
      writeFileSync(path, 'x')
      for (const old of ['user.other', 'user.surplus']) writeAttribute(Buffer.from(path), attribute(old, 'old'))
      const { errors } = await restoreForTest(maker.repository, tree, scratch.join(name), options)
      expect(errors).toEqual([])
      return Object.fromEntries(readAttributes(Buffer.from(path)).map((x) => [x.name, Buffer.from(x.value).toString()]))
    }
    expect(await attributesWith('all', {})).toEqual({ 'user.keep': 'new', 'user.other': 'new' })
    expect(await attributesWith('include', { includeXattrs: patternSources(['user.keep', 'user.s*']) })).toEqual({
      'user.keep': 'new',
      'user.other': 'old',
    })
    expect(await attributesWith('exclude', { excludeXattrs: patternSources(['user.o*', 'user.s*']) })).toEqual({
      'user.keep': 'new',
      'user.other': 'old',
      'user.surplus': 'old',
    })
  })

  test.each([
    ['a byte in the middle is wrong', (path: string): void => overwrite(path, 5 * MIB, 'x'), 1],
    ['it is too short', (path: string): void => truncateSync(path, 6 * MIB + 7), 2],
    ['something was appended', (path: string): void => writeFileSync(path, 'tail', { flag: 'a' }), 0],
    ['it was emptied', (path: string): void => truncateSync(path, 0), 8],
  ])('fetches and writes only what differs when %s', async (_, spoil, blobs) => {
    using scratch = scratchFolder()
    const maker = await newMaker()
    const content = Array.from({ length: 8 }, () => randomBytes(MIB))
    const tree = await maker.finish([await maker.file('file', content)])
    await restoreForTest(maker.repository, tree, scratch.path)
    const { ino } = statSync(scratch.join('file'))
    spoil(scratch.join('file'))
    const { plan, items, errors, progress } = await restoreForTest(maker.repository, tree, scratch.path)
    expect(errors).toEqual([])
    expect(readFileSync(scratch.join('file')).equals(Buffer.concat(content))).toBe(true)
    expect(statSync(scratch.join('file'), { bigint: true })).toMatchObject({ ino: BigInt(ino), mtimeNs: MTIME_NS })
    expect(plan.writing.placements.row).toHaveLength(blobs)
    expect(items).toMatchObject([{ action: 'updated', sizeBytes: 8 * MIB }])
    expect(progress.bytes).toBe(8 * MIB)
  })

  test('compares large files in parts, on all threads', async () => {
    using scratch = scratchFolder()
    const maker = await newMaker()
    const blob = randomBytes(4 * MIB)
    const tree = await maker.finish([await maker.file('file', Array(24).fill(blob)), await maker.file('b', [blob])])
    await restoreForTest(maker.repository, tree, scratch.path)
    for (const at of [3, 50, 95]) overwrite(scratch.join('file'), at * MIB, 'xyz')
    const { plan } = await restoreForTest(maker.repository, tree, scratch.path)
    expect([...plan.writing.placements.offset]).toEqual([0, 48 * MIB, 92 * MIB])
    expect((await planRestore(maker.repository, tree, { target: scratch.path })).totals.skippedFiles).toBe(2)
  })

  test('never writes through a further name of the same file', async () => {
    using scratch = scratchFolder()
    const maker = await newMaker()
    const tree = await maker.finish([await maker.file('file', ['from the snapshot'])])
    writeFileSync(scratch.join('elsewhere'), 'somebody else needs this')
    mkdirSync(scratch.join('target'))
    linkSync(scratch.join('elsewhere'), scratch.join('target/file'))
    const { errors } = await restoreForTest(maker.repository, tree, scratch.join('target'))
    expect(errors).toEqual([])
    expect(readFileSync(scratch.join('elsewhere'), 'utf8')).toBe('somebody else needs this')
    expect(readFileSync(scratch.join('target/file'), 'utf8')).toBe('from the snapshot')
  })

  test('replaces links by what belongs there and leaves what they lead to alone', async () => {
    using scratch = scratchFolder()
    const maker = await newMaker()
    const tree = await maker.finish([
      await maker.directory('folder', [await maker.file('inside', ['new'])]),
      await maker.file('file', ['new']),
      maker.symlink('link', 'right'),
    ])
    mkdirSync(scratch.join('outside'))
    writeFileSync(scratch.join('outside/inside'), 'old')
    writeFileSync(scratch.join('outside file'), 'old')
    mkdirSync(scratch.join('target'))
    symlinkSync(scratch.join('outside'), scratch.join('target/folder'))
    symlinkSync(scratch.join('outside file'), scratch.join('target/file'))
    symlinkSync('wrong', scratch.join('target/link'))
    const { errors } = await restoreForTest(maker.repository, tree, scratch.join('target'))
    expect(errors).toEqual([])
    expect(readFileSync(scratch.join('outside/inside'), 'utf8')).toBe('old')
    expect(readFileSync(scratch.join('outside file'), 'utf8')).toBe('old')
    expect(lstatSync(scratch.join('target/folder')).isDirectory()).toBe(true)
    expect(readFileSync(scratch.join('target/folder/inside'), 'utf8')).toBe('new')
    expect(readFileSync(scratch.join('target/file'), 'utf8')).toBe('new')
    expect(readlinkSync(scratch.join('target/link'))).toBe('right')
  })

  test('removes a folder in the way of a file only when it is empty, or when deleting was asked for', async () => {
    using scratch = scratchFolder()
    const maker = await newMaker()
    const tree = await maker.finish([
      await maker.file('full', ['new']),
      await maker.file('empty', ['new']),
      maker.symlink('link', 'x'),
    ])
    mkdirSync(scratch.join('empty'))
    for (const name of ['full', 'link']) {
      mkdirSync(scratch.join(name, 'below/further'), { recursive: true })
      writeFileSync(scratch.join(name, 'below/further/precious'), 'old')
    }
    const first = await restoreForTest(maker.repository, tree, scratch.path)
    expect(first.errors.map(({ item }) => item).sort()).toEqual(['/full', '/link'])
    expect(first.progress.errors).toBe(2)
    expect(readFileSync(scratch.join('full/below/further/precious'), 'utf8')).toBe('old')
    expect(readFileSync(scratch.join('empty'), 'utf8')).toBe('new')
    const second = await restoreForTest(maker.repository, tree, scratch.path, { deleteOthers: true })
    expect(second.errors).toEqual([])
    expect(readFileSync(scratch.join('full'), 'utf8')).toBe('new')
    expect(readlinkSync(scratch.join('link'))).toBe('x')
  })
})

describe('overwrite modes', () => {
  /** Three files with other content than in the snapshot: older, as old, and newer; and one that is not there. */
  async function prepare(target: string): Promise<{ maker: TreeMaker; tree: Id }> {
    const maker = await newMaker()
    const seconds = 1_700_000_000
    const times = { older: seconds - 10, same: seconds, newer: seconds + 10 }
    const whole = { seconds, nanoseconds: 0, offsetSeconds: 0 }
    const nodes = []
    for (const [name, time] of Object.entries(times)) {
      nodes.push(await maker.file(name, ['new!'], { mtime: whole }))
      writeFileSync(`${target}/${name}`, 'old!')
      utimesSync(`${target}/${name}`, time, time)
    }
    nodes.push(await maker.file('absent', ['new!']), maker.symlink('link', 'new', { mtime: whole }))
    symlinkSync('old', `${target}/link`)
    return { maker, tree: await maker.finish(nodes) }
  }

  test.each([
    ['always', { older: 'new!', same: 'new!', newer: 'new!', absent: 'new!' }, 'new'],
    ['if-changed', { older: 'new!', same: 'old!', newer: 'new!', absent: 'new!' }, 'new'],
    ['if-newer', { older: 'new!', same: 'old!', newer: 'old!', absent: 'new!' }, 'old'],
    ['never', { older: 'old!', same: 'old!', newer: 'old!', absent: 'new!' }, 'old'],
  ] as const)('%s', async (overwriteMode, expected, link) => {
    using scratch = scratchFolder()
    const { maker, tree } = await prepare(scratch.path)
    const { errors, progress } = await restoreForTest(maker.repository, tree, scratch.path, {
      overwrite: overwriteMode,
    })
    expect(errors).toEqual([])
    const found = Object.keys(expected).map((name) => [name, readFileSync(scratch.join(name), 'utf8')])
    expect(Object.fromEntries(found)).toEqual(expected)
    expect(readlinkSync(scratch.join('link'))).toBe(link)
    const skipped = Object.values(expected).filter((content) => content === 'old!').length + (link === 'old' ? 1 : 0)
    expect(progress.totals.skippedFiles).toBe(skipped)
    expect(progress.files).toBe(5 - skipped)
  })
})

describe('deleting what is not in the snapshot', () => {
  async function prepare(target: string): Promise<{ maker: TreeMaker; tree: Id }> {
    const maker = await newMaker()
    const tree = await maker.finish([await maker.directory('kept', [await maker.file('kept', ['x'])])])
    mkdirSync(`${target}/kept/gone/deep`, { recursive: true })
    mkdirSync(`${target}/outside`)
    writeFileSync(`${target}/outside/precious`, 'x')
    writeFileSync(`${target}/kept/gone/deep/file.txt`, 'x')
    writeFileSync(`${target}/kept/gone.tmp`, 'x')
    symlinkSync(`${target}/outside`, `${target}/kept/link to outside`)
    return { maker, tree }
  }

  test('removes it with all that is in it, follows no link and says what went', async () => {
    using scratch = scratchFolder()
    const { maker, tree } = await prepare(scratch.path)
    const target = scratch.join('kept')
    const kept = await maker.finish([await maker.file('kept', ['x'])])
    const plan = await planRestore(maker.repository, kept, { target, deleteOthers: true })
    const planned = [...plannedItems(plan)].filter(({ action }) => action === 'deleted').map(({ path }) => path)
    expect(existsSync(`${target}/gone`)).toBe(true)
    const { items, progress, errors } = await restoreForTest(maker.repository, kept, target, { deleteOthers: true })
    expect(errors).toEqual([])
    expect(planned).toEqual([
      `${target}/gone/deep/file.txt`,
      `${target}/gone/deep`,
      `${target}/gone`,
      `${target}/gone.tmp`,
      `${target}/link to outside`,
    ])
    expect(items.filter(({ action }) => action === 'deleted').map(({ path }) => path)).toEqual(planned)
    expect(progress.deletedFiles).toBe(5)
    expect(Object.keys(describeFolder(target))).toEqual(['/kept'])
    expect(readFileSync(scratch.join('outside/precious'), 'utf8')).toBe('x')
    expect(tree).not.toBe(kept)
  })

  test('removes only what the patterns select', async () => {
    using scratch = scratchFolder()
    const { maker, tree } = await prepare(scratch.path)
    const { errors } = await restoreForTest(maker.repository, tree, scratch.path, {
      deleteOthers: true,
      selector: (path, isDirectory) => ({
        selected: !path.endsWith('.tmp') && path !== '/outside',
        descend: isDirectory,
      }),
    })
    expect(errors).toEqual([])
    expect(Object.keys(describeFolder(scratch.path))).toEqual([
      '/kept',
      '/kept/gone.tmp',
      '/kept/kept',
      '/outside',
      '/outside/precious',
    ])
  })

  test('is refused for the root of the machine without patterns', async () => {
    const maker = await newMaker()
    const tree = await maker.finish([await maker.file('a', ['b'])])
    await expect(planRestore(maker.repository, tree, { target: '/', deleteOthers: true })).rejects.toMatchObject({
      code: 'HF_USAGE',
    })
  })
})

function overwrite(path: string, at: number, text: string): void {
  const fd = openSync(path, 'r+')
  writeSync(fd, text, at)
  closeSync(fd)
}
