import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { noise } from '../../../test/support/storage-victims.ts'
import { expectResticContent, PASSWORD } from '../../../test/support/test-repository.ts'

const program = new URL('../../../bin/holdfast', import.meta.url).pathname

function filesOf(stage: OurStage, folder: string): readonly string[] {
  const path = stage.path('repository', folder)
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted((a, b) => statSync(b).size - statSync(a).size)
}

const snapshotsOf = async (stage: OurStage): Promise<readonly { id: string; tags?: string[]; original?: string }[]> =>
  (await stage.json<readonly { id: string }[]>(['snapshots']))[0]!

function spoil(path: string): void {
  const bytes = readFileSync(path)
  bytes[100]! ^= 1
  rmSync(path)
  writeFileSync(path, bytes)
}

describe('repair', () => {
  test('packs, then snapshots: what is intact is saved, what is lost is cut out, and the check passes', async () => {
    using stage = await ourStage()
    const first = await stage.backUp('one', noise(1, 60_000))
    const second = await stage.backUp('two', noise(2, 50_000))
    const [pack] = filesOf(stage, 'data')
    const id = pack!.slice(-64)
    spoil(pack!)
    // In a process of its own, as copies of damaged packs go to the working directory.
    const { status, stdout, stderr } = spawnSync(program, ['repair', 'packs', id], {
      cwd: stage.path(),
      env: { PATH: process.env.PATH, RESTIC_REPOSITORY: stage.path('repository'), RESTIC_PASSWORD: PASSWORD },
      encoding: 'utf8',
    })
    expect(status).toBe(0)
    expect(stdout).toContain(`pack ${id}: 0 blobs saved, 1 lost`)
    expect(stderr).toContain('holdfast repair snapshots --forget')
    expect(statSync(stage.path(`pack-${id}`)).size).toBeGreaterThan(60_000)

    const plan = await stage.must(['repair', 'snapshots', '--dry-run', '--forget'])
    expect(plan).toContain(
      '  file "/one": removed missing content\nwould save new snapshot\nwould remove old snapshot\n',
    )
    expect(plan).toMatch(/\nwould modify 1 snapshots\n$/)
    expect((await snapshotsOf(stage)).map((snapshot) => snapshot.id)).toEqual([first, second])

    const messages = await stage.json(['repair', 'snapshots', '--forget'])
    expect(messages).toEqual([
      {
        message_type: 'changed',
        old_snapshot_id: first,
        new_snapshot_id: expect.stringMatching(/^[0-9a-f]{64}$/),
        outcome: 'repaired',
        changes: [{ path: '/one', change: 'removed-missing-content' }],
      },
      { message_type: 'summary', changed_snapshots: 1 },
    ])
    expect((await stage.run(['check', '--read-data'])).exitCode).toBe(0)
    expect(await stage.must(['dump', second, '/two'])).toBe(Buffer.from(noise(2, 50_000)).toString('utf8'))
    expect((await stage.run(['repair', 'snapshots'])).stdout).toMatch(/\nno snapshots were modified\n$/)
    if (!lacks('restic')) expectResticContent(stage.path('repository'))
  })

  test('packs refuses ids that are none, or of nothing', async () => {
    using stage = await ourStage()
    expect(await stage.run(['repair', 'packs', 'abc'])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('"abc" is not the id of a pack'),
    })
    expect(await stage.run(['repair', 'packs', 'a'.repeat(64)])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('is neither in the repository nor in its index'),
    })
    expect((await stage.run(['repair', 'packs'])).exitCode).toBe(1)
  })

  test('index: lost index files come back from the packs', async () => {
    using stage = await ourStage()
    await stage.backUp('one', noise(1, 60_000))
    for (const index of filesOf(stage, 'index')) rmSync(index)
    expect((await stage.run(['check'])).exitCode).toBe(1)
    expect(await stage.json(['repair', 'index'])).toEqual([
      {
        message_type: 'summary',
        removed_indexes: 0,
        added_packs: 2,
        removed_packs: 0,
        damaged_packs: [],
        unreadable_packs: [],
      },
    ])
    expect((await stage.run(['check', '--read-data'])).exitCode).toBe(0)
    const { exitCode, stdout, stderr } = await stage.run(['rebuild-index', '--read-all-packs'])
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/\ndone\n$/)
    expect(stderr).toBe('Warning: command "rebuild-index" is deprecated, use "repair index"\n')
  })

  test('snapshots: an unreadable file goes only when its full id is given with --forget', async () => {
    using stage = await ourStage()
    const [lost, kept] = [await stage.backUp('one', '1'), await stage.backUp('two', '2')]
    spoil(stage.path('repository', 'snapshots', lost))
    const left = await stage.run(['repair', 'snapshots', '--forget'])
    expect(left.exitCode).toBe(1)
    expect(left.stderr).toContain(`"holdfast repair snapshots --forget ${lost}" removes it`)
    expect((await stage.run(['repair', 'snapshots', lost])).exitCode).toBe(1)
    expect(readdirSync(stage.path('repository', 'snapshots'))).toHaveLength(2)
    expect(await stage.must(['repair', 'snapshots', '--forget', lost, '--dry-run'])).toContain(
      'would modify 1 snapshots',
    )
    expect(await stage.must(['repair', 'snapshots', '--forget', lost])).toContain('modified 1 snapshots')
    expect(readdirSync(stage.path('repository', 'snapshots'))).toEqual([kept])
  })
})

describe('recover', () => {
  test('brings back what a forgotten snapshot had', async () => {
    using stage = await ourStage()
    await stage.backUp('kept', 'here')
    const gone = await stage.backUp('gone', 'not yet')
    await stage.must(['forget', gone])
    const [summary] = await stage.json(['recover'])
    expect(summary).toEqual({
      message_type: 'summary',
      unreferenced_roots: 1,
      snapshot_id: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    const paths = await stage.must(['ls', summary!.snapshot_id as string])
    const [found] = paths.match(/^\/[0-9a-f]{8}\/gone$/m) ?? []
    expect(await stage.must(['dump', summary!.snapshot_id as string, found!])).toBe('not yet')
    expect(await stage.must(['recover'])).toMatch(/\nfound 0 unreferenced roots\nno snapshot to write\.\n$/)
    expect((await snapshotsOf(stage)).find(({ id }) => id === summary!.snapshot_id)!.tags).toEqual(['recovered'])
  })
})
