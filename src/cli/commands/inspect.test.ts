import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { ourStage } from '../../../test/support/our-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { noise } from '../../../test/support/storage-victims.ts'
import { restic } from '../../../test/support/test-repository.ts'

const hashOf = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

describe('cat and list', () => {
  test('every blob that is listed can be printed, and is what its id says', async () => {
    using stage = await ourStage()
    await stage.backUp('one', 'some text')
    const blobs = (await stage.must(['list', 'blobs'])).trimEnd().split('\n')
    expect(blobs.map((line) => line.split(' ')[0]).toSorted()).toEqual(['data', 'tree'])
    for (const line of blobs)
      expect(hashOf(await stage.must(['cat', 'blob', line.split(' ')[1]!]))).toBe(line.split(' ')[1])
    expect(hashOf(await stage.must(['cat', 'tree', 'latest:/']))).toBe(
      blobs.find((l) => l.startsWith('tree'))!.slice(5),
    )
  })

  test('list agrees with the files that are there', async () => {
    using stage = await ourStage()
    const id = await stage.backUp('one', 'some text')
    const list = async (type: string): Promise<readonly string[]> =>
      (await stage.must(['list', type])).split('\n').filter((line) => line !== '')
    for (const type of ['index', 'keys', 'snapshots'] as const)
      expect(await list(type)).toEqual(readdirSync(stage.path('repository', type)).toSorted())
    expect(await list('packs')).toHaveLength(2)
    expect(await list('locks')).toEqual([])
    expect(await list('snapshots')).toEqual([id])
  })

  test.skipIf(lacks('restic'))('prints what restic prints', async () => {
    using stage = await ourStage()
    await stage.backUp('one', 'some text')
    const [index] = readdirSync(stage.path('repository', 'index'))
    const [key] = readdirSync(stage.path('repository', 'keys'))
    for (const args of [['config'], ['index', index!], ['key', key!]])
      expect((await stage.must(['cat', ...args])).trimEnd()).toBe(
        restic(stage.path('repository'), 'cat', ...args).stdout.trimEnd(),
      )
  })

  test('a damaged pack is printed as it is, with a warning', async () => {
    using stage = await ourStage()
    const name = 'a'.repeat(64)
    mkdirSync(stage.path('repository', 'data', 'aa'), { recursive: true })
    writeFileSync(stage.path('repository', 'data', 'aa', name), 'rubbish')
    expect(await stage.run(['cat', 'pack', name])).toEqual({
      exitCode: 0,
      stdout: 'rubbish',
      stderr: `Warning: pack ${name} is damaged: its content does not have the hash it is named by\n`,
    })
  })

  test('a snapshot is found whatever has happened to others', async () => {
    using stage = await ourStage()
    const id = await stage.backUp('one', 'some text')
    writeFileSync(stage.path('repository', 'snapshots', 'f'.repeat(64)), 'rubbish')
    expect(JSON.parse(await stage.must(['cat', 'snapshot', id.slice(0, 10)]))).toMatchObject({ paths: ['/one'] })
    expect(await stage.must(['dump', id, '/one'])).toBe('some text')
    // It might be the latest.
    expect((await stage.run(['dump', 'latest', '/one'])).exitCode).toBe(1)
  })

  test('ids have to be whole', async () => {
    using stage = await ourStage()
    expect(await stage.run(['cat', 'index', 'abc'])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('no full id of this type (index): "abc"'),
    })
    expect((await stage.run(['cat', 'blob', 'a'.repeat(64)])).stderr).toContain('is in no index')
  })
})

test('stats counts in four ways', async () => {
  using stage = await ourStage()
  const same = noise(1, 100_000)
  await stage.backUp('one', same)
  await stage.backUp('two', same)
  const stats = async (mode: string): Promise<unknown> => (await stage.json(['stats', '--mode', mode]))[0]
  expect(await stats('restore-size')).toEqual({ total_size: 200_000, total_file_count: 2, snapshots_count: 2 })
  expect(await stats('files-by-contents')).toEqual({ total_size: 100_000, total_file_count: 1, snapshots_count: 2 })
  expect(await stats('raw-data')).toMatchObject({ total_blob_count: 3, snapshots_count: 2 })
  const text = await stage.must(['stats', 'latest'])
  expect(text).toContain('\nStats in restore-size mode:\n     Snapshots processed:  1\n        Total File Count:  1\n')
})

