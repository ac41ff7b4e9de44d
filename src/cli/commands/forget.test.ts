import { chmodSync, cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { noise } from '../../../test/support/storage-victims.ts'
import { expectResticContent, restic } from '../../../test/support/test-repository.ts'

const MIB = 1024 * 1024

let template: OurStage
const ids: string[] = []

/** Five days of one file, the content of each unlike the others. */
beforeAll(async () => {
  template = await ourStage()
  for (const day of ['01', '02', '03', '04', '05'])
    ids.push(await template.backUp('db.sql', day.repeat(3000), '--host', 'web', '--time', `2024-05-${day} 12:00:00`))
})

afterAll(() => template[Symbol.dispose]())

/** A copy of these five days. */
async function fiveDays(): Promise<OurStage> {
  const stage = await ourStage()
  rmSync(stage.path('repository'), { recursive: true })
  cpSync(template.path('repository'), stage.path('repository'), { recursive: true })
  return stage
}

const idsOf = async (stage: OurStage): Promise<readonly string[]> => {
  const [list] = await stage.json<readonly { id: string }[]>(['snapshots'])
  return list!.map(({ id }) => id)
}

const packFiles = (stage: OurStage): readonly string[] =>
  readdirSync(stage.path('repository', 'data'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.length > 60)
    .toSorted()

interface Group {
  readonly host: string
  readonly paths: readonly string[]
  readonly keep: readonly { readonly id: string }[]
  readonly remove: readonly { readonly id: string }[] | null
  readonly reasons: readonly { readonly matches: readonly string[] }[]
}

describe('forget', () => {
  test('removes what the policy does not keep and tells why the others stay', async () => {
    using stage = await fiveDays()
    const [groups] = await stage.json<readonly Group[]>(['forget', '--keep-last', '2', '--keep-tag', 'x'])
    expect(groups).toHaveLength(1)
    const [{ host, paths, keep, remove, reasons }] = groups as [Group]
    expect({ host, paths }).toEqual({ host: 'web', paths: ['/db.sql'] })
    expect(keep.map(({ id }) => id)).toEqual(ids.slice(3).toReversed())
    expect(remove!.map(({ id }) => id)).toEqual(ids.slice(0, 3).toReversed())
    expect(reasons.map(({ matches }) => matches)).toEqual([['last snapshot'], ['last snapshot']])
    expect(await idsOf(stage)).toEqual(ids.slice(3))
  })

  test('a dry run removes nothing, and its prune counts as if the snapshots were gone', async () => {
    using stage = await fiveDays()
    const before = packFiles(stage)
    const [, plan] = await stage.json(['forget', '--keep-last', '1', '--prune', '--dry-run'])
    expect(plan).toMatchObject({
      message_type: 'summary',
      dry_run: true,
      blobs: { used: 2, unused: 8, total: 10 },
      packfiles: { used: 2, unused: 8, remove: 8 },
    })
    expect(await idsOf(stage)).toEqual(ids)
    expect(packFiles(stage)).toEqual(before)
  })

  test('--prune frees the space of what was removed, and what stays can be read', async () => {
    using stage = await fiveDays()
    const text = await stage.must(['forget', '--keep-last', '1', '--prune'])
    expect(text).toContain('\n4 snapshots have been removed, running prune\n')
    expect(text).toMatch(/^to delete: {13}8 blobs \/ /m)
    expect(packFiles(stage)).toHaveLength(2)
    expect(await stage.must(['dump', 'latest', '/db.sql'])).toBe('05'.repeat(3000))
    expect(await stage.must(['check', '--read-data'])).toContain('no errors were found')
  })

  test('nothing is pruned when nothing was removed', async () => {
    using stage = await fiveDays()
    await stage.must(['forget', ids[0]!])
    const before = packFiles(stage)
    expect(await stage.must(['forget', '--keep-last', '9', '--prune'])).not.toContain('prune')
    expect(packFiles(stage)).toEqual(before)
  })

  test('removes named snapshots, whatever a policy would say, and passes over unknown ones', async () => {
    using stage = await fiveDays()
    const { exitCode, stderr } = await stage.run(['forget', ids[4]!.slice(0, 8), 'ffffffff', 'latest'])
    expect(exitCode).toBe(0)
    expect(stderr).toMatch(/^Ignoring "ffffffff": /)
    expect(await idsOf(stage)).toEqual(ids.slice(0, 4))
  })

  test('is refused when nothing would be left, or nothing was asked for', async () => {
    using stage = await fiveDays()
    for (const [options, message] of [
      [['--keep-tag', 'none'], 'refusing to delete last snapshot of snapshot group "host web, path [/db.sql]"'],
      [[], 'no policy was given'],
      [['--keep-last', '0'], 'no policy was given'],
      [['--unsafe-allow-remove-all'], 'needs a filter'],
      [['--keep-last', '1', '--no-lock'], '--no-lock is possible only together with --dry-run'],
    ] as const) {
      const { exitCode, stderr } = await stage.run(['forget', ...options])
      expect(exitCode).toBe(1)
      expect(stderr).toContain(message)
    }
    expect(await idsOf(stage)).toEqual(ids)
  })

  test('a damaged snapshot is named and left alone; the exit code says so, and prune stops', async () => {
    using stage = await fiveDays()
    const victim = stage.path('repository', 'snapshots', ids[1]!)
    rmSync(victim)
    writeFileSync(victim, 'rubbish')
    const { exitCode, stdout, stderr } = await stage.run(['forget', '--keep-last', '1'])
    expect(exitCode).toBe(1)
    expect(stderr).toContain(`snapshot ${ids[1]!.slice(0, 8)} cannot be read`)
    expect(stdout).toContain('remove 3 snapshots:')
    expect(readdirSync(stage.path('repository', 'snapshots')).toSorted()).toEqual([ids[1]!, ids[4]!].toSorted())
    const before = packFiles(stage)
    expect((await stage.run(['prune'])).exitCode).toBe(1)
    expect(packFiles(stage)).toEqual(before)
  })

  test.skipIf(lacks('root'))('exit code 3 when snapshots cannot be removed; prune is not run then', async () => {
    using stage = await fiveDays()
    chmodSync(stage.path(), 0o777)
    for (const entry of readdirSync(stage.path('repository'), { recursive: true, withFileTypes: true }))
      chmodSync(`${entry.parentPath}/${entry.name}`, entry.isDirectory() ? 0o777 : 0o444)
    chmodSync(stage.path('repository'), 0o755)
    chmodSync(stage.path('repository', 'snapshots'), 0o755)
    const before = packFiles(stage)
    process.seteuid!(65534)
    const { exitCode, stdout, stderr } = await stage
      .run(['forget', '--keep-last', '1', '--prune', '--json', '--no-cache'])
      .finally(() => process.seteuid!(0))
    expect(stderr).toContain(`unable to remove snapshot/${ids[0]!}`)
    expect(JSON.parse(stderr.trimEnd().split('\n').at(-1)!)).toMatchObject({
      message_type: 'exit_error',
      code: 3,
      error_code: 'HF_INCOMPLETE',
    })
    expect(exitCode).toBe(3)
    expect(JSON.parse(stdout)).toHaveLength(1)
    expect(packFiles(stage)).toEqual(before)
    expect(await idsOf(stage)).toEqual(ids)
  })
})

describe('prune', () => {
  test('keeps to its limits', async () => {
    using stage = await ourStage()
    // Two snapshots share the first half, which lies in one pack with the second half of the one that goes.
    const half = noise(1, 2 * MIB)
    const first = await stage.backUp('image', Buffer.concat([half, noise(2, 2 * MIB)]))
    await stage.backUp('image', Buffer.concat([half, noise(3, 2 * MIB)]))
    await stage.must(['forget', first])
    const plan = async (...limits: readonly string[]): Promise<unknown> => {
      const [message] = await stage.json<{ packfiles: object }>(['prune', '--dry-run', ...limits])
      return message!.packfiles
    }
    expect(await plan()).toMatchObject({ partly_used: 1, repack: 1, remove: 1, keep: 2 })
    expect(await plan('--max-repack-size', '0')).toMatchObject({ repack: 0, remove: 1, keep: 3 })
    expect(await plan('--max-unused', 'unlimited')).toMatchObject({ repack: 0, remove: 1 })
    expect(await plan('--max-unused', '4M')).toMatchObject({ repack: 0, remove: 1 })
    expect(await plan('--max-unused', '60%')).toMatchObject({ repack: 0, remove: 1 })
    expect(await plan('--repack-cacheable-only')).toMatchObject({ repack: 0, remove: 1 })
    expect(await stage.must(['prune', '-q'])).toBe('')
    expect(await plan()).toMatchObject({ partly_used: 0, repack: 0, remove: 0, unused: 0 })
  })

  test('refuses what would do nothing or too much', async () => {
    using stage = await ourStage()
    for (const [args, message] of [
      [['--repack-uncompressed', '--compression', 'off'], 'without compressing'],
      [['--max-unused', '100%'], 'below 100 %'],
      [['--no-lock'], '--no-lock'],
      [['--unsafe-recover-no-free-space', 'x'], 'must pass id'],
    ] as const) {
      const { exitCode, stderr } = await stage.run(['prune', ...args])
      expect(exitCode).toBe(1)
      expect(stderr).toContain(message)
    }
  })
})

describe.skipIf(lacks('restic'))('restic afterwards', () => {
  test('finds everything whole when the index went first, for a storage that is full', async () => {
    using stage = await fiveDays()
    await stage.must(['forget', '--keep-last', '2'])
    const { id } = JSON.parse(await stage.must(['cat', 'config'])) as { id: string }
    await stage.must(['prune', '--unsafe-recover-no-free-space', id])
    expectResticContent(stage.path('repository'))
  })

  test('sees the same snapshots and finds everything whole', async () => {
    using stage = await fiveDays()
    await stage.must(['forget', '--keep-last', '2', '--prune', '--max-unused', '0', '--repack-cacheable-only'])
    const repository = stage.path('repository')
    expectResticContent(repository)
    const listed = JSON.parse(restic(repository, 'snapshots', '--json').stdout) as readonly { id: string }[]
    expect(listed.map(({ id }) => id).toSorted()).toEqual((await idsOf(stage)).toSorted())
  })
})
