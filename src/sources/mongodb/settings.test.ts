import { describe, expect, test } from 'vitest'
import { passwordIn } from './endpoint.ts'
import { fileStem, isSkippedCollection, namespaceMatcher } from './names.ts'
import { mongoSettings } from './settings.ts'

const messagesOf = (given: object): readonly string[] =>
  mongoSettings.safeParse(given).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? []

describe('settings', () => {
  test('a URL, a password and what to back up', () => {
    const settings = mongoSettings.parse({
      url: 'mongodb://backup%40x@db1:27017,db2/?replicaSet=rs0',
      password: 'env:MONGO_PASSWORD',
      databases: ['shop'],
      include: ['logs.2026_*'],
    })
    expect(settings).toMatchObject({
      endpoint: { url: 'mongodb://db1:27017,db2/?replicaSet=rs0', user: 'backup@x', hosts: 'db1:27017,db2' },
      include: ['shop', 'logs.2026_*'],
      readPreference: 'secondaryPreferred',
      consistency: 'auto',
    })
    expect(mongoSettings.parse({ url: 'mongodb+srv://cluster.example.net/' }).endpoint.isDirect).toBe(false)
  })

  test('a secret may be the connection string of another program', () => {
    expect(passwordIn('mongodb')).toBe('mongodb')
    expect(passwordIn('mongodb://me:p%40ss@db1/shop')).toBe('p@ss')
    for (const bad of [
      'mongodb://db1/',
      'mongodb://me:secret@x@db1/',
      'mongodb://me:sec/ret@db1/',
      'mongodb://me:%s@h/',
    ])
      try {
        passwordIn(bad)
        expect.unreachable()
      } catch (error) {
        expect(error).toMatchObject({ code: 'HF_SECRET_UNAVAILABLE' })
        expect(String(error)).not.toMatch(/sec|ret@/)
      }
  })

  test.each([
    [{ url: 'mongodb://me:sec/ret@db1/' }, 'url: has a user or password that is not percent-encoded'],
    [{ url: 'mongodb://me:secret@db1/' }, 'url: must not hold the password'],
    [{ url: 'mongodb://me@db1/' }, 'password: must be there for a user'],
    [{ url: 'mongodb://db1/', password: 'env:X' }, 'password: `url` names no user'],
    [{ url: 'http://db1/' }, 'url: must look like mongodb://'],
    [{ url: 'mongodb://db1/?socketTimeoutMS=5' }, 'url: has the parameter sockettimeoutms'],
    [{ url: 'mongodb+srv://a,b/' }, 'url: with mongodb+srv has one name'],
    [{ url: 'mongodb://db1/', databases: ['a.b'] }, 'databases.0: is no name'],
    [{ url: 'mongodb://db1/', include: ['a.'] }, 'include.0: must be database'],
    [{ url: 'mongodb://db1/', query: { orders: {} } }, 'query.orders: must be named as database.collection'],
    [{ url: 'mongodb://db1/', tls: { cert: '/c.pem' } }, 'tls.key: `cert` and `key` belong together'],
  ])('refuses %j', (given, message) => {
    expect(messagesOf(given)).toEqual([expect.stringContaining(message)])
    expect(messagesOf(given).join()).not.toContain('secret')
  })
})

describe('names', () => {
  test('collections are named in files as mongodump names them', () => {
    expect(fileStem('we ird/näme+%')).toBe('we+ird%2Fn%C3%A4me%2B%25')
    expect(fileStem('a-b_c.d~e$')).toBe('a-b_c.d~e%24')
    const long = fileStem('x'.repeat(250))
    expect(long).toHaveLength(238)
    expect(long).toMatch(/^x{208}%24[\w-]{27}$/)
    expect(fileStem('x'.repeat(238))).toBe('x'.repeat(238))
  })

  test('patterns are of namespaces; a time series is meant with its buckets', () => {
    const isMeant = namespaceMatcher(['shop', '*.audit_*', 'logs.a+b'])
    const names = ['shop.orders', 'shop.a.b', 'hr.audit_2', 'logs.a+b', 'shop.system.buckets.t']
    expect(names.map((name) => isMeant(split(name)))).toEqual([true, true, true, true, true])
    expect(['shops.x', 'hr.my_audit_2', 'logs.aab'].map((name) => isMeant(split(name)))).toEqual([false, false, false])
  })

  test('what belongs to one server, or to other tools, is left out', () => {
    const names = ['admin.system.keys', 'admin.pbmBackups', 'a.system.views', 'a.system.profile', 'a.x$y']
    expect(names.map((name) => isSkippedCollection(split(name)))).toEqual([true, true, true, true, true])
    const kept = ['admin.system.users', 'a.system.js', 'a.system.buckets.t', 'a.fs.files', 'admin.mine']
    expect(kept.map((name) => isSkippedCollection(split(name)))).toEqual([false, false, false, false, false])
  })
})

function split(name: string): { database: string; collection: string } {
  const dot = name.indexOf('.')
  return { database: name.slice(0, dot), collection: name.slice(dot + 1) }
}
