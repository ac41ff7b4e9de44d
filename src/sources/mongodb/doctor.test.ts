import { describe, expect, test } from 'vitest'
import { startScriptedMongo } from '../../../test/support/servers/mongo/scripted.ts'
import { mongoSource, numbered, startMongoStage } from '../../../test/support/servers/mongo-source.ts'

describe('test', () => {
  test('says what a server is and from which member it would be read', async () => {
    await using stage = await startMongoStage({ replicaSet: 'rs0', version: '8.0.4' })
    await stage.client.db('shop').collection<{ _id: number }>('a').insertMany(numbered(3))
    const { version, facts } = await mongoSource({ url: stage.server.url }).test()
    expect(version).toBe('MongoDB 8.0.4')
    expect(facts).toMatchObject({ topology: 'replica set rs0', databases: expect.stringContaining('shop') })
    expect(facts['read from']).toMatch(/^127\.0\.0\.1:\d+, primary$/)
  })

  test('says what to do when nothing answers, and when a router does', async () => {
    await expect(
      mongoSource({ url: 'mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300' }).test(),
    ).rejects.toMatchObject({
      code: 'HF_SOURCE_UNREACHABLE',
      hint: expect.stringContaining('hosts in `url`'),
    })
    await using router = await startScriptedMongo({ role: 'mongos' })
    await expect(mongoSource({ url: router.url }).test()).rejects.toMatchObject({ code: 'HF_SOURCE_UNSUPPORTED' })
  })
})

describe('doctor', () => {
  const problemsOf = async (settings: object): Promise<readonly string[]> =>
    (await mongoSource(settings).examine()).map(({ severity, what, remedy }) => `${severity}: ${what} | ${remedy}`)

  test('a standalone has no oplog, which is said with what mends it', async () => {
    await using stage = await startMongoStage()
    await stage.client.db('shop').collection<{ _id: number }>('a').insertMany(numbered(3))
    expect(await problemsOf({ url: stage.server.url })).toEqual([
      expect.stringMatching(/^warning: .*no oplog.* \| mongod --replSet rs0/),
    ])
  })

  test('a replica set gets the mode of consistency and the length of its oplog', async () => {
    await using stage = await startMongoStage({ replicaSet: 'rs0' })
    await stage.client.db('shop').collection<{ _id: number }>('a').insertMany(numbered(3))
    expect(await problemsOf({ url: stage.server.url })).toEqual([
      expect.stringMatching(/^note: the oplog goes back 0\.0 h.*replSetResizeOplog/),
      expect.stringMatching(/^note: consistency: snapshot: .* fit in half of the 300 s/),
    ])
  })

  test('what a user may not is named with the command that grants it', async () => {
    await using stage = await startMongoStage({ replicaSet: 'rs0' })
    await stage.client.db('shop').collection<{ _id: number }>('a').insertMany(numbered(3))
    stage.server.faults.add({ command: 'find', db: 'local', code: 13, message: 'not authorized on local' })
    stage.server.faults.add({ command: 'find', db: 'admin', collection: 'system.users', code: 13 })
    const problems = await problemsOf({ url: stage.server.url })
    expect(problems).toEqual([
      expect.stringMatching(/^error: nobody may not read users and roles .*createUser/),
      expect.stringMatching(
        /^error: nobody may not read the oplog .*\| db\.getSiblingDB\("admin"\)\.createUser.*"backup"/,
      ),
    ])
  })

  test('a wrong password is told with the command that sets one', async () => {
    await using stage = await startMongoStage()
    await stage.client
      .db('admin')
      .command({ createUser: 'backup', pwd: 'right', roles: [{ role: 'backup', db: 'admin' }] })
    const url = stage.server.url.replace('mongodb://', 'mongodb://backup@')
    const problems = await problemsOf({ url, password: 'env:MONGO_PASSWORD' })
    expect(problems).toEqual([expect.stringMatching(/^error: .*refuses connections.*createUser\(\{ user: "backup"/)])
    expect(problems.join()).not.toContain('secret')
  })
})
