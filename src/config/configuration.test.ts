import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { describeConfiguration, withoutPasswords } from './describe.ts'
import { configurationJsonSchema, keysAt, sourceJsonSchema } from './json-schema.ts'
import { exampleSettings, exampleText, loadText, problemsIn, shortPlace } from './testing.ts'

/** Where `part` first stands in the example. */
function placeOf(part: string): string {
  const lines = exampleText.slice(0, exampleText.indexOf(part)).split('\n')
  return `holdfast.yaml:${lines.length}:${lines.at(-1)!.length + 1}`
}

describe('the example of the issue', () => {
  test('means what it says', async () => {
    const { repositories, sources, assertions, warnings } = await loadText(exampleText)
    expect([...repositories.values()]).toEqual([
      {
        name: 'main',
        url: '/srv/holdfast/main',
        password: { kind: 'file', name: '/etc/holdfast/password' },
        keys: [],
        maxKeyAgeDays: 90,
        mount: false,
        place: {},
        store: {},
      },
    ])
    expect([...sources.keys()]).toEqual(['shop', 'orders', 'catalog', 'session', 'uploads', 'config', 'logs'])
    expect(sources.get('shop')).toEqual({
      name: 'shop',
      type: 'postgres',
      repositories: ['main'],
      hooks: { pre: [], post: [] },
      require: [],
      verify: 'checksum',
      settings: {
        mode: 'physical',
        server: '127.0.0.1',
        port: 5432,
        user: 'backup',
        password: { kind: 'env', name: 'SHOP_PASSWORD' },
      },
    })
    expect(assertions.get('shop')).toEqual([
      {
        kind: 'sql',
        name: 'orders are there',
        database: 'orders',
        sql: 'select count(*) from orders',
        expect: 'value > 0',
      },
    ])
    expect(warnings).toEqual([])
  })

  test('has only keys that the JSON Schema knows, and all that it requires', () => {
    const schema = configurationJsonSchema(exampleSettings)
    const example = parse(exampleText) as Record<string, Record<string, Record<string, unknown>>>
    expect(keysAt(schema, [])).toEqual(new Set(Object.keys(example)))
    for (const name of Object.keys(example.repositories!))
      expect([...keysAt(schema, ['repositories', name])]).toEqual([
        'url',
        'password',
        'keys',
        'maxKeyAge',
        'mount',
        'region',
        'storageClass',
        'lock',
        'limit',
        'location',
        'offsite',
        'prices',
      ])
    for (const source of Object.values(example.sources!)) {
      const known = keysAt(sourceJsonSchema(schema, source.type), [])
      for (const key of [...Object.keys(source), 'hooks', 'require', 'verify', 'repositories'])
        expect(known).toContain(key)
    }
    expect(sourceJsonSchema(schema, 'files')).toMatchObject({
      required: ['type', 'paths'],
      additionalProperties: false,
    })
    expect(() => JSON.stringify(schema)).not.toThrow()
  })

  test('shows every value with its origin, secrets as references', async () => {
    const described = describeConfiguration(await loadText(exampleText)).map(({ path, value, origin }) => [
      path,
      value,
      shortPlace(origin),
    ])
    expect(described).toEqual(
      expect.arrayContaining([
        ['version', 1, placeOf('1')],
        ['repositories.main.password', 'file:/etc/holdfast/password', placeOf('"file:')],
        ['repositories.main.mount', false, 'default'],
        ['sources.shop.password', 'env:SHOP_PASSWORD', placeOf('"env:SHOP')],
        ['sources.shop.repositories', ['main'], placeOf('[main]')],
        ['sources.shop.verify', 'checksum', placeOf('checksum }')],
        ['sources.shop.hooks.pre', [], 'default'],
        ['sources.orders.port', 5432, 'default'],
        ['sources.uploads.exclude', ['*.tmp'], placeOf('["*.tmp"]')],
        ['assertions.shop[0].expect', 'value > 0', placeOf('"value > 0"')],
      ]),
    )
  })
})