test('tag changes tags of snapshots, which get a new id', async () => {
  using stage = await ourStage()
  const id = await stage.backUp('one', 'x', '--tag', 'a')
  const [changed, summary] = await stage.json(['tag', '--add', 'b,c', '--remove', 'a'])
  expect(changed).toMatchObject({ message_type: 'changed', old_snapshot_id: id })
  expect(summary).toEqual({ message_type: 'summary', changed_snapshots: 1 })
  const [list] = await stage.json<readonly object[]>(['snapshots'])
  expect(list).toEqual([expect.objectContaining({ id: changed!.new_snapshot_id, tags: ['b', 'c'], original: id })])
  expect(await stage.must(['tag', '--add', 'b', 'latest'])).toMatch(/no snapshots were modified\n$/)
  expect((await stage.run(['tag', '--set', 'a', '--add', 'b'])).exitCode).toBe(1)
})

describe('cache', () => {
  const repository = '0123456789abcdef'.repeat(4)

  async function stageWithCaches(): ReturnType<typeof ourStage> {
    const stage = await ourStage()
    for (const [id, days] of [
      [repository, 2],
      [repository.replaceAll('0', 'f'), 40],
    ] as const) {
      mkdirSync(stage.path('cache', 'holdfast', id), { recursive: true })
      writeFileSync(stage.path('cache', 'holdfast', id, 'file'), noise(1, 2048))
      const used = new Date(Date.parse('2024-05-10T12:00:00Z') - days * 86_400_000)
      utimesSync(stage.path('cache', 'holdfast', id), used, used)
    }
    return stage
  }

  const clock = { now: () => BigInt(Date.parse('2024-05-10T13:00:00Z')) * 1_000_000n, sleep: async () => undefined }

  test('lists what there is, the least used first', async () => {
    using stage = await stageWithCaches()
    expect((await stage.must(['cache'], { clock })).replaceAll(stage.path(), '<work>').split('\n')).toEqual([
      'Repo ID     Last Used    Old  Size',
      '-----------------------------------------',
      'f123456789  40 days ago  yes    2.000 KiB',
      '0123456789  2 days ago          2.000 KiB',
      '-----------------------------------------',
      '2 cache dirs in <work>/cache/holdfast',
      '',
    ])
    expect(await stage.json(['cache', '--no-size', '--max-age', '1'], { clock })).toEqual([
      [
        expect.objectContaining({ old: true }),
        {
          repository_id: repository,
          path: stage.path('cache', 'holdfast', repository),
          last_used: '2024-05-08T12:00:00Z',
          old: true,
        },
      ],
    ])
  })

  test('removes what is old, by itself or with any command', async () => {
    using stage = await stageWithCaches()
    expect(await stage.must(['cache', '--cleanup'], { clock })).toBe('removed 1 old cache directories\n')
    expect(readdirSync(stage.path('cache', 'holdfast'))).toEqual([repository])
    expect(await stage.must(['cache', '--cleanup'], { clock })).toBe('no old cache dirs found\n')
    // Today, years later.
    await stage.must(['list', 'keys', '--cleanup-cache'])
    expect(readdirSync(stage.path('cache', 'holdfast'))).not.toContain(repository)
  })

  test('there is nothing to do without one', async () => {
    using stage = await ourStage()
    expect((await stage.run(['cache', '--no-cache'])).exitCode).toBe(1)
    expect(await stage.must(['cache'])).toBe(`no cache dirs found, basedir is ${stage.path('cache', 'holdfast')}\n`)
  })
})

test('migrate makes a version 1 repository one of version 2, once', async () => {
  using stage = await ourStage()
  const old = ['-r', stage.path('old')]
  await stage.must(['init', '--repository-version', '1', ...old])
  expect(await stage.must(['migrate', ...old])).toBe(
    'available migrations:\n  upgrade_repo_v2\tupgrade a repository to version 2\n',
  )
  expect(await stage.json(['migrate', ...old])).toEqual([
    [{ name: 'upgrade_repo_v2', description: 'upgrade a repository to version 2' }],
  ])
  expect((await stage.run(['migrate', 'nonsense', ...old])).exitCode).toBe(1)
  expect(await stage.must(['migrate', 'upgrade_repo_v2', ...old])).toMatch(/migration upgrade_repo_v2: success\n$/)
  expect(JSON.parse(await stage.must(['cat', 'config', ...old]))).toMatchObject({ version: 2 })
  expect(await stage.json(['migrate', 'upgrade_repo_v2', ...old])).toEqual([
    {
      message_type: 'migrated',
      name: 'upgrade_repo_v2',
      applied: false,
      obstacle: 'repository is already upgraded to version 2',
    },
  ])
})
