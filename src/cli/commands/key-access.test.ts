import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'

/** A configuration with a new repository `sealed`, whose keys are an age identity, a passphrase, and a password where one is named. */
async function sealedStage(password?: string): Promise<OurStage & { readonly environment: Record<string, string> }> {
  const stage = await ourStage()
  const { generateX25519Identity } = await import('age-encryption')
  writeFileSync(stage.path('identity'), `${await generateX25519Identity()}\n`, { mode: 0o600 })
  writeFileSync(stage.path('phrase'), 'four words of it\n', { mode: 0o600 })
  if (password !== undefined) writeFileSync(stage.path('password'), `${password}\n`, { mode: 0o600 })
  const sealed = {
    url: stage.path('sealed'),
    ...(password === undefined ? {} : { password: `file:${stage.path('password')}` }),
    keys: [{ age: `file:${stage.path('identity')}` }, { passphrase: `file:${stage.path('phrase')}` }],
  }
  writeFileSync(stage.path('holdfast.yaml'), JSON.stringify({ version: 1, repositories: { sealed } }))
  const environment = { HOLDFAST_CONFIG: stage.path('holdfast.yaml'), HOLDFAST_REPOSITORY: '', HOLDFAST_PASSWORD: '' }
  const note = await stage.must(['init'], { environment })
  expect(note).toContain('Any one of its keys opens it')
  return { ...stage, environment }
}

test('a repository opens by the first of its keys that can, and says which could not', async () => {
  using stage = await sealedStage()
  const { environment } = stage
  const { stdout, stderr } = await stage.run(['key', 'list'], { environment })
  expect(stderr).toBe('')
  expect(stdout).toContain('age, passphrase')
  const [[key]] = (await stage.json<readonly object[]>(['key', 'list'], { environment })) as [[object]]
  expect(key).toMatchObject({ current: true, sealedFor: ['age', 'passphrase'] })

  rmSync(stage.path('identity'))
  const degraded = await stage.run(['snapshots'], { environment })
  expect(degraded.exitCode).toBe(0)
  expect(degraded.stderr).toMatch(
    /^Warning: age file:.*identity does not exist; .* was opened by passphrase file:.*\n$/,
  )

  writeFileSync(stage.path('phrase'), 'other words\n')
  const lost = await stage.run(['snapshots'], { environment })
  expect(lost.exitCode).toBe(13)
  expect(lost.stderr).toContain('identity does not exist; passphrase file:')
  expect(lost.stderr).not.toContain('other words')
})

test('identities that others can read are not used', async () => {
  using stage = await sealedStage()
  rmSync(stage.path('phrase'))
  chmodSync(stage.path('identity'), 0o644)
  const { exitCode, stderr } = await stage.run(['snapshots'], { environment: stage.environment })
  expect(exitCode).toBe(13)
  expect(stderr).toContain('can be read by every user of this machine')
})

test('a password beside the keys opens it when none of them can, and is not what is sealed in clear', async () => {
  using stage = await sealedStage('a password of somebody')
  const { environment } = stage
  for (const name of ['identity', 'phrase']) rmSync(stage.path(name))
  const { exitCode, stderr } = await stage.run(['snapshots'], { environment })
  expect(exitCode).toBe(0)
  expect(stderr).toContain('; trying the password')
  const typed = ['--repo', stage.path('sealed'), '--password-file', stage.path('password')]
  expect((await stage.run([...typed, 'snapshots'])).stderr).toBe('')
  expect(readdirSync(stage.path('sealed', 'keys'))).toHaveLength(1)
})

test('a key that is older than it may be is told of when it is used', async () => {
  using stage = await sealedStage()
  const day = 24n * 60n * 60n * 1_000_000_000n
  const { systemClock } = await import('../../lib/clock.ts')
  const later = (days: bigint): object => ({
    environment: stage.environment,
    clock: { ...systemClock, now: () => systemClock.now() + days * day, sleep: async () => undefined },
  })
  expect((await stage.run(['snapshots', '--no-lock'], later(90n))).stderr).toBe('')
  const { exitCode, stderr } = await stage.run(['snapshots', '--no-lock'], later(91n))
  expect(exitCode).toBe(0)
  expect(stderr).toMatch(/^Warning: key [0-9a-f]{8} is 91 days old, more than 90; run: holdfast key rotate\n$/)
})

test('key doctor goes through all repositories when none is named, and ends with the worst', async () => {
  using stage = await sealedStage()
  const file = stage.environment.HOLDFAST_CONFIG!
  const { repositories } = JSON.parse(readFileSync(file, 'utf8')) as { repositories: { sealed: { url: string } } }
  const second = { ...repositories.sealed, url: stage.path('second') }
  const write = (more: object): void =>
    writeFileSync(file, JSON.stringify({ version: 1, repositories: { ...repositories, second, ...more } }))
  write({})
  const { environment } = stage
  await stage.must(['init'], { environment })
  const text = await stage.must(['key', 'doctor'], { environment })
  expect(text).toMatch(/^repository sealed\nworks .*\nworks .*\nkey .*\nrepository second\nworks /)
  const messages = await stage.json<{ repository: string }>(['key', 'doctor'], { environment })
  expect(messages.map(({ repository }) => repository)).toEqual(['sealed', 'second'])

  write({ third: { ...second, url: stage.path('third') } })
  const away = await stage.run(['key', 'doctor'], { environment })
  expect(away.exitCode).toBe(10)
  expect(away.stderr).toContain('repository third: there is no repository at')
  expect(away.stderr).toContain('1 of 3 repositories have keys that need care: third')

  rmSync(stage.path('phrase'))
  const worst = await stage.run(['key', 'doctor'], { environment })
  expect(worst.exitCode).toBe(13)
  expect(worst.stderr).toContain('3 of 3 repositories have keys that need care: sealed, second, third')
  expect(worst.stdout).toContain('repository second')
  const one = await stage.run(['key', 'doctor', '-r', 'sealed'], { environment })
  expect(one.exitCode).toBe(13)
  expect(one.stdout).not.toContain('second')
})
