import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type OurStage, ourStage } from '../../test/support/our-stage.ts'
import { lacks } from '../../test/support/requirements.ts'
import { PASSWORD, restic } from '../../test/support/test-repository.ts'

/** A repository of the configuration with three snapshots, whose password is sealed for an identity. */
async function keyedStage(): Promise<OurStage & { readonly environment: Record<string, string> }> {
  const stage = await ourStage()
  for (const round of [1, 2, 3]) await stage.backUp('file', `round ${round} `.repeat(1000))
  const { generateX25519Identity } = await import('age-encryption')
  writeFileSync(stage.path('identity'), await generateX25519Identity(), { mode: 0o600 })
  writeFileSync(stage.path('password'), PASSWORD, { mode: 0o600 })
  const text = `version: 1
repositories:
  main:
    url: ${stage.path('repository')} # where it began
    keys: [{ age: "file:${stage.path('identity')}" }]
`
  writeFileSync(stage.path('holdfast.yaml'), text)
  const environment = {
    HOLDFAST_CONFIG: stage.path('holdfast.yaml'),
    HOLDFAST_REPOSITORY: '',
    HOLDFAST_PASSWORD: '',
  }
  await stage.must(['key', 'rotate', '--password-file', stage.path('password')], { environment })
  return { ...stage, environment }
}

const files = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)

test('another master key comes with a new repository, and the old one goes when nothing is missed', {
  timeout: 10 * 60_000,
}, async () => {
  using stage = await keyedStage()
  const { environment } = stage
  const [old, next] = [stage.path('repository'), stage.path('next')]
  const rotate = ['key', 'rotate', '--master', '--to', next]
  const printed = await stage.must(rotate, { environment })
  expect(printed).toContain(`all 3 snapshots are in repository`)
  expect(printed).toContain(`the url of repository main is to be ${next}`)
  expect(readFileSync(stage.path('holdfast.yaml'), 'utf8')).toContain(`url: ${old} # where it began`)

  // Goes on where it was, with what came meanwhile.
  cpSync(stage.path('holdfast.yaml'), stage.path('old.yaml'))
  writeFileSync(stage.path('more'), 'came meanwhile')
  await stage.must(['backup', stage.path('more')], { environment })
  expect(await stage.must([...rotate, '--write'], { environment })).toContain('all 4 snapshots')
  expect(readFileSync(stage.path('holdfast.yaml'), 'utf8')).toContain(`url: ${JSON.stringify(next)} # where it began`)
  expect(await stage.must(['check', '--read-data'], { environment })).toContain('no errors were found')
  const masterOf = async (extra: Record<string, string>): Promise<string> =>
    stage.must(['cat', 'masterkey'], { environment: { ...environment, ...extra } })
  expect(await masterOf({})).not.toBe(await masterOf({ HOLDFAST_CONFIG: stage.path('old.yaml') }))

  // Somebody still uses the old one.
  await stage.must(['backup', stage.path('more')], {
    environment: { ...environment, HOLDFAST_CONFIG: stage.path('old.yaml') },
  })
  const finish = ['key', 'rotate', '--finish', '--from', old]
  const refused = await stage.run(finish, { environment })
  expect(refused.exitCode).toBe(3)
  expect(refused.stderr).toContain(`1 of 5 snapshots at ${old} are not at ${next}`)
  const self = await stage.run(['key', 'rotate', '--finish', '--from', next], { environment })
  expect(self.exitCode).toBe(11)
  writeFileSync(stage.path('holdfast.yaml'), readFileSync(stage.path('old.yaml')))
  await stage.must([...rotate, '--write'], { environment })
  const keys = readdirSync(`${old}/keys`)
  cpSync(old, stage.path('kept'), { recursive: true })
  expect(await stage.must(finish, { environment })).toMatch(/removed the old repository at .*: \d+ files\n$/)
  expect(files(old)).toEqual([])
  // Killed behind its last step, it is run again; but where no folder is, none was.
  expect(await stage.must(finish, { environment })).toBe(`nothing is left of a repository at ${old}\n`)
  const mistyped = ['key', 'rotate', '--finish', '--from', `${old}s`]
  expect((await stage.run(mistyped, { environment })).exitCode).toBe(10)

  // Cut off before its last steps.
  for (const gone of [
    ['data', 'index', 'snapshots'],
    ['data', 'index', 'snapshots', 'keys'],
    ['data', 'index', 'snapshots', 'keys', 'config'],
  ]) {
    rmSync(old, { recursive: true })
    cpSync(stage.path('kept'), old, { recursive: true })
    for (const folder of gone) {
      rmSync(`${old}/${folder}`, { recursive: true })
      if (folder !== 'config') mkdirSync(`${old}/${folder}`)
    }
    if (gone.includes('config')) writeFileSync(`${old}/locks/${'ab'.repeat(32)}`, 'of a process that was killed')
    await stage.must(finish, { environment })
    expect(files(old)).toEqual([])
  }
  // Without its key the rest cannot be told from what is missed.
  rmSync(old, { recursive: true })
  cpSync(stage.path('kept'), old, { recursive: true })
  for (const key of keys) rmSync(`${old}/keys/${key}`)
  expect((await stage.run(finish, { environment })).exitCode).not.toBe(0)
  expect(files(old).length).toBeGreaterThan(5)
})

test.skipIf(lacks('restic'))(
  'works on a repository with a password, and refuses places that hold another',
  async () => {
    using stage = await ourStage()
    await stage.backUp('file', 'content')
    const rotate = (to: string): string[] => ['key', 'rotate', '--master', '--to', to]
    await stage.must(rotate(stage.path('next')))
    expect(restic(stage.path('next'), 'dump', 'latest', 'file').stdout).toBe('content')
    expect((await stage.run([...rotate(stage.path('next')), '--write'])).stderr).toContain('--write needs a repository')
    const same = await stage.run(rotate(stage.path('repository')))
    expect(same.exitCode).toBe(1)
    expect(same.stderr).toContain('is the one whose master key is to be replaced')
    restic(stage.path('foreign'), 'init')
    const foreign = await stage.run(rotate(stage.path('foreign')))
    expect(foreign.stderr).toContain('cuts files otherwise')
    for (const args of [
      ['--master'],
      ['--to', '/x'],
      ['--finish'],
      ['--from', '/x'],
      ['--write'],
      ['--master', '--finish'],
    ])
      expect((await stage.run(['key', 'rotate', ...args])).exitCode).toBe(1)
  },
)
