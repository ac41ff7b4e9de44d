import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'
import { TypedInput } from '../../../test/support/stage.ts'
import { PASSWORD } from '../../../test/support/test-repository.ts'

/** Nothing but the configuration says where a repository is. */
function configure(stage: OurStage, repositories: Readonly<Record<string, object>> = {}): Record<string, string> {
  const password = stage.path('password')
  writeFileSync(password, `${PASSWORD}\n`, { mode: 0o600 })
  const reference = `file:${password}`
  const all = Object.entries({ main: { url: stage.path('repository') }, ...repositories })
  writeFileSync(
    stage.path('holdfast.yaml'),
    JSON.stringify({
      version: 1,
      repositories: Object.fromEntries(all.map(([name, own]) => [name, { password: reference, ...own }])),
    }),
  )
  return { HOLDFAST_REPOSITORY: '', HOLDFAST_PASSWORD: '', HOLDFAST_CONFIG: stage.path('holdfast.yaml') }
}

describe('a repository command', () => {
  test('takes a name of the configuration, with its password', async () => {
    using stage = await ourStage()
    const environment = configure(stage, { second: { url: stage.path('second') } })
    await stage.backUp('file', 'content')
    expect(await stage.must(['-r', 'main', 'snapshots'], { environment })).toContain('/file')
    const others = { ...environment, HOLDFAST_CONFIG: '' }
    const byFile = ['-r', 'main', 'snapshots', '--config', stage.path('holdfast.yaml')]
    expect(await stage.must(byFile, { environment: others })).toContain('/file')
    expect(await stage.run([...byFile.slice(0, -1), stage.path('none')], { environment: others })).toMatchObject({
      stderr: expect.stringContaining('there is no configuration file'),
    })
    const named = { ...environment, HOLDFAST_REPOSITORY: 'main' }
    expect(await stage.must(['snapshots'], { environment: named })).toContain('/file')
    const made = await stage.must(['-r', 'second', 'init'], { environment })
    expect(made).toMatch(/created restic repository .*second \(second\)/)
    await expect(stage.run(['-r', 'second', 'init'], { environment })).resolves.toMatchObject({ exitCode: 1 })
    await stage.must(['-r', 'second', 'copy', '--from-repo', 'main'], { environment })
    expect(await stage.must(['-r', 'second', 'snapshots'], { environment })).toContain('/file')
  })

  test('takes the only repository of the configuration when none is named, and asks which of several', async () => {
    using stage = await ourStage()
    await stage.backUp('file', 'content')
    const environment = configure(stage)
    expect(await stage.must(['snapshots'], { environment })).toContain('/file')
    configure(stage, { second: { url: stage.path('second') } })
    const { exitCode, stderr } = await stage.run(['snapshots'], { environment })
    expect(exitCode).toBe(1)
    expect(stderr).toContain('2 are configured')
    expect(stderr).toContain('name one with --repo: main, second')
    const variables = { HOLDFAST_REPOSITORY: stage.path('repository'), HOLDFAST_PASSWORD: PASSWORD }
    expect(await stage.must(['snapshots'], { environment: { ...environment, ...variables } })).toContain('/file')
    const restic = { RESTIC_REPOSITORY: stage.path('repository'), RESTIC_PASSWORD: PASSWORD }
    expect(await stage.must(['snapshots'], { environment: { ...environment, ...restic } })).toContain('/file')
  })

  test('never reads the configuration when it is given a location', async () => {
    using stage = await ourStage()
    const environment = { ...configure(stage), HOLDFAST_PASSWORD: PASSWORD }
    writeFileSync(stage.path('holdfast.yaml'), 'no: [configuration')
    for (const location of [stage.path('repository'), `local:${stage.path('repository')}`])
      await stage.must(['-r', location, 'snapshots'], { environment })
    // What was set for restic means what it means to restic.
    const restic = { ...environment, RESTIC_REPOSITORY: 'main' }
    expect(await stage.run(['snapshots'], { environment: restic })).toMatchObject({ exitCode: 10 })
    const { exitCode, stderr } = await stage.run(['-r', 'main', 'snapshots'], { environment })
    expect(exitCode).not.toBe(0)
    expect(stderr).toContain('holdfast.yaml:1')
  })

  test('takes one word that is not configured for a folder', async () => {
    using stage = await ourStage()
    const environment: Record<string, string> = { ...configure(stage), HOLDFAST_PASSWORD: PASSWORD }
    expect(await stage.run(['-r', 'no-such-name', 'snapshots'], { environment })).toMatchObject({ exitCode: 10 })
    // Variables of the product define no repository, and keep no folder from being named.
    const { HOLDFAST_CONFIG: _, ...rest } = environment
    const product = { ...rest, DB_HOST: 'db' }
    expect(await stage.run(['-r', 'no-such-name', 'snapshots'], { environment: product })).toMatchObject({
      exitCode: 10,
    })
  })

  test('refuses a name that is a folder here as well, and shows both readings', async () => {
    using stage = await ourStage()
    const environment = configure(stage, { docs: { url: stage.path('repository') } })
    expect(existsSync('docs')).toBe(true)
    const { exitCode, stderr } = await stage.run(['-r', 'docs', 'snapshots'], { environment })
    expect(exitCode).toBe(1)
    expect(stderr).toContain('"docs" is a repository of')
    expect(stderr).toContain(`write ./docs for the folder, or ${stage.path('repository')} for the configured`)
    // Both readings come to the same place.
    configure(stage, { docs: { url: resolve('docs') } })
    expect(await stage.run(['-r', 'docs', 'snapshots'], { environment })).toMatchObject({ exitCode: 10 })
  })

  test('lets the command line say another password', async () => {
    using stage = await ourStage()
    const environment = configure(stage)
    writeFileSync(stage.path('wrong'), 'wrong', { mode: 0o600 })
    const typed = ['-r', 'main', '-p', stage.path('wrong'), 'snapshots']
    expect(await stage.run(typed, { environment })).toMatchObject({ exitCode: 12 })
    // One of a variable belongs to the repository of variables.
    const other = { ...environment, HOLDFAST_PASSWORD: 'wrong' }
    await stage.must(['-r', 'main', 'snapshots'], { environment: other })
    // Nor is one asked for, which standard input could not hold beside the data.
    const stdin = new TypedInput()
    stdin.end('data')
    await stage.must(['-r', 'main', 'backup', '--stdin'], { environment, stdin })
  })

  test('reads no password that others can read (S2-55)', async () => {
    using stage = await ourStage()
    const environment = configure(stage)
    chmodSync(stage.path('password'), 0o644)
    const { exitCode, stderr } = await stage.run(['-r', 'main', 'snapshots'], { environment })
    expect(exitCode).toBe(1)
    expect(stderr).toContain(`chmod 600 ${stage.path('password')}`)
  })

  test('does not use a folder that ought to be a mounted disk (S4-10)', async () => {
    using stage = await ourStage()
    mkdirSync(stage.path('disk'))
    const environment = configure(stage, { disk: { url: stage.path('disk'), mount: true } })
    for (const command of ['init', 'snapshots']) {
      const { exitCode, stderr } = await stage.run(['-r', 'disk', command], { environment })
      expect(exitCode).toBe(1)
      expect(stderr).toContain('same file system')
    }
    expect(existsSync(stage.path('disk', 'config'))).toBe(false)
  })
})
