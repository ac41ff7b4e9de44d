import { type Document, MongoClient, Timestamp } from 'mongodb'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type MongoAbilities, type MongoServer, mongoServers } from './mongo-servers.ts'

/** Find out whether a server can do something; an error means that it cannot. */
const PROBES: Readonly<Record<keyof MongoAbilities, (client: MongoClient) => Promise<boolean>>> = {
  oplog: async (client) => (await client.db('local').collection('oplog.rs').findOne())?.ts instanceof Timestamp,
  snapshotReads: async (client) => {
    const { cursor } = await client.db('probe').command({ find: 'a', readConcern: { level: 'snapshot' } })
    return cursor.atClusterTime instanceof Timestamp
  },
  transactions: async (client) => {
    const a = client.db('probe').collection('rolled back')
    await a.insertOne({ n: 0 })
    const session = client.startSession()
    session.startTransaction()
    await a.insertOne({ n: 1 }, { session })
    await session.abortTransaction()
    await session.endSession()
    return (await a.countDocuments()) === 1
  },
  applyOps: async (client) => {
    await client.db('probe').createCollection('applied')
    await client.db('admin').command({ applyOps: [{ op: 'i', ns: 'probe.applied', o: { _id: 1 } }] })
    return (await client.db('probe').collection('applied').countDocuments()) === 1
  },
  dbHash: async (client) => /^[0-9a-f]{32}$/.test((await client.db('probe').command({ dbHash: 1 })).md5),
  views: async (client) => {
    const made = await create(client, 'v', { viewOn: 'a', pipeline: [] })
    return made.type === 'view' && made.options.viewOn === 'a'
  },
  timeSeries: async (client) => (await create(client, 't', { timeseries: { timeField: 'at' } })).type === 'timeseries',
  capped: async (client) => (await create(client, 'c', { capped: true, size: 4096 })).options.capped === true,
  clustered: async (client) => {
    const { options } = await create(client, 'k', { clusteredIndex: { key: { _id: 1 }, unique: true } })
    return options.clusteredIndex !== undefined
  },
  validators: async (client) => {
    const { options } = await create(client, 'd', { validator: { n: { $type: 'int' } } })
    if (options.validator === undefined) return false
    return await client
      .db('probe')
      .collection('d')
      .insertOne({ n: 'x' })
      .then(
        () => false,
        () => true,
      )
  },
  collation: async (client) => {
    const { options } = await create(client, 'l', { collation: { locale: 'de' } })
    await client
      .db('probe')
      .collection('l')
      .createIndex({ n: 1 }, { collation: { locale: 'fr' } })
    const [, index] = await client.db('probe').collection('l').indexes()
    return options.collation?.locale === 'de' && index?.collation?.locale === 'fr'
  },
  hiddenIndexes: async (client) => {
    const hidden = client.db('probe').collection('hidden')
    await hidden.createIndex({ n: 1 }, { hidden: true })
    return (await hidden.indexes())[1]?.hidden === true
  },
  systemUsers: async (client) => {
    await client.db('admin').command({ createUser: 'stored', pwd: 'Secret123', roles: ROLES })
    return (await client.db('admin').collection('system.users').countDocuments({ user: 'stored' })) === 1
  },
  users: async (client) => {
    await client.db('admin').command({ createUser: 'shown', pwd: 'Secret123', roles: ROLES })
    return (await client.db('admin').command({ usersInfo: 'shown' })).users.length === 1
  },
}

/** A combination that FerretDB knows too. */
const ROLES = [
  { role: 'clusterAdmin', db: 'admin' },
  { role: 'readWriteAnyDatabase', db: 'admin' },
]

async function create(client: MongoClient, name: string, options: Document): Promise<Document> {
  await client.db('probe').command({ create: name, ...options })
  const [made] = await client.db('probe').listCollections({ name }).toArray()
  return made!
}

describe.each(mongoServers(['6.0.21', '7.0.18', '8.0.6']))('$name', ({ isHere, can, start }) => {
  let server: MongoServer
  let client: MongoClient
  beforeAll(async () => {
    if (!isHere) return
    server = await start({ replicaSet: 'rs0' })
    client = await new MongoClient(server.url).connect()
    await client.db('probe').collection('a').insertOne({ n: 1 })
  })
  afterAll(async () => {
    await client?.close()
    await server?.stop()
  })

  test.skipIf(!isHere)('can do what its flags say, and no more', async () => {
    const found: Record<string, boolean> = {}
    for (const [name, probe] of Object.entries(PROBES)) found[name] = await probe(client).catch(() => false)
    expect(found).toEqual(can)
  })
})
