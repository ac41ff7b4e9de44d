import { MongoClient } from 'mongodb'
import { expect, test } from 'vitest'
import { type ScriptedMongo, startScriptedMongo } from '../../../test/support/servers/mongo/scripted.ts'
import { idsOf, mongoSource, numbered, takeBackup } from '../../../test/support/servers/mongo-source.ts'
import { memoryRepository, plainOptions } from '../../../test/support/test-repository.ts'
import { loadSnapshots } from '../../engine/repository/snapshots.ts'

const memberRead = async (settings: object): Promise<string | undefined> =>
  (await mongoSource(settings).test()).facts['read from']

const hostOf = ({ port }: ScriptedMongo): string => `127.0.0.1:${port}`

test('a hidden member is read first, then another secondary, then the primary, as the read preference has it', async () => {
  await using primary = await startScriptedMongo({ replicaSet: 'rs0' })
  await using secondary = await startScriptedMongo({ memberOf: primary })
  await using hidden = await startScriptedMongo({ memberOf: primary })
  hidden.member.isHidden = true
  const url = primary.setUrl
  expect(await memberRead({ url })).toBe(`${hostOf(hidden)}, hidden secondary`)
  hidden.elect('recovering')
  expect(await memberRead({ url })).toBe(`${hostOf(secondary)}, secondary`)
  secondary.member.lagMs = 600_000
  expect(await memberRead({ url })).toBe(`${hostOf(primary)}, primary`)
  expect(await memberRead({ url, readPreference: 'primary' })).toBe(`${hostOf(primary)}, primary`)
  await expect(memberRead({ url, readPreference: 'secondary' })).rejects.toMatchObject({
    code: 'HF_SOURCE_UNREACHABLE',
    message: expect.stringMatching(/recovering|neither primary nor secondary.*600 s behind/),
  })
  secondary.member.lagMs = 0
  expect(await memberRead({ url: secondary.url })).toBe(`${hostOf(secondary)}, secondary`)
})

test('an election in the middle changes nothing: the member that was chosen is read to the end', async () => {
  await using primary = await startScriptedMongo({ replicaSet: 'rs0' })
  await using secondary = await startScriptedMongo({ memberOf: primary })
  await using client = await new MongoClient(primary.url).connect()
  await client.db('shop').collection<{ _id: number }>('a').insertMany(numbered(3000))
  secondary.faults.add({
    command: 'getMore',
    collection: 'a',
    times: 1,
    run: () => {
      primary.elect('secondary')
      secondary.elect('primary')
    },
  })
  const { manifest, read } = await takeBackup(mongoSource({ url: primary.setUrl }))
  expect(manifest.server).toMatchObject({ member: hostOf(secondary), setName: 'rs0' })
  expect(idsOf(await read('shop/a.bson'))).toHaveLength(3000)
})

test('a backup that is cancelled ends at once and leaves no snapshot', async () => {
  await using server = await startScriptedMongo({ replicaSet: 'rs0' })
  await using client = await new MongoClient(server.url).connect()
  await client.db('shop').collection<{ _id: number }>('a').insertMany(numbered(3000))
  const stop = new AbortController()
  server.faults.add({ command: 'getMore', collection: 'a', times: 1, run: () => stop.abort(), delayMs: 60_000 })
  const repository = await memoryRepository()
  const run = mongoSource({ url: server.url, consistency: 'oplog' }).backup({
    repository,
    type: 'full',
    require: [],
    options: { ...plainOptions(repository), signal: stop.signal },
  })
  await expect(run).rejects.toMatchObject({ code: 'HF_INTERRUPTED' })
  expect(await loadSnapshots(repository)).toEqual([])
}, 15_000)
