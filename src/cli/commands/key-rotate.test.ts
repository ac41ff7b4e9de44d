import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { type KmsServer, startKms } from '../../../test/support/servers/kms.ts'
import { PASSWORD } from '../../../test/support/test-repository.ts'
import { systemClock } from '../../lib/clock.ts'

/** Writes a configuration of the repository of the stage, and returns what makes command lines use it. */
function configure(stage: OurStage, repository: object): Record<string, string> {
  const main = { url: stage.path('repository'), ...repository }
  writeFileSync(stage.path('holdfast.yaml'), JSON.stringify({ version: 1, repositories: { main } }))
  return { HOLDFAST_CONFIG: stage.path('holdfast.yaml'), HOLDFAST_REPOSITORY: '', HOLDFAST_PASSWORD: '' }
}

async function newIdentity(stage: OurStage, name = 'identity'): Promise<string> {
  const { generateX25519Identity } = await import('age-encryption')
  writeFileSync(stage.path(name), `${await generateX25519Identity()}\n`, { mode: 0o600 })
  return `file:${stage.path(name)}`
}

const keyFiles = (stage: OurStage): readonly string[] => readdirSync(stage.path('repository', 'keys'))

test('a repository that opened by a password opens by keys only afterwards (S2-56)', async () => {
  using stage = await ourStage()
  const environment = configure(stage, { keys: [{ age: await newIdentity(stage) }] })
  writeFileSync(stage.path('password'), PASSWORD, { mode: 0o600 })
  const refused = await stage.run(['snapshots'], { environment })
  expect(refused.exitCode).toBe(13)
  expect(refused.stderr).toContain('open it with its password, then run: holdfast key rotate')
  await stage.must(['key', 'rotate', '--password-file', stage.path('password')], { environment })
  expect(keyFiles(stage)).toHaveLength(1)
  expect((await stage.run(['snapshots'], { environment })).stderr).toBe('')
  expect((await stage.run(['snapshots'])).exitCode).toBe(12)
  const before = keyFiles(stage)
  const [message] = await stage.json(['key', 'rotate'], { environment })
  expect(message).toEqual({ message_type: 'key_rotated', id: keyFiles(stage)[0], removed: before, resumed: false })
})

test('a password that the configuration names stays what it is', async () => {
  using stage = await ourStage()
  writeFileSync(stage.path('password'), PASSWORD, { mode: 0o600 })
  const password = `file:${stage.path('password')}`
  const environment = configure(stage, { password, keys: [{ age: await newIdentity(stage) }] })
  await stage.must(['key', 'rotate'], { environment })
  expect((await stage.run(['snapshots'], { environment })).stderr).toBe('')
  expect((await stage.run(['snapshots'])).exitCode).toBe(0)
})

test('without keys the password is changed, and saying it twice does no harm', async () => {
  using stage = await ourStage()
  writeFileSync(stage.path('new'), 'another one', { mode: 0o600 })
  const rotate = ['key', 'rotate', '--new-password-file', stage.path('new')]
  expect(await stage.must(rotate)).toMatch(/^key [0-9a-f]{8} opens the repository; removed [0-9a-f]{8}\n$/)
  expect(await stage.must(rotate)).toMatch(/^finished the rotation that was begun before\nkey [0-9a-f]{8} opens/)
  expect((await stage.run(['snapshots'])).exitCode).toBe(12)
  const wrong = await stage.run(['key', 'rotate', '--new-password-file', stage.path('new')], {
    environment: { HOLDFAST_PASSWORD: 'x' },
  })
  expect(wrong.exitCode).toBe(0)
  writeFileSync(stage.path('new'), 'never set')
  expect((await stage.run(rotate)).exitCode).toBe(12)
})

