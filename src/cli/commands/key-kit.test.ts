import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ourStage } from '../../../test/support/our-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { play } from '../../../test/support/stage.ts'
import { PASSWORD, restic } from '../../../test/support/test-repository.ts'

test.skipIf(lacks('restic'))('a kit restores on a blank machine, with restic as well (S2-57)', async () => {
  using stage = await ourStage()
  await stage.backUp('file', 'what was backed up')
  mkdirSync(stage.path('stick'))
  const [made] = await stage.json(['key', 'export', '--output', stage.path('stick'), '--shares', '3', '--needed', '2'])
  const files = made!.files as string[]
  expect(files.map((file) => statSync(file).mode & 0o777)).toEqual([0o600, 0o600, 0o600])
  expect(files.map((file) => readFileSync(file, 'utf8')).join()).not.toContain(PASSWORD)

  // Nothing is known there but two pages.
  mkdirSync(stage.path('blank'))
  const blank = { environment: { HOME: stage.path('blank'), XDG_CACHE_HOME: stage.path('blank', 'cache') } }
  const imported = await play(
    ['key', 'import', '--output', stage.path('blank', 'password'), files[2]!, files[0]!],
    blank,
  )
  expect(imported.stderr).not.toContain('Warning')
  expect(imported.exitCode).toBe(0)
  expect(imported.stdout).toContain(`at ${stage.path('repository')}: 1 snapshots`)
  const password = stage.path('blank', 'password')
  expect(statSync(password).mode & 0o777).toBe(0o600)
  const dumped = await play(
    ['-r', stage.path('repository'), '--password-file', password, 'dump', 'latest', 'file'],
    blank,
  )
  expect(dumped.stdout).toBe('what was backed up')
  const stock = restic(stage.path('repository'), '--password-file', password, 'dump', 'latest', 'file')
  expect(stock.stdout).toBe('what was backed up')

  // Rotations leave it, "key remove" does not.
  expect(await stage.must(['key', 'list'])).toContain(`kit ${made!.kit}`)
  const again = ['key', 'import', files[0]!, files[1]!, '-r', stage.path('repository')]
  writeFileSync(stage.path('new'), 'another password', { mode: 0o600 })
  await stage.must(['key', 'rotate', '--new-password-file', stage.path('new')])
  expect((await play(again, blank)).exitCode).toBe(0)
  await stage.must(['key', 'remove', made!.key_id as string], {
    environment: { HOLDFAST_PASSWORD: 'another password' },
  })
  expect((await play(again, blank)).exitCode).toBe(12)
})

test('a kit that cannot be written leaves no key behind', async () => {
  using stage = await ourStage()
  const before = readdirSync(stage.path('repository', 'keys'))
  writeFileSync(stage.path('passphrase'), 'five words taken by chance', { mode: 0o600 })
  const passphrase = ['--passphrase-file', stage.path('passphrase')]
  const { exitCode, stderr } = await stage.run(['key', 'export', '--output', stage.path('nowhere'), ...passphrase])
  expect(exitCode).toBe(1)
  expect(stderr).toContain('cannot be written: ENOENT')
  expect(readdirSync(stage.path('repository', 'keys'))).toEqual(before)

  mkdirSync(stage.path('stick'))
  const [made] = await stage.json(['key', 'export', '--output', stage.path('stick'), ...passphrase])
  const [file] = made!.files as string[]
  const elsewhere = await stage.run(['key', 'import', file!, ...passphrase, '-r', stage.path('stick')])
  expect(elsewhere.exitCode).toBe(10)
  writeFileSync(stage.path('passphrase'), 'other words')
  const wrong = await stage.run(['key', 'import', file!, ...passphrase])
  expect(wrong.exitCode).toBe(1)
  expect(wrong.stderr).toContain('the passphrase is wrong, or the page is damaged')
})
