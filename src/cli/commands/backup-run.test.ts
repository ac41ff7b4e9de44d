import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { configure, folder } from '../../../test/support/configured-stage.ts'
import { ourStage } from '../../../test/support/our-stage.ts'
import { PASSWORD } from '../../../test/support/test-repository.ts'

describe('backup:run', () => {
  test('backs up all configured sources, says what came of each, and what was backed up comes back', async () => {
    using stage = await ourStage()
    const config = configure(stage, {
      uploads: { type: 'files', paths: [folder(stage, 'uploads')], exclude: ['*.tmp'] },
      etc: { type: 'files', paths: [folder(stage, 'etc')] },
    })
    writeFileSync(stage.path('uploads', 'left out.tmp'), 'x')
    const text = await stage.must(['backup:run', '--all', '--config', config])
    expect(text).toMatch(/^uploads: backed up \(full: there is no earlier snapshot.*snapshot [0-9a-f]{8}$/m)
    expect(text).toMatch(/^etc: backed up/m)
    const messages = await stage.json(['backup', 'run', 'uploads', '--config', config])
    const result = messages.find(({ message_type }) => message_type === 'source_result')!
    expect(result).toMatchObject({ source: 'uploads', outcome: 'complete', backup_type: 'incremental', errors: 0 })
    expect(messages.at(-1)).toMatchObject({ message_type: 'summary', outcome: 'complete' })
    await stage.must(['restore', result.snapshot_id as string, '--target', stage.path('restored')])
    expect(readFileSync(stage.path('restored') + stage.path('uploads', 'file'), 'utf8')).toBe('content of uploads')
    expect(existsSync(stage.path('restored') + stage.path('uploads', 'left out.tmp'))).toBe(false)
    await stage.must(['check', '--read-data'])
  })

  test('goes on when a source fails, and the exit code says so', async () => {
    using stage = await ourStage()
    const there = folder(stage, 'there')
    const config = configure(stage, {
      gone: { type: 'files', paths: [stage.path('gone')] },
      half: { type: 'files', paths: [there, stage.path('gone')] },
      whole: { type: 'files', paths: [there] },
    })
    const all = await stage.run(['backup:run', '--all', '--config', config])
    expect(all.exitCode).toBe(1)
    expect(all.stderr).toContain('1 of 3 sources failed: gone')
    expect(all.stdout).toContain('whole: backed up')
    const incomplete = await stage.run(['backup:run', 'half', '--config', config])
    expect(incomplete.exitCode).toBe(3)
    expect(incomplete.stdout).toContain('half: incomplete')
  })

  test('refuses what it cannot mean, with exit code 2 and a hint', async () => {
    using stage = await ourStage()
    const config = configure(stage, { uploads: { type: 'files', paths: ['/srv'] } })
    const outcome = (...args: readonly string[]) => stage.run(['backup:run', ...args, '--config', config])
    expect(await outcome('uplods')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('did you mean uploads?'),
    })
    expect(await outcome()).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--all') })
    expect(await outcome('uploads', '--all')).toMatchObject({ exitCode: 2 })
    writeFileSync(config, readFileSync(config, 'utf8').replace('"paths"', '"path"'))
    const wrong = await outcome('--all')
    expect(wrong).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(/holdfast\.yaml:\d+:\d+: .*"path"/) })
  })

  test('reads no password that others can read (S2-55)', async () => {
    using stage = await ourStage()
    const config = configure(stage, { uploads: { type: 'files', paths: [folder(stage, 'uploads')] } })
    chmodSync(stage.path('password'), 0o644)
    const { exitCode, stderr } = await stage.run(['backup:run', '--all', '--config', config])
    expect(exitCode).toBe(1)
    expect(stderr).toContain(`chmod 600 ${stage.path('password')}`)
  })

  test('proves what it made as far as is configured, without reading again what is proved', async () => {
    using stage = await ourStage()
    const uploads = folder(stage, 'uploads')
    const paths = { type: 'files', paths: [uploads] }
    const config = configure(stage, { seen: { ...paths, verify: 'structure' }, unseen: { ...paths, verify: 'none' } })
    const first = await stage.must(['backup:run', '--all', '--config', config])
    expect(first).toMatch(/^seen: proved: structure, /m)
    expect(first).not.toMatch(/^unseen: .*proved/m)
    writeFileSync(`${uploads}/more`, 'more')
    const later = await stage.must(['backup:run', 'seen', '--verify', 'checksum', '--config', config])
    expect(later).toMatch(/checksums: \d+ packs, .*; \d+ more when snapshot [0-9a-f]{8} was verified/)
    expect(await stage.must(['snapshots'])).toMatch(/source=unseen.* not verified$/m)
  })

  test('does not write to a folder that ought to be a mounted disk (S4-10)', async () => {
    using stage = await ourStage()
    const config = configure(stage, { uploads: { type: 'files', paths: [folder(stage, 'uploads')] } })
    writeFileSync(config, readFileSync(config, 'utf8').replace('"url"', '"mount": true, "url"'))
    const { exitCode, stderr } = await stage.run(['backup:run', '--all', '--config', config])
    expect(exitCode).toBe(1)
    expect(stderr).toContain('same file system')
  })
})

describe('init without a repository', () => {
  test('makes those of the configuration that are not there yet', async () => {
    using stage = await ourStage()
    const config = configure(stage, {})
    const { repositories, ...rest } = JSON.parse(readFileSync(config, 'utf8'))
    const second = { ...repositories.main, url: stage.path('second') }
    writeFileSync(config, JSON.stringify({ ...rest, repositories: { ...repositories, second } }))
    const environment = { HOLDFAST_REPOSITORY: '', HOLDFAST_PASSWORD: '', HOLDFAST_CONFIG: config }
    const text = await stage.must(['init'], { environment })
    expect(text).toContain('repository main is there already')
    expect(text).toMatch(/created restic repository [0-9a-f]{10} at .*second \(second\)/)
    expect(await stage.must(['init'], { environment })).not.toContain('created')
    const others = { ...environment, HOLDFAST_CONFIG: '' }
    expect(await stage.must(['init', '--config', config], { environment: others })).not.toContain('created')
    await stage.must(['-r', stage.path('second'), 'check'], { environment: { HOLDFAST_PASSWORD: PASSWORD } })
  })
})

describe('what is configured', () => {
  test('is listed, examined and shown with the origin of each value', async () => {
    using stage = await ourStage()
    const config = configure(stage, {
      uploads: { type: 'files', paths: [folder(stage, 'uploads')] },
      gone: { type: 'files', paths: [stage.path('gone')] },
    })
    const at = ['--config', config]
    expect(await stage.must(['source:list', ...at])).toMatch(/uploads +files +main/)
    expect(await stage.must(['source:test', 'uploads', ...at])).toContain('1 of 1 there')
    const doctor = await stage.run(['source:doctor', ...at])
    expect(doctor.exitCode).toBe(1)
    expect(doctor.stdout).toContain(
      `gone: error: ${stage.path('gone')} does not exist\n  mkdir -p ${stage.path('gone')}`,
    )
    expect(await stage.must(['config:check', ...at])).toContain('1 repository, 2 sources')
    const shown = await stage.must(['config:show', ...at])
    expect(shown).toMatch(/repositories\.main\.password +"file:.*password" +.*holdfast\.yaml:\d+:\d+/)
    expect(shown).not.toContain(PASSWORD)
    const [schema] = [JSON.parse(await stage.must(['config:show', '--schema']))]
    expect(JSON.stringify(schema)).toContain('oneFileSystem')
  })
})