test('the doctor tells the age of key files without any password', async () => {
  using stage = await ourStage()
  const day = 24n * 60n * 60n * 1_000_000_000n
  const clock = { ...systemClock, now: () => systemClock.now() + 100n * day }
  const old = await stage.run(['key', 'doctor'], { clock, environment: { HOLDFAST_PASSWORD: '' } })
  expect(old.exitCode).toBe(14)
  expect(old.stdout).toMatch(/^key [0-9a-f]{8} 100 days old, more than 90 \(password\)\n$/)
  expect((await stage.run(['key', 'doctor', '--max-age', '100'], { clock })).exitCode).toBe(0)
  const nowhere = await stage.run(['key', 'doctor', '-r', stage.path('nowhere')])
  expect(nowhere.exitCode).toBe(10)
})

describe.skipIf(lacks('moto'))('with AWS KMS', () => {
  let server: KmsServer
  beforeAll(async () => {
    server = await startKms()
  }, 60_000)
  afterAll(() => server.stop())
  beforeEach(() => server.faults.clear())

  test('a key that is lost is reported by the doctor within a minute, with what still works (S4-59)', async () => {
    using stage = await ourStage()
    const arn = await server.createKey()
    const keys = [{ kms: arn }, { age: await newIdentity(stage) }]
    const environment = { ...configure(stage, { keys }), ...server.environment }
    writeFileSync(stage.path('password'), PASSWORD, { mode: 0o600 })
    await stage.must(['key', 'rotate', '--password-file', stage.path('password')], { environment })
    expect(await stage.must(['key', 'doctor'], { environment })).toContain(`works        kms ${arn}\n`)
    expect((await stage.run(['snapshots'], { environment })).stderr).toBe('')

    for (const error of ['AccessDeniedException', 'DisabledException']) {
      server.faults.clear()
      server.faults.fail({ error })
      const { exitCode, stdout, stderr } = await stage.run(['key', 'doctor'], { environment })
      expect(exitCode).toBe(13)
      expect(stdout).toMatch(/^fails +kms arn/m)
      expect(stdout).toMatch(/^works +age file:/m)
      expect(stderr).toContain('1 of 2 keys cannot be used')
      expect(stderr).toContain('what still opens the repository: age file:')
      const used = await stage.run(['snapshots'], { environment })
      expect(used.exitCode).toBe(0)
      expect(used.stderr).toContain('; the repository was opened by age file:')
    }
    server.faults.clear()
    server.faults.fail('stall')
    const started = systemClock.now()
    const silent = await stage.run(['key', 'doctor'], { environment })
    expect(silent.exitCode).toBe(13)
    expect(silent.stdout).toContain(`fails        kms ${arn}: the key service cannot be reached (ETIMEDOUT)`)
    expect(Number(systemClock.now() - started) / 1e9).toBeLessThan(40)
    server.faults.clear()
    server.faults.fail('reset')
    rmSync(stage.path('identity'))
    const lost = await stage.run(['snapshots'], { environment })
    expect(lost.exitCode).toBe(13)
    expect(lost.stderr).toContain('no key opens the repository')
  })

  test('rotates to another key of KMS by ReEncrypt, and refuses to while one of them is down', async () => {
    using stage = await ourStage()
    const [first, second] = [await server.createKey(), await server.createKey()]
    writeFileSync(stage.path('password'), PASSWORD, { mode: 0o600 })
    const old = { ...configure(stage, { keys: [{ kms: first }] }), ...server.environment }
    await stage.must(['key', 'rotate', '--password-file', stage.path('password')], { environment: old })
    const environment = { ...configure(stage, { keys: [{ kms: first }, { kms: second }] }), ...server.environment }
    server.faults.failKey(second, { error: 'DisabledException' })
    const before = keyFiles(stage)
    const refused = await stage.run(['key', 'rotate'], { environment })
    expect(refused.exitCode).toBe(13)
    expect(refused.stderr).toContain(`kms ${second}: the key is disabled`)
    expect(keyFiles(stage)).toEqual(before)
    server.faults.clear()
    const asked = server.faults.calls.length
    await stage.must(['key', 'rotate'], { environment })
    expect(server.faults.calls.slice(asked).filter((name) => name === 'ReEncrypt')).toHaveLength(2)
    const only = { ...configure(stage, { keys: [{ kms: second }] }), ...server.environment }
    expect((await stage.run(['snapshots'], { environment: only })).stderr).toBe('')
  })
})
