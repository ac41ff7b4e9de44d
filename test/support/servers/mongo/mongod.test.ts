import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { MongoClient } from 'mongodb'
import { describe, expect, test } from 'vitest'
import { lacks } from '../../requirements.ts'
import { startMongod } from './mongod.ts'
import { makeScriptedMongod } from './scripted-mongod.ts'

test('a program with the arguments of mongod is started, made a replica set of one, and ended', async () => {
  await using mongod = await makeScriptedMongod({ version: '6.0.21' })
  expect(spawnSync(mongod.program, ['--version'], { encoding: 'utf8' }).stdout).toContain('db version v6.0.21')
  const server = await startMongod({ program: mongod.program, replicaSet: 'rs0' })
  {
    await using client = await new MongoClient(server.url).connect()
    expect(await client.db('admin').command({ hello: 1 })).toMatchObject({ setName: 'rs0', isWritablePrimary: true })
    await client.db('shop').collection('a').insertOne({ n: 1 })
  }
  expect(mongod.uid).toBe(process.getuid?.() === 0 ? 65_534 : process.getuid?.())
  await server.stop()
  await expect(new MongoClient(server.url, { serverSelectionTimeoutMS: 300 }).connect()).rejects.toThrow()
})

test('what mongod would not start with is refused, and says why', async () => {
  await using mongod = await makeScriptedMongod()
  await expect(startMongod({ program: mongod.program, parameters: { ttlMonitorEnabled: '' } })).rejects.toThrow(
    /mongod does not start: .*Illegal --setParameter/s,
  )
  await expect(startMongod({ program: '/nowhere/mongod' })).rejects.toThrow('mongod does not start')
})

describe.skipIf(lacks('mongod'))('mongod', () => {
  test('takes documents, alone and as a replica set', async () => {
    for (const options of [{}, { replicaSet: 'rs0' }]) {
      const server = await startMongod(options)
      await using client = await new MongoClient(server.url).connect()
      await client.db('shop').collection('a').insertOne({ n: 1 })
      expect(await client.db('shop').collection('a').countDocuments()).toBe(1)
      await server.stop()
      expect(existsSync(server.folder)).toBe(false)
    }
  })
})
