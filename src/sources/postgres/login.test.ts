import { chmodSync, writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { type PostgresServer, startPostgres } from '../../../test/support/servers/postgres.ts'
import { memoryRepository, plainOptions, scratchFolder } from '../../../test/support/test-repository.ts'
import { systemClock } from '../../lib/clock.ts'
import type { Source } from '../source.ts'
import { postgresKind } from './index.ts'

describe.skipIf(lacks('postgres15'))('what users keep for libpq', () => {
  const PASSWORD = 'a: b\\c'
  let server: PostgresServer
  let scratch: ReturnType<typeof scratchFolder>

  beforeAll(async () => {
    scratch = scratchFolder()
    server = await startPostgres({
      version: 15,
      hba: ['host all,replication backup,Keeper 127.0.0.1/32 scram-sha-256'],
    })
    await server.sql(`CREATE ROLE backup LOGIN REPLICATION PASSWORD '${PASSWORD}'; GRANT pg_read_all_data TO backup;
      CREATE TABLE item(); CREATE ROLE "Keeper" NOLOGIN`)
  })
  afterAll(async () => {
    await server.stop()
    scratch[Symbol.dispose]()
  })
  afterEach(() => vi.unstubAllEnvs())

  const sourceOf = (keys: Readonly<Record<string, unknown>>): Source =>
    postgresKind.open('shop', postgresKind.settings.parse(keys), { clock: systemClock, secret: async () => 'wrong' })

  async function backUp(source: Source): Promise<number> {
    const repository = await memoryRepository()
    const options = plainOptions(repository)
    return (await source.backup({ repository, type: 'full', require: [], options })).result.errors
  }

  function file(variable: string, name: string, text: string, mode = 0o600): void {
    const path = scratch.join(name)
    writeFileSync(path, text)
    chmodSync(path, mode)
    vi.stubEnv(variable, path)
  }

  const here = (): Record<string, unknown> => ({ host: server.host, port: server.port, user: 'backup' })
  const line = (database: string): string => `${server.host}:${server.port}:${database}:backup:a\\: b\\\\c\n`

  test.each([
    ['physical', 'replication'],
    ['logical', '*'],
  ])('the password file, %s', async (mode, database) => {
    file('PGPASSFILE', 'passwords', `# theirs\nother:*:*:*:no\n${line(database)}${server.host}:*:*:*:no\n`)
    expect(await backUp(sourceOf({ ...here(), mode, database: 'postgres' }))).toBe(0)
  })

  test('the variable, of which pg_dump knows too', async () => {
    vi.stubEnv('PGPASSWORD', PASSWORD)
    expect(await backUp(sourceOf({ ...here(), mode: 'logical' }))).toBe(0)
  })

  test('a password file that others can read does not count, and is named', async () => {
    file('PGPASSFILE', 'open', line('*'), 0o644)
    await expect(sourceOf(here()).test()).rejects.toMatchObject({
      code: 'HF_SOURCE_PERMISSION',
      message: expect.stringContaining('asks for the password of backup'),
      hint: expect.stringMatching(/password: "env:NAME".*chmod 600/),
    })
  })

  test('a service, where the configuration says nothing else', async () => {
    const section = (name: string, text: string): string => `[${name}]\n${text}`
    const login = `port=${server.port}\nuser=backup\npassword=${PASSWORD}\nconnect_timeout=3\n`
    file(
      'PGSERVICEFILE',
      'services',
      `${section('other', 'host=nowhere\n')}# the shop\n${section('shop', `host=${server.host}\n${login}`)}${section('elsewhere', `host=nowhere\n${login}`)}`,
    )
    for (const mode of ['physical', 'logical']) expect(await backUp(sourceOf({ service: 'shop', mode }))).toBe(0)
    expect(await backUp(sourceOf({ service: 'elsewhere', host: server.host }))).toBe(0)
    await expect(sourceOf({ service: 'shop', password: 'env:WRONG' }).test()).rejects.toMatchObject({
      hint: expect.stringContaining('`password`'),
    })
  })

  test('a service that cannot be used is refused, with what to do', async () => {
    file(
      'PGSERVICEFILE',
      'services',
      '[shop]\nhost=a\nload_balance_hosts=random\n[secret]\nhost=a\npassword=x\n',
      0o644,
    )
    vi.stubEnv('PGSYSCONFDIR', scratch.path)
    await expect(sourceOf({ service: 'shpo' }).test()).rejects.toMatchObject({
      message: expect.stringContaining('there is no service "shpo"'),
      hint: 'did you mean "shop"?',
    })
    await expect(sourceOf({ service: 'shop' }).test()).rejects.toMatchObject({
      message: expect.stringContaining('load_balance_hosts, which is not supported'),
    })
    await expect(sourceOf({ service: 'secret' }).test()).rejects.toMatchObject({
      code: 'HF_SECRET_UNAVAILABLE',
      hint: expect.stringContaining('chmod 600'),
    })
  })

  test.each([
    ['nobody', 'CREATE ROLE nobody LOGIN REPLICATION'],
    ['Keeper', 'ALTER ROLE "Keeper" LOGIN'],
  ])('a role that cannot log in: %s', async (user, statement) => {
    vi.stubEnv('PGPASSWORD', 'any')
    // The role is looked up before a password is asked for where the server trusts everybody.
    const socket = { host: server.socketDirectory, port: server.port, user }
    await expect(sourceOf(socket).test()).rejects.toMatchObject({
      code: 'HF_SOURCE_PERMISSION',
      hint: expect.stringContaining(statement),
    })
  })
})
