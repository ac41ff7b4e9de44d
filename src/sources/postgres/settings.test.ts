import { describe, expect, test } from 'vitest'
import { postgresSettings } from './settings.ts'

const endpoint = (keys: Record<string, unknown>) => postgresSettings.parse(keys).endpoint

describe('settings of a PostgreSQL source', () => {
  test('have defaults', () => {
    expect(postgresSettings.parse({ host: 'db1' })).toEqual({
      mode: 'physical',
      endpoint: { host: 'db1', port: 5432, user: 'postgres', database: 'postgres', sslmode: 'prefer' },
      password: undefined,
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
    { keys: { host: 'db1', mode: 'logical' }, path: 'mode' },
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
})
