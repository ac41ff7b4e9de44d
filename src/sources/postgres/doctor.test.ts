import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { type PostgresServer, startPostgres } from '../../../test/support/servers/postgres.ts'
import { sourceOf } from '../../../test/support/servers/postgres-source.ts'
import { freePort } from '../../../test/support/servers/server-folder.ts'
import { memoryRepository, plainOptions } from '../../../test/support/test-repository.ts'
import type { Source } from '../source.ts'

const password = 'env:PASSWORD'

async function backUp(source: Source): Promise<unknown> {
  const repository = await memoryRepository()
  return await source.backup({ repository, type: 'full', require: [], options: plainOptions(repository) })
}

describe.skipIf(lacks('postgres15'))('a server that refuses', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres({
      version: 15,
      hba: [
        'host all backup 127.0.0.1/32 scram-sha-256',
        'host replication backup 127.0.0.1/32 scram-sha-256',
        'host replication outsider 127.0.0.1/32 reject',
      ],
    })
    await server.sql(`CREATE ROLE backup LOGIN REPLICATION PASSWORD 'right';
      CREATE ROLE "Reader" LOGIN; CREATE ROLE outsider LOGIN REPLICATION`)
  })
  afterAll(() => server.stop())

  test('a wrong password', async () => {
    const source = sourceOf({ url: server.url.replace('postgres@', 'backup@') }, { password }, 'wrong')
    const refusal = { code: 'HF_SOURCE_PERMISSION', hint: expect.stringContaining('`password`') }
    await expect(backUp(source)).rejects.toMatchObject(refusal)
    await expect(source.test()).rejects.toMatchObject(refusal)
    expect(await source.examine()).toMatchObject([{ severity: 'error', what: expect.stringContaining('password') }])
  })

  test('nothing, with the right password and no more than REPLICATION', async () => {
    const source = sourceOf({ url: server.url.replace('postgres@', 'backup@') }, { password }, 'right')
    await backUp(source)
    expect(await source.test()).toMatchObject({
      version: expect.stringMatching(/^PostgreSQL 15\./),
      facts: { role: 'backup', 'in recovery': 'no, a primary' },
    })
    expect((await source.examine()).filter(({ severity }) => severity === 'error')).toEqual([])
  })

  test('a role that may not replicate', async () => {
    const source = sourceOf({ url: server.url.replace('postgres@', 'Reader@') })
    const grant = 'ALTER ROLE "Reader" REPLICATION;'
    await expect(backUp(source)).rejects.toMatchObject({
      code: 'HF_SOURCE_PERMISSION',
      hint: expect.stringContaining(grant),
    })
    expect(await source.examine()).toContainEqual({
      severity: 'error',
      what: 'Reader may not replicate',
      remedy: grant,
    })
  })

  test('replication by pg_hba.conf', async () => {
    const source = sourceOf({ url: server.url.replace('postgres@', 'outsider@') })
    const line = 'host replication outsider 127.0.0.1/32 scram-sha-256'
    await expect(backUp(source)).rejects.toMatchObject({
      code: 'HF_SOURCE_PERMISSION',
      hint: expect.stringContaining(line),
    })
    expect(await source.examine()).toContainEqual(
      expect.objectContaining({ severity: 'error', remedy: expect.stringContaining(line) }),
    )
  })

  test('a database that does not exist', async () => {
    await expect(sourceOf({ url: `${server.url}x` }).test()).rejects.toMatchObject({
      code: 'HF_SOURCE_UNREACHABLE',
      hint: expect.stringContaining('`database`'),
    })
  })
})

test('a server that is not there', async () => {
  const source = sourceOf({ url: `postgres://postgres@127.0.0.1:${await freePort()}` })
  await expect(backUp(source)).rejects.toMatchObject({
    code: 'HF_SOURCE_UNREACHABLE',
    hint: expect.stringContaining('`host` and `port`'),
  })
  expect(await source.examine()).toMatchObject([{ severity: 'error', what: expect.stringContaining('ECONNREFUSED') }])
  const socket = sourceOf({ url: 'postgres:///?host=/nowhere' })
  await expect(socket.test()).rejects.toMatchObject({ code: 'HF_SOURCE_UNREACHABLE' })
})

test.skipIf(lacks('postgres18'))(
  'settings that do not allow physical backups are named with their remedy',
  async () => {
    await using server = await startPostgres({
      version: 18,
      settings: { wal_level: 'minimal', max_wal_senders: '0', max_replication_slots: '0' },
    })
    const remedies = (await sourceOf(server).examine()).map(({ remedy }) => remedy ?? '')
    for (const setting of ['wal_level', 'max_wal_senders', 'max_replication_slots', 'summarize_wal'])
      expect(remedies.join('\n')).toContain(`ALTER SYSTEM SET ${setting} =`)
    await expect(backUp(sourceOf(server))).rejects.toMatchObject({ code: 'HF_SOURCE_UNREACHABLE' })
  },
)

test.skipIf(lacks('postgres18'))('a server without slots is backed up all the same', async () => {
  await using server = await startPostgres({ version: 18, settings: { max_replication_slots: '0' } })
  await backUp(sourceOf(server))
})