describe('what a configuration may hold besides', () => {
  const repository = 'version: 1\nrepositories: { main: { url: /srv/main, password: env:KEY, mount: true } }\n'

  test('hooks, required tables and a level of a source of its own (S4-06, S3-18, S0-12, S4-10)', async () => {
    const { sources, repositories, originOf } = await loadText(`${repository}sources:
  web:
    type: files
    paths: [/srv]
    hooks: { pre: [[systemctl, stop, web]], post: [[systemctl, start, web], [echo, done]] }
    require: [users, orders]
    verify: data
`)
    const web = sources.get('web')!
    expect(web.hooks).toEqual({
      pre: [['systemctl', 'stop', 'web']],
      post: [
        ['systemctl', 'start', 'web'],
        ['echo', 'done'],
      ],
    })
    expect(web.require).toEqual(['users', 'orders'])
    expect(web.verify).toBe('data')
    expect(repositories.get('main')!.mount).toBe(true)
    expect(web.repositories, 'the only repository there is').toEqual(['main'])
    expect(originOf(['sources', 'web', 'repositories'])).toBe('default')
  })

  test('assertions of every kind', async () => {
    const { assertions } = await loadText(`${repository}sources: { web: { type: files, paths: [/srv] } }
assertions:
  web:
    - { name: a, sql: select 1, expect: value == 1 }
    - { name: b, aggregate: [{ $count: n }], database: shop, collection: orders, expect: "rows[0].n > 1" }
    - { name: c, command: [DBSIZE], expect: value > 1 }
    - { name: d, file: srv/index.html, expect: size(rows) > 1 }
`)
    expect(assertions.get('web')!.map(({ kind }) => kind)).toEqual(['sql', 'aggregate', 'command', 'file'])
  })

  test('passwords within URLs are not shown', async () => {
    const text = `version: 1
repositories: { main: { url: "rest:https://me:p@ss/word@host/x", password: env:KEY } }
sources: { db: { type: mongodb, url: "mongodb://u:hunter2@h/?tlsCertificateKeyFilePassword=hunter2&w=1" } }
`
    const shown = JSON.stringify(describeConfiguration(await loadText(text)))
    expect(shown).not.toMatch(/hunter2|word@/)
    expect(shown).toContain('mongodb://u:***@h/?tlsCertificateKeyFilePassword=***&w=1')
  })

  test.each([
    '/srv/a:b@c',
    'postgres://backup@127.0.0.1:5432/orders',
    'redis://127.0.0.1:6379',
    'mongodb://a:1,b:2/?replicaSet=rs0',
  ])('%s has no password to hide', (text) => {
    expect(withoutPasswords(text)).toBe(text)
  })
})

test('an unknown key is refused wherever it stands, at its own place', async () => {
  const example = parse(exampleText) as unknown
  const maps: (string | number)[][] = []
  const collect = (value: unknown, path: (string | number)[]): void => {
    if (typeof value !== 'object' || value === null) return
    if (!Array.isArray(value)) maps.push(path)
    for (const [key, below] of Object.entries(value))
      collect(below, [...path, Array.isArray(value) ? Number(key) : key])
  }
  collect(example, [])
  // Where names stand, any name is known.
  const closed = maps.filter((path) => path.length !== 1 || path[0] === 'defaults')
  const known = new Set<string>([
    'url',
    'host',
    'database',
    'collection',
    'aggregate',
    'command',
    'file',
    'hooks',
    'require',
    'verify',
    'mount',
  ])
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...closed),
      fc.stringMatching(/^[a-z]{1,8}[A-Z]$/).filter((key) => !known.has(key)),
      fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.constant({ a: 1 })),
      async (path, key, value) => {
        const changed = structuredClone(example) as Record<string, unknown>
        const parent = path.reduce<unknown>((at, part) => (at as Record<string | number, unknown>)[part], changed)
        ;(parent as Record<string, unknown>)[key] = value
        const text = stringify(changed)
        const problems = await problemsIn(loadText(text))
        expect(problems).toHaveLength(1)
        const [, line, column] = /^holdfast\.yaml:(\d+):(\d+): unknown key/.exec(problems[0]!)!
        expect(
          text
            .split('\n')
            [Number(line) - 1]!.slice(Number(column) - 1)
            .startsWith(key),
        ).toBe(true)
      },
    ),
    { numRuns: 150 },
  )
})

