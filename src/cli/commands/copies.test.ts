import { spawnSync } from 'node:child_process'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { folder } from '../../../test/support/configured-stage.ts'
import { type CopiesStage, copiesStage } from '../../../test/support/copies-stage.ts'
import { packsOf } from '../../../test/support/pack-paths.ts'
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
  test('are made to cut alike, written from one reading, and proved one by one', async () => {
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
  })

  test('go on without one that is away, which catches up', async () => {
    using stage = await copiesStage(['second', 'third'], uploads)
    expect((await stage.on(['backup:run', '--all', '--verify', 'none'])).exitCode).toBe(0)
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
    expect(behind).toMatch(/uploads +third +local disk \d+ +\S+ \S+ +1 +yes +no +no/)
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

  test('S3-55: take nothing of a source that may not lie there, by no way', async () => {
    let kept: Readonly<Record<string, object>> = {}
    using stage = await copiesStage(['second'], (one) => {
      kept = {
        kept: { type: 'files', paths: [folder(one as never, 'kept')], location: 'eu', hooks: { pre: [['false']] } },
      }
      return { ...uploads(one), ...kept }
    })
    const forbidden = 'snapshots of kept may lie only in eu, and second does not say where it lies'
    // With no place left nothing is begun: its hook would fail otherwise.
    const nowhere = await stage.on(['backup:run', '--all', '--verify', 'none'])
    expect(nowhere.exitCode).toBe(1)
    expect(nowhere.stderr).toContain('snapshots of kept may lie only in eu, and main does not say where it lies')
    expect(nowhere.stderr).toContain('1 of 2 sources failed: kept')
    expect(nowhere.stderr).not.toContain('pre hook')

    stage.change('main', { location: 'eu-central-1' })
    const value = JSON.parse(readFileSync(stage.config, 'utf8'))
    value.sources.kept.hooks = undefined
    writeFileSync(stage.config, JSON.stringify(value))
    const run = await stage.on(['backup:run', '--all', '--verify', 'none'])
    expect(run.exitCode).toBe(1)
    expect(run.stdout).toContain(forbidden)
    expect(run.stderr).toContain('not every repository has all it should have: kept in second')
    const copied = await stage.on(['copy'])
    expect(copied.exitCode).toBe(1)
    expect(copied.stderr).toContain(`kept: not brought to second: ${forbidden}`)
    const archived = await stage.on(['backup:archive', '--older-than', '0d', '--to', 'second'])
    expect(archived).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(forbidden) })
    const sourcesIn = async (name: string): Promise<string[]> =>
      JSON.parse((await stage.on(['-r', name, 'snapshots', '--json'])).stdout).flatMap(({ tags }: { tags: string[] }) =>
        tags.filter((tag) => tag.startsWith('source=')),
      )
    expect(await sourcesIn('main')).toContain('source=kept')
    expect(await sourcesIn('second')).not.toContain('source=kept')
    expect((await stage.on(['copy:list'])).stdout).toContain(forbidden)

    stage.change('second', { location: 'us-east-1' })
    expect((await stage.on(['copy'])).stderr).toContain('may lie only in eu, and second lies in us-east-1')
    stage.change('second', { location: 'eu' })
    expect((await stage.on(['copy'])).exitCode).toBe(0)
    expect(await sourcesIn('second')).toContain('source=kept')
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

  test('restore from the copy that is whole when another is damaged, and say so', async () => {
    using stage = await copiesStage(['second'], uploads)
    writeFileSync(stage.path('uploads', 'large'), noise(1, 3_000_000))
    expect((await stage.on(['backup:run', '--all', '--verify', 'none'])).exitCode).toBe(0)
    // The largest of main: the sample that is read of each copy comes from its beginning.
    const [pack] = packsOf(stage.path('repository')).sort((a, b) => b.sizeBytes - a.sizeBytes)
    pack!.flip(2_000_000)
    const target = stage.path('restored')
    const only = await stage.on(['restore:run', 'uploads', '--to', stage.path('half'), '--repository', 'main'])
    expect(only.exitCode).not.toBe(0)
    const restored = await stage.on(['restore:run', 'uploads', '--to', target])
    expect(restored.stdout).toMatch(/copies, the best first: \w+ \(on this machine, .*\/s\), \w+ \(on this machine, /)
    expect(restored.exitCode, restored.stderr).toBe(0)
    expect(readFileSync(`${target}${stage.path('uploads', 'large')}`).equals(noise(1, 3_000_000))).toBe(true)
    if (restored.stdout.includes('best first: main'))
      expect(restored.stderr).toMatch(/the copy in main failed \(.*\); going on with second/)
    // A copy that is known to be damaged is not even tried.
    expect((await stage.on(['verify:run', 'uploads', '--repository', 'main'])).exitCode).toBe(4)
    const planned = await stage.on(['restore:run', 'uploads', '--to', stage.path('again'), '--dry-run'])
    expect(planned.stdout).toMatch(/best first: second \(.*\), main \(its verification failed at checksum\)/)
  })
})
