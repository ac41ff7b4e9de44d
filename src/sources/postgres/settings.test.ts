import { describe, expect, test } from 'vitest'
import { postgresSettings } from './settings.ts'

const endpoint = (keys: Record<string, unknown>) => postgresSettings.parse(keys).endpoint

describe('settings of a PostgreSQL source', () => {
  test('have defaults', () => {
    expect(postgresSettings.parse({ host: 'db1' })).toEqual({
      mode: 'physical',
      endpoint: { host: 'db1', port: 5432, user: 'postgres', database: 'postgres', sslmode: 'prefer' },
      password: undefined,
      service: undefined,
      checkpoint: 'fast',
      maxRate: undefined,
      blockBytes: undefined,
    })
  })

  test.each([
    {
      url: 'postgres://backup@db1:5433/shop?sslmode=verify-full&sslrootcert=/etc/ca.pem',
      endpoint: {
        host: 'db1',
        port: 5433,
        user: 'backup',
        database: 'shop',
        sslmode: 'verify-full',
        sslrootcert: '/etc/ca.pem',
      },
    },
    { url: 'postgresql://[::1]/', endpoint: { host: '::1', port: 5432, user: 'postgres', database: 'postgres' } },
    {
      url: 'postgres://me%40x@%2Frun%2Fpostgresql/a%20b',
      endpoint: { host: '/run/postgresql', user: 'me@x', database: 'a b' },
    },
    {
      url: 'postgres:///shop?host=/run/postgresql&user=u',
      endpoint: { host: '/run/postgresql', user: 'u', database: 'shop' },
    },
  ])('take $url', ({ url, endpoint: expected }) => {
    expect(endpoint({ url })).toMatchObject(expected)
  })

  test('take sizes and other keys', () => {
    const settings = postgresSettings.parse({
      url: 'postgres://db1',
      user: 'backup',
      password: 'env:SHOP_PASSWORD',
      maxRate: '50M',
      blockBytes: '64K',
      checkpoint: 'spread',
    })
    expect(settings).toMatchObject({
      endpoint: { host: 'db1', user: 'backup' },
      password: { kind: 'env', name: 'SHOP_PASSWORD' },
      maxRate: 50 * 1024 * 1024,
      blockBytes: 65536,
      checkpoint: 'spread',
    })
  })

  test.each<{ readonly keys: Record<string, unknown>; readonly path: string }>([
    { keys: {}, path: 'host' },
    { keys: { host: 'db1', mode: 'both' }, path: 'mode' },
    { keys: { host: 'db1', passwrod: 'env:X' }, path: '' },
    { keys: { host: 'db1', password: 'hunter2' }, path: 'password' },
    { keys: { host: 'db1', url: 'postgres://db2' }, path: 'host' },
    { keys: { url: 'postgres://u:hunter2@db1' }, path: 'url' },
    { keys: { url: 'postgres://db1?password=hunter2' }, path: 'url' },
    { keys: { url: 'postgres://db1?sslmode=maybe' }, path: 'url' },
    { keys: { url: 'postgres://db1?gssencmode=x' }, path: 'url' },
    { keys: { url: 'mysql://db1' }, path: 'url' },
    { keys: { url: 'db1' }, path: 'url' },
    { keys: { url: 'postgres:///?host=a,b' }, path: 'url' },
    { keys: { host: 'db1', port: 0 }, path: 'port' },
    { keys: { host: 'db1', maxRate: '1K' }, path: 'maxRate' },
    { keys: { host: 'db1', maxRate: 'fast' }, path: 'maxRate' },
    { keys: { host: 'db1', blockBytes: '48K' }, path: 'blockBytes' },
    { keys: { host: 'db1', blockBytes: '8K' }, path: 'blockBytes' },
    { keys: { host: 'db1', sslcert: '/c.pem' }, path: 'sslkey' },
    { keys: { host: 'db1', sslmode: 'verify-ca' }, path: 'sslrootcert' },
  ])('refuse $keys', ({ keys, path }) => {
    const { error } = postgresSettings.safeParse(keys)
    expect(error?.issues[0]?.path.join('.')).toBe(path)
    expect(JSON.stringify(error?.issues)).not.toContain('hunter2')
  })

  test('of logical backups have defaults, times and sizes', () => {
    expect(postgresSettings.parse({ host: 'db1', mode: 'logical' }).logical).toEqual({
      databases: [],
      jobs: 2,
      format: 'directory',
      schemas: [],
      tables: [],
      excludeSchemas: [],
      excludeTables: [],
      excludeTableData: [],
      sliceBytes: 1024 ** 3,
      fingerprint: 'stream',
      lockTimeoutMs: 30_000,
      globals: true,
    })
    const keys = { host: 'db1', mode: 'logical', lockTimeout: '5m', sliceBytes: '64M', tables: ['public.*'] }
    expect(postgresSettings.parse(keys).logical).toMatchObject({
      lockTimeoutMs: 300_000,
      sliceBytes: 64 * 1024 ** 2,
      tables: ['public.*'],
    })
  })

  test.each([
    { keys: { mode: 'logical', checkpoint: 'spread' }, path: 'checkpoint' },
    { keys: { mode: 'logical', blockBytes: '64K' }, path: 'blockBytes' },
    { keys: { jobs: 4 }, path: 'jobs' },
    { keys: { mode: 'logical', tables: ['a.b'], schemas: ['a'] }, path: 'tables' },
    { keys: { mode: 'logical', tables: ['orders'] }, path: 'tables.0' },
    { keys: { mode: 'logical', lockTimeout: '5' }, path: 'lockTimeout' },
    { keys: { mode: 'logical', sliceBytes: '1M' }, path: 'sliceBytes' },
    { keys: { mode: 'logical', format: 'tar' }, path: 'format' },
  ])('refuse what does not go with the mode: $keys', ({ keys, path }) => {
    const { error } = postgresSettings.safeParse({ host: 'db1', ...keys })
    expect(error?.issues[0]?.path.join('.')).toBe(path)
  })
})
