import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type OurStage, ourStage } from '../../../test/support/our-stage.ts'
import { lacks } from '../../../test/support/requirements.ts'
import { TypedInput } from '../../../test/support/stage.ts'
import { restic } from '../../../test/support/test-repository.ts'

interface Key {
  readonly current: boolean
  readonly id: string
  readonly userName: string
  readonly hostName: string
  readonly created: string
}

const keysOf = async (stage: OurStage, password?: string): Promise<readonly Key[]> => {
  const parts = password === undefined ? {} : { environment: { HOLDFAST_PASSWORD: password } }
  return (await stage.json<readonly Key[]>(['key', 'list'], parts))[0]!
}

test('a second password opens the repository as well, until its key is removed', async () => {
  using stage = await ourStage()
  writeFileSync(stage.path('second'), 'battery staple\n', { mode: 0o600 })
  const [added] = await stage.json([
    'key',
    'add',
    '--new-password-file',
    stage.path('second'),
    '--user',
    'ann',
    '--host',
    'desk',
  ])
  expect(added).toEqual({ message_type: 'key_added', id: expect.stringMatching(/^[0-9a-f]{64}$/) })
  const id = added!.id as string
  const keys = await keysOf(stage)
  expect(keys).toHaveLength(2)
  expect(keys.find((key) => key.id === id)).toEqual({
    current: false,
    id,
    userName: 'ann',
    hostName: 'desk',
    created: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/),
  })
  expect((await keysOf(stage, 'battery staple')).find(({ current }) => current)!.id).toBe(id)
  if (!lacks('restic')) expect(restic(stage.path('repository'), 'key', 'list').stdout).toContain('ann')

  const current = keys.find((key) => key.current)!.id
  expect(await stage.run(['key', 'remove', current.slice(0, 8)])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('refusing to remove key currently used'),
  })
  expect(await stage.must(['key', 'remove', id.slice(0, 8)])).toBe(`removed key ${id}\n`)
  const refused = await stage.run(['snapshots'], { environment: { HOLDFAST_PASSWORD: 'battery staple' } })
  expect(refused.exitCode).toBe(12)
})

test('a changed password is the only one afterwards', async () => {
  using stage = await ourStage()
  const [old] = await keysOf(stage)
  const stdin = new TypedInput()
  stdin.end('battery staple\n')
  const [message] = await stage.json(['key', 'passwd'], { stdin })
  expect(message).toEqual({ message_type: 'key_replaced', old_id: old!.id, id: expect.any(String) })
  expect(readdirSync(stage.path('repository', 'keys'))).toEqual([message!.id])
  expect((await stage.run(['key', 'list'])).exitCode).toBe(12)
  expect(await keysOf(stage, 'battery staple')).toHaveLength(1)
})

test('a damaged key file is named, and the others are listed', async () => {
  using stage = await ourStage()
  const damaged = 'd'.repeat(64)
  writeFileSync(stage.path('repository', 'keys', damaged), 'rubbish')
  const { exitCode, stdout, stderr } = await stage.run(['key', 'list'])
  expect(exitCode).toBe(1)
  expect(stdout.split('\n').filter((line) => line.startsWith('*'))).toHaveLength(1)
  expect(stderr).toContain('key dddddddd cannot be read')
  rmSync(stage.path('repository', 'keys', damaged))
  expect(await keysOf(stage)).toHaveLength(1)
})
