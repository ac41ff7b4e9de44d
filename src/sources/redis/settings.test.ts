import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { redisSettings } from './settings.ts'

const password = 'env:REDIS_PASSWORD'
const reference = { kind: 'env', name: 'REDIS_PASSWORD' }

describe('settings of a Redis source', () => {
  test.each<{ readonly given: object; readonly expected: object }>([
    { given: { host: 'db' }, expected: { target: { kind: 'tcp', host: 'db', port: 6379 } } },
    { given: { url: 'redis://127.0.0.1:6380' }, expected: { target: { kind: 'tcp', host: '127.0.0.1', port: 6380 } } },
    { given: { url: 'redis://[::1]:6380/0' }, expected: { target: { kind: 'tcp', host: '::1', port: 6380 } } },
    {
      given: { url: 'rediss://b%40ckup@db', password },
      expected: { target: { kind: 'tcp', host: 'db', port: 6379 }, user: 'b@ckup', password: reference, tls: {} },
    },
    {
      given: { host: 'db', port: 7, tls: { ca: '/ca.pem' }, password },
      expected: { target: { kind: 'tcp', host: 'db', port: 7 }, tls: { ca: '/ca.pem' }, password: reference },
    },
    {
      given: { url: 'rediss://db', tls: true },
      expected: { target: { kind: 'tcp', host: 'db', port: 6379 }, tls: {} },
    },
    { given: { socket: '/run/redis.sock' }, expected: { target: { kind: 'socket', path: '/run/redis.sock' } } },
    { given: { url: 'unix:///run/redis.sock' }, expected: { target: { kind: 'socket', path: '/run/redis.sock' } } },
    { given: { host: 'db', tls: false }, expected: { target: { kind: 'tcp', host: 'db', port: 6379 } } },
    {
      given: { url: 'redis+sentinel://backup@a,b:7/shop', password, sentinelPassword: 'file:/s' },
      expected: {
        target: {
          kind: 'sentinel',
          nodes: [
            { host: 'a', port: 26_379 },
            { host: 'b', port: 7 },
          ],
          master: 'shop',
          password: { kind: 'file', name: '/s' },
        },
        user: 'backup',
        password: reference,
      },
    },
  ])('$given are understood', ({ given, expected }) => {
    expect(redisSettings.parse(given)).toEqual(expected)
  })

  test.each<{ readonly given: object; readonly message: RegExp; readonly path?: string }>([
    { given: {}, message: /one of `url`, `host` and `socket`/ },
    { given: { url: 'http://db' }, message: /must be redis:/ },
    { given: { url: 'redis://:secret@db' }, message: /must not hold a password/, path: 'url' },
    { given: { url: 'redis://db/3' }, message: /not name a database/ },
    { given: { url: 'redis://a,b' }, message: /for sentinels/ },
    { given: { url: 'redis+sentinel://a' }, message: /name of the master/ },
    { given: { url: 'redis://db:99999' }, message: /no HOST:PORT/ },
    { given: { url: 'redis://db', host: 'db' }, message: /already/, path: 'host' },
    { given: { url: 'redis://db', port: 1 }, message: /with `host` only/, path: 'port' },
    { given: { url: 'redis://db', tls: true }, message: /rediss/, path: 'tls' },
    { given: { host: 'db', user: 'backup' }, message: /for a user/, path: 'password' },
    { given: { host: 'db', password: 'secret' }, message: /env:NAME/, path: 'password' },
    { given: { host: 'db', sentinelPassword: password }, message: /sentinels only/ },
    { given: { host: 'db', databse: 3 }, message: /databse/ },
  ])('$given are refused', ({ given, message, path }) => {
    const { error } = redisSettings.safeParse(given)
    expect(error?.issues[0]?.message).toMatch(message)
    if (path !== undefined) expect(error?.issues[0]?.path).toEqual([path])
    expect(JSON.stringify(error)).not.toContain('secret@')
  })

  test('have a JSON Schema for editors', () => {
    expect(z.toJSONSchema(redisSettings, { io: 'input' })).toMatchObject({
      type: 'object',
      additionalProperties: false,
    })
  })
})
