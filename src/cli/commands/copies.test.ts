import { spawnSync } from 'node:child_process'
import { renameSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { folder } from '../../../test/support/configured-stage.ts'
import { type CopiesStage, copiesStage } from '../../../test/support/copies-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { noise } from '../../../test/support/storage-victims.ts'

const uploads = (stage: { path(...names: readonly string[]): string }) => ({
  uploads: { type: 'files', paths: [folder(stage as never, 'uploads')] },
})

/** Fails unless restic finds a repository of the stage whole, every byte read, under the password it should have. */
function expectWhole(stage: CopiesStage, name: string): void {
  if (lacks('restic')) return
  const environment = { ...process.env, RESTIC_PASSWORD: stage.passwordOf(name) }
  const args = ['-r', stage.path(name), '--no-cache', 'check', '--read-data']
  const { status, stderr } = spawnSync(process.env.RESTIC ?? 'restic', args, { env: environment, encoding: 'utf8' })
  expect(status, stderr).toBe(0)
}

const summaryOf = (stdout: string) =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
    .at(-1)

describe('several repositories', () => {
  test('are made to cut alike, written from one reading, proved one by one, and catch up', async () => {
    using stage = await copiesStage(['second', 'third'], uploads)
    writeFileSync(stage.path('uploads', 'large'), noise(1, 3_000_000))
    const first = await stage.on(['backup:run', '--all'])
    expect(first.exitCode, first.stderr).toBe(0)
    expect(first.stdout).toMatch(/^uploads: backed up .*snapshot [0-9a-f]{8} in main$/m)
    expect(first.stdout).toMatch(/^uploads: copied to second: 2\.\d+ MiB stored, snapshot [0-9a-f]{8}$/m)
    // One record for each of the three.
    expect(first.stdout.match(/^uploads: proved: checksum/gm)).toHaveLength(3)
    for (const name of ['second', 'third']) expectWhole(stage, name)
    const [listed] = JSON.parse((await stage.on(['copy:list', '--json'])).stdout)
    expect(listed).toMatchObject({
      copies: [
        { repository: 'main', behind: 0, offsite: false, immutable: null, proof: { level: 'checksum' } },
        { repository: 'second', behind: 0, proof: { level: 'checksum' } },
        { repository: 'third', behind: 0, proof: { level: 'checksum' } },
      ],
      rule: {
        copies: { holds: 'yes', detail: 'the source and 3 copies of its newest backup' },
        // All three are folders of one disk.
        media: { holds: 'no' },
        offsite: { holds: 'no' },
        immutable: { holds: 'no' },
        errors: { holds: 'yes' },
      },
    })

    renameSync(stage.path('third'), stage.path('away'))
    writeFileSync(stage.path('uploads', 'more'), noise(2, 500_000))
    const without = await stage.on(['backup:run', '--all', '--verify', 'none', '--json'])
    expect(without.exitCode).toBe(1)
    expect(without.stderr).toContain('not every repository has all it should have: uploads in third')
    const result = without.stdout
      .split('\n')
      .filter((line) => line.includes('source_result'))
      .map((line) => JSON.parse(line))[0]
    expect(result).toMatchObject({
      outcome: 'incomplete',
      copies: [
        { repository: 'main', outcome: 'written' },
        { repository: 'second', outcome: 'copied' },
        { repository: 'third', outcome: 'failed', error: { code: 'HF_REPO_NOT_FOUND' } },
      ],
    })
    const blind = await stage.on(['copy:list'])
    expect(blind.exitCode).toBe(1)
    expect(blind.stdout).toMatch(/uploads +third +local disk +unknown +unknown/)
    renameSync(stage.path('away'), stage.path('third'))
    stage.change('third', { offsite: true })
    const behind = (await stage.on(['copy:list'])).stdout
    expect(behind).toMatch(/uploads +third +local disk \d+ +\S+ \S+ +1 +yes +no +checksum, today/)
    // It is offsite, and has not the newest backup.
    expect(behind).toMatch(/1 offsite +no /)

    const planned = await stage.on(['copy', '--dry-run'])
    expect(planned.stdout).toMatch(/^uploads: would copy 1 snapshot from main to third, \d+ blobs of 4\d\d\.\d+ KiB/m)
    expect((await stage.on(['copy', '--dry-run', '-r', 'second'])).stdout).toContain('every repository has')
    const caught = await stage.on(['copy', 'uploads'])
    expect(caught.stdout, caught.stderr).toMatch(/^uploads: copied 1 snapshot from main to third, /m)
    expect((await stage.on(['copy'])).stdout).toBe('every repository has what it should have\n')
    expectWhole(stage, 'third')

    // What was forgotten stays forgotten unless everything is asked for.
    const snapshots = JSON.parse((await stage.on(['-r', 'third', 'snapshots', '--json'])).stdout)
    const oldest = snapshots.find(({ tags }: { tags: string[] }) => tags.includes('kind=backup'))
    expect((await stage.on(['-r', 'third', 'forget', oldest.id])).exitCode).toBe(0)
    expect(summaryOf((await stage.on(['copy', '--json'])).stdout)).toMatchObject({ copied_snapshots: 0, failed: [] })
    expect(summaryOf((await stage.on(['copy', '--all', '--json'])).stdout)).toMatchObject({ copied_snapshots: 1 })
    expectWhole(stage, 'third')
  })

  test('refuse what they cannot mean', async () => {
    using stage = await copiesStage(['second'], uploads)
    expect(await stage.on(['copy', 'uplods'])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('did you mean uploads?'),
    })
    expect((await stage.on(['copy', '--tag', 'x'])).stderr).toContain('--tag goes with --from-repo')
    expect((await stage.on(['copy', '-r', stage.path('elsewhere')])).stderr).toContain('no source repository was given')
    expect((await stage.on(['copy', '--from-repo', 'main', '-r', 'second', '--all'])).stderr).toContain('--all goes')
  })

  test('say so when one cuts at other places', async () => {
    using stage = await copiesStage([], uploads)
    const other = stage.path('other')
    writeFileSync(stage.path('password-other'), 'secret of other', { mode: 0o600 })
    const made = await stage.run(['-r', other, 'init', '--password-file', stage.path('password-other')])
    expect(made.exitCode, made.stderr).toBe(0)
    stage.change('other', { url: other, password: `file:${stage.path('password-other')}` })
    expect((await stage.on(['init'])).stderr).toContain('repository other cuts files at other places')
    const run = await stage.on(['backup:run', '--all', '--verify', 'none'])
    expect(run.exitCode, run.stderr).toBe(0)
    expect(run.stdout).toContain('uploads: read once more and written to other: ')
  })
})
