import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { filesSource, plain, run, type Told } from '../../test/support/run-stage.ts'
import { noise } from '../../test/support/storage-victims.ts'
import { contentOf, nodesOf } from '../../test/support/stored-nodes.ts'
import { memoryRepository, newRepository, scratchFolder } from '../../test/support/test-repository.ts'
import { loadSnapshots } from '../engine/repository/snapshots.ts'
import { HoldfastError } from '../lib/errors.ts'
import { filesManifest } from '../sources/files/manifest.ts'
import type { BackupType } from '../sources/source.ts'
import { failureOf } from './backup-run.ts'

describe('a backup run', () => {
  test('backs up several sources at the same time into one repository, each a snapshot of its own', async () => {
    using scratch = scratchFolder()
    const folders = ['a', 'b', 'c'].map((name, i) => {
      const folder = scratch.join(name)
      mkdirSync(folder)
      // Half of it is the same everywhere, and is met by several at once.
      for (let k = 0; k < 8; k++) writeFileSync(`${folder}/${k}`, noise(k < 4 ? k : 100 * i + k, 700_000))
      return folder
    })
    const repository = await newRepository(scratch.join('repository'))
    const results = await run(
      repository,
      folders.map((folder, i) => plain(filesSource(`source-${i}`, [folder]))),
    )
    expect(results.map(({ outcome }) => outcome)).toEqual(['complete', 'complete', 'complete'])
    expect(failureOf(results)).toBeUndefined()
    for (const [i, { backup }] of results.entries()) {
      const { snapshot, tree } = backup!.result
      expect(snapshot!.tags).toEqual([`source=source-${i}`, 'kind=backup', 'run=test-run', 'type=full'])
      const nodes = await nodesOf(repository, tree)
      for (let k = 0; k < 8; k++) {
        const path = `${folders[i]}/${k}`
        expect((await contentOf(repository, nodes.get(path)!)).equals(readFileSync(path)), path).toBe(true)
      }
      const manifest = await contentOf(repository, nodes.get(`/.holdfast/source-${i}/manifest.json`)!)
      expect(filesManifest.parse(JSON.parse(manifest.toString()))).toMatchObject({ paths: [folders[i]], missing: [] })
    }
  })

  test('compares an incremental with the newest snapshot of the source and a differential with the newest full one', async () => {
    using scratch = scratchFolder()
    const folder = scratch.join('data')
    mkdirSync(folder)
    writeFileSync(`${folder}/file`, 'content')
    const repository = await newRepository(scratch.join('repository'))
    const source = plain(filesSource('uploads', [folder]))
    const other = plain(filesSource('other', [folder]))
    const once = async (type: BackupType, which = source) => {
      const [result] = await run(repository, [which], { type })
      return result!.backup!
    }
    const first = await once('incremental')
    expect(first).toMatchObject({ type: 'full', reason: 'there is no earlier snapshot to compare with' })
    const second = await once('incremental')
    expect(second.result.snapshot!.parent).toBe(first.result.snapshot!.id)
    await once('full', other)
    const third = await once('differential')
    expect(third).toMatchObject({ type: 'differential', reason: undefined })
    expect(third.result.snapshot!.parent).toBe(first.result.snapshot!.id)
    const fourth = await once('full')
    expect(fourth.result.snapshot!.parent).toBeUndefined()
    expect((await once('differential')).result.snapshot!.parent).toBe(fourth.result.snapshot!.id)
  })

  test('passes over a damaged snapshot', async () => {
    using scratch = scratchFolder()
    const folder = scratch.join('data')
    mkdirSync(folder)
    writeFileSync(`${folder}/file`, 'content')
    const path = scratch.join('repository')
    const repository = await newRepository(path)
    const source = plain(filesSource('uploads', [folder]))
    const [first] = await run(repository, [source])
    writeFileSync(`${path}/snapshots/${'ab'.repeat(32)}`, noise(1, 200))
    const told: Told = { lines: [], errors: [] }
    const [second] = await run(repository, [source], { told })
    expect(told.lines).toContain(`snapshot ${'ab'.repeat(32)} is damaged`)
    expect(second).toMatchObject({ outcome: 'complete', backup: { type: 'incremental' } })
    expect(second!.backup!.result.snapshot!.parent).toBe(first!.backup!.result.snapshot!.id)
  })

  test('goes on when a source fails, and says which', async () => {
    using scratch = scratchFolder()
    mkdirSync(scratch.join('there'))
    writeFileSync(scratch.join('there', 'file'), 'content')
    const repository = await memoryRepository()
    const told: Told = { lines: [], errors: [] }
    const results = await run(
      repository,
      [
        plain(filesSource('gone', [scratch.join('gone')])),
        plain(filesSource('half', [scratch.join('there'), scratch.join('gone')])),
        plain(filesSource('whole', [scratch.join('there')])),
      ],
      { told },
    )
    expect(results.map(({ outcome }) => outcome)).toEqual(['failed', 'incomplete', 'complete'])
    expect(results[0]!.error).toMatchObject({ code: 'HF_SOURCE_UNREADABLE' })
    expect(told.errors.join('\n')).toContain(`half: ${scratch.join('gone')}`)
    expect(failureOf(results)).toMatchObject({ code: 'HF_RUN_FAILED', message: '1 of 3 sources failed: gone' })
    expect(failureOf(results.slice(1))).toMatchObject({ code: 'HF_INCOMPLETE' })
    expect(await loadSnapshots(repository)).toHaveLength(2)
  })
})

