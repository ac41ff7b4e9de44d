import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { CHEAP_KDF, newRepository, PASSWORD, scratchFolder } from '../../../test/support/test-repository.ts'
import { randomBytes } from '../../lib/random.ts'
import { initRepository, type Repository } from '../repository/repository.ts'
import { openMemoryStorage } from '../storage/memory/memory-storage.ts'
import { restoreForTest, TreeMaker } from './testing.ts'

const MIB = 1024 * 1024

const packPath = (folder: string, pack: string): string => `${folder}/data/${pack.slice(0, 2)}/${pack}`

/** Turns a bit of the stored form of a data blob. */
function damage(folder: string, repository: Repository, id: string, which = 0): void {
  const { pack, offset } = repository.index.findAll('data', id)[which]!
  const bytes = readFileSync(packPath(folder, pack))
  bytes[offset + 20]! ^= 1
  rmSync(packPath(folder, pack))
  writeFileSync(packPath(folder, pack), bytes)
}

describe.each([
  ['', false],
  [', past the cache', true],
] as const)('content that is damaged in the repository%s', (_, durable) => {
  test('fails the files that need it and no others, and says which bytes are missing', async () => {
    using scratch = scratchFolder()
    const repository = await newRepository(scratch.join('repository'))
    const maker = new TreeMaker(repository)
    const blobs = Array.from({ length: 4 }, () => randomBytes(MIB))
    const several = await maker.file('several', blobs)
    const single = await maker.file('single', ['all of it'])
    const tree = await maker.finish([
      several,
      single,
      await maker.file('fine', [blobs[0]!]),
      await maker.file('ok', ['ok']),
    ])
    for (const id of [several.content![1]!, several.content![2]!, single.content![0]!])
      damage(scratch.join('repository'), repository, id)
    const { errors, progress, failed } = await restoreForTest(repository, tree, scratch.join('out'), { durable })
    expect(errors.map(({ item }) => item).sort()).toEqual(['/several', '/single'])
    const message = errors.find(({ item }) => item === '/several')!.message
    expect(message).toContain(`${2 * MIB} of its ${4 * MIB} bytes are missing (${MIB}-${3 * MIB - 1})`)
    expect(progress).toMatchObject({ errors: 2, files: 2 })
    expect(failed.size).toBe(2)
    const restored = readFileSync(scratch.join('out/several'))
    expect(restored.subarray(0, MIB).equals(blobs[0]!)).toBe(true)
    expect(restored.subarray(3 * MIB).equals(blobs[3]!)).toBe(true)
    // It must not look complete: not to people, and not to a later run that trusts size and time.
    expect(statSync(scratch.join('out/several')).mtimeMs).toBeGreaterThan(1_750_000_000_000)
    expect(readFileSync(scratch.join('out/fine')).equals(blobs[0]!)).toBe(true)
    const again = await restoreForTest(repository, tree, scratch.join('out'), { overwrite: 'if-changed', durable })
    expect(again.errors).toHaveLength(2)
  })

  test('is taken from another place where the blob lies', async () => {
    using scratch = scratchFolder()
    const folder = scratch.join('repository')
    const repository = await newRepository(folder)
    const maker = new TreeMaker(repository)
    const blobs = [randomBytes(MIB), randomBytes(MIB)]
    const nodes = [await maker.file('several', blobs), await maker.file('single', ['one'])]
    await maker.finish(nodes)
    const ids = nodes.flatMap((node) => node.content!)
    const second = new TreeMaker(repository)
    for (const [i, bytes] of [...blobs, Buffer.from('one')].entries())
      await second.writer.save('data', bytes, ids[i]!, { duplicate: true })
    const tree = await second.finish(nodes)
    for (const id of ids) damage(folder, repository, id, 0)
    const { errors, progress } = await restoreForTest(repository, tree, scratch.join('out'), { durable })
    expect(errors).toEqual([])
    expect(progress).toMatchObject({ files: 2, bytes: 2 * MIB + 3 })
    expect(readFileSync(scratch.join('out/several')).equals(Buffer.concat(blobs))).toBe(true)
    expect(statSync(scratch.join('out/single'), { bigint: true }).mtimeNs).toBe(1_700_000_000_123_456_789n)
  })

  test.each(['missing', 'cut short'])('does not spoil the rest when a pack is %s', async (how) => {
    using scratch = scratchFolder()
    const folder = scratch.join('repository')
    const repository = await newRepository(folder)
    const first = new TreeMaker(repository)
    const files = [await first.file('a', [randomBytes(1000)]), await first.file('b', [randomBytes(1000)])]
    await first.finish(files)
    const second = new TreeMaker(repository)
    const shared = await second.file('c', [randomBytes(1000)])
    const long = { ...shared, name: 'd', content: [...files[0]!.content!, ...shared.content!], size: 2000 }
    const tree = await second.finish([...files, shared, long])
    const { pack, offset } = repository.index.find('data', files[1]!.content![0]!)!
    if (how === 'missing') rmSync(packPath(folder, pack))
    else truncateSync(packPath(folder, pack), Math.max(offset, 1))
    const { errors } = await restoreForTest(repository, tree, scratch.join('out'), { durable })
    const expected = how === 'missing' ? ['/a', '/b', '/d'] : ['/b']
    expect(errors.map(({ item }) => item).sort()).toEqual(expected)
    expect(existsSync(scratch.join('out/c'))).toBe(true)
    expect(existsSync(scratch.join('out/b'))).toBe(false)
  })

  test('is handled alike on storage that threads cannot read', async () => {
    using scratch = scratchFolder()
    const repository = await initRepository(openMemoryStorage(), { password: PASSWORD }, { key: { kdf: CHEAP_KDF } })
    const maker = new TreeMaker(repository)
    const lost = await maker.file('lost', [randomBytes(1000)])
    await maker.finish([lost])
    const second = new TreeMaker(repository)
    const tree = await second.finish([lost, await second.file('fine', ['x'])])
    await repository.storage.delete({ kind: 'data', name: repository.index.find('data', lost.content![0]!)!.pack })
    const { errors } = await restoreForTest(repository, tree, scratch.join('out'), { durable })
    expect(errors).toMatchObject([{ item: '/lost', message: expect.stringContaining('1000 of its 1000 bytes') }])
    expect(readFileSync(scratch.join('out/fine'), 'utf8')).toBe('x')
  })

  test('takes further names of the file with it', async () => {
    using scratch = scratchFolder()
    const repository = await newRepository(scratch.join('repository'))
    const maker = new TreeMaker(repository)
    const link = { links: 2, inode: 7, deviceId: 8 }
    const first = await maker.file('first', ['content'], link)
    const tree = await maker.finish([first, { ...first, name: 'second' }])
    damage(scratch.join('repository'), repository, first.content![0]!)
    const { errors } = await restoreForTest(repository, tree, scratch.join('out'), { durable })
    expect(errors.map(({ item }) => item)).toEqual(['/first', '/second'])
  })
})

test.skipIf(lacks('root')).each([
  ['small files', 40, 1, false],
  ['long files', 4, 10, false],
  ['long files, past the cache', 4, 10, true],
] as const)('a full target ends the restore of %s with a clear error', async (_, count, blobs, durable) => {
  using scratch = scratchFolder()
  const repository = await newRepository(scratch.join('repository'))
  const maker = new TreeMaker(repository)
  const content = (): Uint8Array[] => Array.from({ length: blobs }, () => randomBytes(102_400))
  const files = await Promise.all(Array.from({ length: count }, (_, i) => maker.file(`file ${i}`, content())))
  const tree = await maker.finish(files)
  mkdirSync(scratch.join('small'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', scratch.join('small')])
  try {
    await expect(restoreForTest(repository, tree, scratch.join('small/out'), { durable })).rejects.toMatchObject({
      code: 'HF_RESTORE_FAILED',
      message: expect.stringContaining('ENOSPC'),
    })
  } finally {
    execFileSync('umount', [scratch.join('small')])
  }
})
