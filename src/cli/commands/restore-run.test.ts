import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { configure as configureStage, folder } from '../../../test/support/configured-stage.ts'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'

const configure = (stage: OurStage, sources: object): string =>
  configureStage(stage, sources, { defaults: { verify: 'none' } })

describe('restore:run', () => {
  test('says what it will do, does it, and goes to a new folder unless told otherwise', async () => {
    using stage = await ourStage()
    const uploads = folder(stage, 'uploads')
    const config = configure(stage, { uploads: { type: 'files', paths: [uploads] } })
    await stage.must(['backup:run', '--all', '--config', config])
    const environment = { HOLDFAST_SANDBOX_DIR: stage.path('sandboxes') }
    const rehearsed = await stage.must(['restore:run', 'uploads', '--dry-run', '--config', config], { environment })
    expect(rehearsed).toMatch(
      /^uploads: snapshot [0-9a-f]{8} of .*, to \S*sandboxes\/uploads-[0-9a-f]{8}-\d{8}T\d{6}$/m,
    )
    expect(rehearsed).toMatch(/^ {2}room: \S+ B at most, \S+ [KMGT]iB are free there$/m)
    expect(existsSync(stage.path('sandboxes'))).toBe(false)
    const text = await stage.must(['restore:run', 'uploads', '--config', config], { environment })
    expect(text).toMatch(/^uploads: restored to /m)
    // Servers of other users are started below it.
    expect(statSync(stage.path('sandboxes')).mode & 0o011).toBe(0o011)
    const [sandbox] = readdirSync(stage.path('sandboxes'))
    expect(readFileSync(`${stage.path('sandboxes', sandbox!)}${uploads}/file`, 'utf8')).toBe('content of uploads')
  })

  test('restores what was there at a time, of one source or of all', async () => {
    using stage = await ourStage()
    const uploads = folder(stage, 'uploads')
    const config = configure(stage, {
      uploads: { type: 'files', paths: [uploads] },
      etc: { type: 'files', paths: [folder(stage, 'etc')] },
    })
    await stage.must(['backup:run', '--all', '--config', config])
    const [[first]] = (await stage.json<{ id: string; time: string }[]>(['snapshots', '--tag', 'source=uploads'])) as [
      { id: string; time: string }[],
    ]
    writeFileSync(`${uploads}/file`, 'changed since')
    await stage.must(['backup:run', 'uploads', '--config', config])
    const restored = async (target: string, ...args: readonly string[]): Promise<string> => {
      await stage.must(['restore:run', ...args, '--to', stage.path(target), '--config', config])
      const base = args.includes('--all') ? stage.path(target, 'uploads') : stage.path(target)
      return readFileSync(`${base}${uploads}/file`, 'utf8')
    }
    expect(await restored('a', 'uploads')).toBe('changed since')
    expect(await restored('b', 'uploads', '--at', first!.id.slice(0, 10))).toBe('content of uploads')
    expect(await restored('c', '--all')).toBe('changed since')
    expect(readFileSync(`${stage.path('c', 'etc')}${stage.path('etc')}/file`, 'utf8')).toBe('content of etc')
    expect(await restored('d', 'uploads', '--at', '2999-01-01')).toBe('changed since')
    const tooEarly = await stage.run(['restore:run', 'uploads', '--at', '2001-01-01', '--config', config])
    expect(tooEarly).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('the oldest is from') })
  })

  test('leaves what is in the target alone unless it is told to overwrite', async () => {
    using stage = await ourStage()
    const uploads = folder(stage, 'uploads')
    const config = configure(stage, { uploads: { type: 'files', paths: [uploads] } })
    await stage.must(['backup:run', '--all', '--config', config])
    const target = stage.path('target')
    mkdirSync(`${target}${uploads}`, { recursive: true })
    writeFileSync(`${target}${uploads}/file`, 'precious')
    const restore = ['restore:run', 'uploads', '--to', target, '--config', config]
    const dry = await stage.run([...restore, '--dry-run'])
    const refused = await stage.run(restore)
    for (const { exitCode, stderr } of [dry, refused]) {
      expect(exitCode).toBe(1)
      expect(stderr).toContain('uploads: ')
    }
    expect(readFileSync(`${target}${uploads}/file`, 'utf8')).toBe('precious')
    await stage.must([...restore, '--overwrite'])
    expect(readFileSync(`${target}${uploads}/file`, 'utf8')).toBe('content of uploads')
  })

  test('refuses what it cannot mean', async () => {
    using stage = await ourStage()
    const config = configure(stage, {
      uploads: { type: 'files', paths: [folder(stage, 'uploads')] },
      etc: { type: 'files', paths: [folder(stage, 'etc')] },
    })
    const outcome = (...args: readonly string[]) => stage.run(['restore:run', ...args, '--config', config])
    expect(await outcome()).toMatchObject({ exitCode: 2 })
    expect(await outcome('--all', '--to', 'redis://127.0.0.1:1')).toMatchObject({ exitCode: 2 })
    expect(await outcome('--all', '--at', 'abcd1234')).toMatchObject({ exitCode: 2 })
    expect(await outcome('uploads', '--rename', 'nothing')).toMatchObject({ exitCode: 2 })
    expect(await outcome('uploads', '--at', 'yesterday')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('2026-11-20'),
    })
    await stage.must(['backup:run', '--all', '--config', config])
    expect(await outcome('uploads', '--to', 'redis://u:secret@127.0.0.1:1')).toMatchObject({
      exitCode: 1,
      stderr: expect.not.stringContaining('secret'),
    })
  })
})