test('what a source requires and is not there fails it by name (S0-12)', async () => {
  using scratch = scratchFolder()
  const repository = await memoryRepository()
  const source = filesSource('uploads', [scratch.path])
  const [result] = await run(repository, [{ ...plain(source), require: [scratch.path, scratch.join('index.db')] }])
  expect(result!.error).toMatchObject({ code: 'HF_REQUIRED_MISSING' })
  expect((result!.error as HoldfastError).message).toBe(
    `source uploads requires what is not there: ${scratch.join('index.db')}`,
  )
  expect(await loadSnapshots(repository)).toEqual([])
})

describe('hooks (S3-18, S4-06)', () => {
  const shell = (script: string): readonly string[] => ['/bin/sh', '-c', script]

  test('stand before and after, without a shell, and know what it is about', async () => {
    using scratch = scratchFolder()
    const folder = scratch.join('data')
    mkdirSync(folder)
    const told: Told = { lines: [], errors: [] }
    const results = await run(
      await memoryRepository(),
      [
        {
          source: filesSource('uploads', [folder]),
          hooks: {
            pre: [shell(`echo made for $HOLDFAST_SOURCE in $HOLDFAST_RUN > ${folder}/dump`)],
            post: [['/bin/sh', '-c', 'echo "$0 $HOLDFAST_OUTCOME"', '$(id) ; rm']],
          },
          require: [`${folder}/dump`],
        },
      ],
      { told },
    )
    expect(results[0]).toMatchObject({ outcome: 'complete' })
    expect(results[0]!.phases.map(({ phase }) => phase)).toEqual(['pre hook', 'backup', 'post hook'])
    expect(readFileSync(`${folder}/dump`, 'utf8')).toBe('made for uploads in test-run\n')
    expect(told.lines).toContain('uploads says $(id) ; rm done')
  })

  test('a failing first one keeps the backup from being made, and the last one runs all the same', async () => {
    using scratch = scratchFolder()
    const repository = await memoryRepository()
    const told: Told = { lines: [], errors: [] }
    const [result] = await run(
      repository,
      [
        {
          source: filesSource('uploads', [scratch.path]),
          hooks: {
            pre: [shell('echo no lock; exit 3'), shell('echo never')],
            post: [shell('exit 1'), shell('echo $HOLDFAST_OUTCOME')],
          },
          require: [],
        },
      ],
      { told },
    )
    expect(result).toMatchObject({ outcome: 'failed', backup: undefined })
    expect((result!.error as HoldfastError).message).toBe(
      'the pre hook of uploads, "/bin/sh", failed: exit status 3; and the post hook of uploads, "/bin/sh", failed: exit status 1',
    )
    expect(told.lines).toEqual(expect.arrayContaining(['uploads says no lock', 'uploads says failed']))
    expect(told.lines).not.toContain('uploads says never')
    expect(await loadSnapshots(repository)).toEqual([])
  })

  test('a failing last one is a failure although there is a snapshot', async () => {
    using scratch = scratchFolder()
    const repository = await memoryRepository()
    const hooks = { pre: [], post: [['/nowhere/at/all']] }
    const [result] = await run(repository, [{ source: filesSource('uploads', [scratch.path]), hooks, require: [] }])
    expect(result!.outcome).toBe('failed')
    expect((result!.error as HoldfastError).message).toContain('cannot be run')
    expect(await loadSnapshots(repository)).toHaveLength(1)
    const missing = { source: filesSource('uploads', [scratch.path]), require: [scratch.join('gone')] }
    const [twice] = await run(repository, [{ ...missing, hooks: { pre: [], post: [['false'], ['/nowhere/at/all']] } }])
    expect(twice!.error).toMatchObject({
      code: 'HF_REQUIRED_MISSING',
      message: expect.stringMatching(/gone; and the post hook .*"false", failed.*; and the post hook .* cannot be run/),
    })
  })

  test('a run that is stopped kills the first one and still runs the last', async () => {
    using scratch = scratchFolder()
    const controller = new AbortController()
    const told: Told = { lines: [], errors: [] }
    const running = run(
      await memoryRepository(),
      [
        {
          source: filesSource('uploads', [scratch.path]),
          hooks: { pre: [shell('echo begun; exec sleep 60')], post: [shell('echo put back')] },
          require: [],
        },
      ],
      {
        signal: controller.signal,
        told: {
          ...told,
          lines: new Proxy(told.lines, {
            set: (lines, key, line) => {
              if (String(line).includes('begun')) controller.abort(new HoldfastError('HF_INTERRUPTED', 'stopped'))
              return Reflect.set(lines, key, line)
            },
          }),
        },
      },
    )
    await expect(running).rejects.toMatchObject({ code: 'HF_INTERRUPTED' })
    expect(told.lines).toContain('uploads says put back')
  })
})