describe('what is said about a store', () => {
  const withLock = (lock: string): string => `version: 1
repositories:
  offsite: { url: "s3:s3.amazonaws.com/backups", password: "env:P", region: eu-1, storageClass: STANDARD_IA, lock: ${lock} }
`
  test('a lock is so many days or hours long', async () => {
    const { repositories } = await loadText(withLock('{ mode: compliance, for: 35d }'))
    expect(repositories.get('offsite')?.store).toEqual({
      region: 'eu-1',
      storageClass: 'STANDARD_IA',
      lock: { mode: 'compliance', forMs: 35 * 24 * 60 * 60 * 1000 },
    })
  })

  test.each(['1m', '0d', 'forever'])('%s is no time for a lock', async (time) => {
    const problems = await problemsIn(loadText(withLock(`{ mode: governance, for: ${time} }`)))
    expect(problems.join()).toContain('must be a time in days or hours, like 35d or 12h')
  })
})

describe('limits of a repository', () => {
  const withLimit = (limit: string): string => `version: 1
repositories:
  far: { url: "rest:http://far/", password: "env:P", limit: ${limit} }
`
  test.each([
    ['{ up: 20M }', { up: [{ bytesPerSecond: 20 << 20 }] }],
    [
      '{ up: "20M 08:00-18:00", down: [1.5M 22:30-6:00, 500K] }',
      {
        up: [{ bytesPerSecond: 20 << 20, during: { fromMinute: 480, toMinute: 1080 } }],
        down: [
          { bytesPerSecond: 1.5 * 2 ** 20, during: { fromMinute: 1350, toMinute: 360 } },
          { bytesPerSecond: 512_000 },
        ],
      },
    ],
  ])('%s', async (limit, expected) => {
    expect((await loadText(withLimit(limit))).repositories.get('far')?.store.limit).toEqual(expected)
  })

  test.each([
    '{ up: 0 }',
    '{ up: "fast" }',
    '{ down: "1M 8-9" }',
    '{ up: "1M 08:00-08:00" }',
    '{ up: "1M 25:00-26:00" }',
    '{ up: [] }',
    '{ up: [1M, "x"] }',
  ])('%s is refused, with its place', async (limit) => {
    const problems = await problemsIn(loadText(withLimit(limit)))
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(/^holdfast\.yaml:3:\d+: .*(must be a rate|expected string|must not be empty)/)
  })
})

describe('keys of a repository', () => {
  const withKeys = (keys: string): string => `version: 1
repositories:
  main: { url: /backups, keys: ${keys} }
`
  test('stand in the place of a password', async () => {
    const arn = 'arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab'
    const text = withKeys(`[{ kms: "${arn}" }, { age: "file:/k", passphrase: "env:P" }], maxKeyAge: 30d`)
    expect((await loadText(text)).repositories.get('main')).toMatchObject({
      maxKeyAgeDays: 30,
      keys: [{ kms: arn }, { age: { kind: 'file', name: '/k' }, passphrase: { kind: 'env', name: 'P' } }],
    })
  })

  test.each([
    ['[]', 'keys'],
    ['[{}]', 'must have one of kms, age and passphrase'],
    ['[{ kms: "alias/x" }]', 'must be the ARN of a key or alias'],
    ['[{ kms: "arn:aws:kms:eu-1:123456789012:key/1", passphrase: "env:P" }]', 'must have one of'],
    ['[{ age: secret }]', 'must be a reference to a secret'],
    ['[{ passphrase: "env:P" }], maxKeyAge: 1m', 'must be a number of days, like 90d'],
  ])('%s is refused', async (keys, problem) => {
    expect((await problemsIn(loadText(withKeys(keys)))).join()).toContain(problem)
  })
})
