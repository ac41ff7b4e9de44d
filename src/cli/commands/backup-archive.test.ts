import { writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { folder } from '../../../test/support/configured-stage.ts'
import { type CopiesStage, copiesStage } from '../../../test/support/copies-stage.ts'
import { packsOf } from '../../../test/support/pack-paths.ts'
import { noise } from '../../../test/support/storage-victims.ts'
import type { Clock } from '../../lib/clock.ts'
import { systemClock } from '../../lib/clock.ts'

const DAY_NS = 86_400_000_000_000n

/** The program as it would run so many days ago. */
const daysAgo = (days: number): Clock => ({
  now: () => systemClock.now() - BigInt(days) * DAY_NS,
  sleep: (milliseconds, signal) => systemClock.sleep(milliseconds < 1000 ? 0 : milliseconds, signal),
})

/** Three backups of one source in `main` and `second`, two of them old; `cold` is empty. */
async function oldStage(): Promise<CopiesStage> {
  const stage = await copiesStage(['second', 'cold'], (plain) => ({
    uploads: { type: 'files', paths: [folder(plain, 'uploads')], repositories: ['main', 'second'] },
  }))
  for (const [i, days] of [200, 100, 1].entries()) {
    writeFileSync(stage.path('uploads', `file ${i}`), noise(i, 400_000))
    const run = await stage.on(['backup:run', '--all', '--verify', 'none'], { clock: daysAgo(days) })
    expect(run.exitCode, run.stderr).toBe(0)
  }
  return stage
}

const idsIn = async (stage: CopiesStage, name: string): Promise<readonly string[]> => {
  const { stdout, stderr } = await stage.on(['-r', name, 'snapshots', '--json'])
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout)
    .filter(({ tags }: { tags: readonly string[] }) => tags.includes('kind=backup'))
    .map(({ id }: { id: string }) => id)
}

const archive = (...more: readonly string[]): readonly string[] => [
  'backup:archive',
  '--older-than',
  '90d',
  '--to',
  'cold',
  ...more,
]

describe('moving old snapshots to an archive (S2-51)', () => {
  test('copies, reads again, then removes; and moves nothing twice', async () => {
    using stage = await oldStage()
    const planned = await stage.on(archive('--dry-run'))
    expect(planned.stdout, planned.stderr).toBe(
      'uploads: would move 2 snapshots from main to cold\nuploads: would move 2 snapshots from second to cold\n',
    )
    expect(await idsIn(stage, 'cold')).toEqual([])
    const before = await idsIn(stage, 'main')
    const moved = await stage.on(archive())
    expect(moved.exitCode, moved.stderr).toBe(0)
    expect(moved.stdout).toContain('uploads: moved 2 snapshots from main to cold\n')
    expect(await idsIn(stage, 'main')).toEqual(before.slice(2))
    expect(await idsIn(stage, 'second')).toHaveLength(1)
    // Those of both repositories are the same backups: each is in the archive once, with a record of having been read.
    expect(await idsIn(stage, 'cold')).toHaveLength(2)
    expect((await stage.on(['-r', 'cold', 'snapshots'])).stdout.match(/proved: checksum|checksum/g)).toHaveLength(2)
    expect((await stage.on(['-r', 'cold', 'check', '--read-data'])).exitCode).toBe(0)
    expect((await stage.on(archive())).stdout).toBe('nothing is older than that\n')
    // The newest one stays, however old it is.
    expect((await stage.on(['backup:archive', '--older-than', '0d', '--to', 'cold'])).stdout).toContain('nothing')
  })

  test('removes nothing whose copy does not read back, and goes on when it is mended', async () => {
    using stage = await oldStage()
    const before = await idsIn(stage, 'main')
    // As after a run that was cut off behind the copying, with damage since.
    const from = ['--from-repo', 'main', '-r', 'cold']
    expect((await stage.on(['copy', ...from, before[0]!])).exitCode).toBe(0)
    const [pack] = packsOf(stage.path('cold')).sort((a, b) => b.sizeBytes - a.sizeBytes)
    pack!.flip(1000)
    const refused = await stage.on(archive('--from', 'main'))
    expect(refused.exitCode).toBe(4)
    expect(refused.stderr).toContain('stay where they are: their copies did not pass')
    expect(await idsIn(stage, 'main')).toContain(before[0])
    pack!.flip(1000)
    const again = await stage.on(archive('--from', 'main'))
    expect(again.exitCode, again.stderr).toBe(0)
    expect(await idsIn(stage, 'main')).toEqual(before.slice(2))
    expect(await idsIn(stage, 'cold')).toHaveLength(2)
  })

  test('refuses what it cannot mean', async () => {
    using stage = await copiesStage(['cold'], (plain) => ({
      uploads: { type: 'files', paths: [folder(plain, 'uploads')], repositories: ['main'] },
    }))
    for (let i = 0; i < 2; i++)
      expect((await stage.on(['backup:run', '--all', '--verify', 'none'], { clock: daysAgo(9 - i) })).exitCode).toBe(0)
    const outcome = async (...args: readonly string[]) => (await stage.on(['backup:archive', ...args])).stderr
    expect(await outcome('--to', 'cold')).toContain('no age was given')
    expect(await outcome('--older-than', '1d')).toContain('no archive was given')
    expect(await outcome('--older-than', '1d', '--to', 'clod')).toContain('did you mean cold?')
    expect(await outcome('--older-than', '1d', '--to', stage.path('x'))).toContain('--to-password')
    const itself = ['--to', stage.path('repository'), '--to-password', `file:${stage.path('password')}`]
    expect(await outcome('--older-than', '1d', ...itself)).toContain('the archive is the repository main itself')
  })
})
