import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lacks } from '../../../test/support/requirements.ts'
import { type RedisServer, startRedis } from '../../../test/support/servers/redis.ts'
import { keyPattern } from './glob.ts'

describe.skipIf(lacks('redis-server'))('a pattern of keys', () => {
  let server: RedisServer
  const alphabet = ['a', 'b', 'c', '*', '?', '[', ']', '^', '-', '\\']
  const keys = ['a', 'b', 'ab', 'abc', 'aab', 'a-c', 'b]', '^a', '*', '?', '\\', '[a', 'a*b', 'cab', 'aaaa', 'abcabc']

  beforeAll(async () => {
    server = await startRedis()
    for (const key of keys) await server.command('SET', key, '1')
  })

  afterAll(() => server?.stop())

  test('finds the keys that the server itself finds', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...alphabet), { maxLength: 8 }), async (parts) => {
        const pattern = parts.join('')
        const found = ((await server.command('KEYS', pattern)) as readonly Buffer[]).map(String).sort()
        const fits = keyPattern(pattern)
        expect(keys.filter((key) => fits(Buffer.from(key))).sort(), pattern).toEqual(found)
      }),
      { numRuns: 2000 },
    )
  })
})

test('a pattern takes no exponential time', () => {
  expect(keyPattern('a*a*a*a*a*a*a*a*a*a*b')(Buffer.from('a'.repeat(10_000)))).toBe(false)
})
