import { MongoClient } from 'mongodb'
import { expect, test } from 'vitest'
import { type ScriptedMongo, startScriptedMongo } from './scripted.ts'

const auth = { user: 'admin', password: 'a b/c' }

async function connect(url: string): Promise<MongoClient> {
  return await new MongoClient(url, { serverSelectionTimeoutMS: 5000 }).connect()
}

const asUser = ({ port }: ScriptedMongo, login: string): string =>
  `mongodb://${login}@127.0.0.1:${port}/?directConnection=true`

test('clients log in by SCRAM-SHA-256, and may do what their roles say', async () => {
  await using server = await startScriptedMongo({ replicaSet: 'rs0', auth })
  await using admin = await connect(server.url)
  await admin.db('shop').collection('a').insertOne({ n: 1 })
  const create = { pwd: 'secret', roles: [{ role: 'backup', db: 'admin' }] }
  await admin.db('admin').command({ createUser: 'backup', ...create })
  await admin.db('admin').command({ createUser: 'reader', pwd: 'secret', roles: [{ role: 'read', db: 'shop' }] })

  await using nobody = await connect(asUser(server, '').replace('@', ''))
  await expect(nobody.db('shop').collection('a').findOne()).rejects.toMatchObject({ code: 13 })
  await expect(connect(asUser(server, 'backup:wrong'))).rejects.toMatchObject({ code: 18 })
  await expect(connect(asUser(server, 'nobody:secret'))).rejects.toMatchObject({ code: 18 })

  await using backup = await connect(asUser(server, 'backup:secret'))
  expect(await backup.db('shop').collection('a').countDocuments()).toBe(1)
  expect(await backup.db('local').collection('oplog.rs').findOne()).toMatchObject({ op: 'n' })
  await expect(backup.db('shop').collection('a').insertOne({})).rejects.toMatchObject({ code: 13 })
  await using reader = await connect(asUser(server, 'reader:secret'))
  expect(await reader.db('shop').collection('a').countDocuments()).toBe(1)
  await expect(reader.db('local').collection('oplog.rs').findOne()).rejects.toMatchObject({ code: 13 })
})

test('users that are put there as documents can log in', async () => {
  await using from = await startScriptedMongo({ auth })
  await using to = await startScriptedMongo()
  await using source = await connect(from.url)
  await using target = await connect(to.url)
  await source.db('admin').command({ createRole: 'counter', privileges: [], roles: [{ role: 'read', db: 'shop' }] })
  await source.db('admin').command({ createUser: 'clerk', pwd: 'secret', roles: ['counter'] })
  const users = await source.db('admin').collection('system.users').find().toArray()
  const roles = await source.db('admin').collection('system.roles').find().toArray()
  await target.db('admin').command({ createUser: 'old', pwd: 'x', roles: [] })
  await target.db('admin').collection('tempusers').insertMany(users)
  await target.db('admin').collection('temproles').insertMany(roles)
  await target.db('admin').command({
    _mergeAuthzCollections: 1,
    tempUsersCollection: 'admin.tempusers',
    tempRolesCollection: 'admin.temproles',
    drop: true,
    db: '',
  })
  const { users: shown } = await target.db('admin').command({ usersInfo: { forAllDBs: true } })
  expect(shown).toMatchObject([
    { _id: 'admin.admin' },
    { _id: 'admin.clerk', roles: [{ role: 'counter', db: 'admin' }] },
  ])
  expect(shown[0]).not.toHaveProperty('credentials')
  await using clerk = await connect(asUser(to, 'clerk:secret'))
  expect(await clerk.db('admin').command({ connectionStatus: 1 })).toMatchObject({
    authInfo: { authenticatedUserRoles: [{ role: 'counter' }, { role: 'read', db: 'shop' }] },
  })
})
