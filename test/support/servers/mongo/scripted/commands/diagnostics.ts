import { doc, elements, encode, OK } from '../bson.ts'
import { indexSpecs } from '../catalog.ts'
import type { CommandTable, Context } from '../context.ts'
import { MongoFailure } from '../failure.ts'

/** What a server says about itself and its data when it is asked by an operator. */
export const diagnosticCommands: CommandTable = {
  getParameter: { run: getParameter },
  serverStatus: { run: serverStatus },
  hostInfo: { run: hostInfo, takes: [] },
  getCmdLineOpts: { run: getCmdLineOpts, takes: [] },
  whatsmyuri: { run: () => doc({ you: '127.0.0.1:1', ok: OK }), isOpen: true },
  dbStats: { run: dbStats, takes: ['scale', 'freeStorage'] },
  dbstats: { run: dbStats, takes: ['scale', 'freeStorage'] },
  collStats: { run: collStats, takes: ['scale'] },
  collstats: { run: collStats, takes: ['scale'] },
  validate: { run: validate, takes: ['full', 'repair', 'metadata', 'checkBSONConformance', 'background'] },
}

function getParameter({ server, command }: Context): Buffer {
  const { version, snapshots } = server
  const known: Readonly<Record<string, unknown>> = {
    featureCompatibilityVersion: { version: version.series },
    minSnapshotHistoryWindowInSeconds: snapshots.windowSeconds,
    ...(!version.isAtLeast(8, 1) && { authSchemaVersion: 5 }),
    enableTestCommands: false,
    ttlMonitorEnabled: true,
    authenticationMechanisms: ['SCRAM-SHA-256'],
  }
  const wantsAll = command.text('getParameter') === '*' || command.flag('allParameters')
  const asked = Array.from(elements(command.body), ({ name }) => name)
  const found = Object.entries(known).filter(([name]) => wantsAll || asked.includes(name))
  if (found.length === 0) throw new MongoFailure(72, 'no option found to get')
  return doc({ ...Object.fromEntries(found), ok: OK })
}

function serverStatus({ server }: Context): Buffer {
  const { member, version, data, port, cursors } = server
  const uptime = Math.floor((Date.now() - member.startedAt.getTime()) / 1000)
  const oldest = data.oplog?.collection.scan('natural').next().value
  return doc({
    host: `127.0.0.1:${port}`,
    version: version.text,
    process: member.role === 'mongos' ? 'mongos' : 'mongod',
    pid: encode(BigInt(process.pid)),
    uptime,
    localTime: new Date(),
    connections: { current: 1, available: 800 },
    metrics: { cursor: { open: { total: encode(BigInt(cursors.count)) } } },
    ...(member.setName !== undefined && {
      repl: Object.fromEntries(Object.entries(member.greeting(`127.0.0.1:${port}`))),
    }),
    ...(oldest && { oplogTruncation: { oldestTimestamp: encode(oldest.id) } }),
    storageEngine: { name: 'wiredTiger', supportsCommittedReads: true, persistent: true },
    ok: OK,
  })
}

function hostInfo({ server: { port } }: Context): Buffer {
  return doc({
    system: { currentTime: new Date(), hostname: `127.0.0.1:${port}`, cpuAddrSize: 64, numCores: 2, cpuArch: 'x86_64' },
    os: { type: 'Linux', name: 'scripted', version: '0' },
    extra: {},
    ok: OK,
  })
}

function getCmdLineOpts({ server: { member, port } }: Context): Buffer {
  const replication = member.setName === undefined ? {} : { replication: { replSet: member.setName } }
  return doc({ argv: ['mongod'], parsed: { net: { bindIp: '127.0.0.1', port }, ...replication }, ok: OK })
}

function dbStats({ server: { data }, command: { db } }: Context): Buffer {
  const collections = data.catalog.collections(db)
  const sum = (of: (collection: (typeof collections)[number]) => number): number =>
    collections.reduce((total, collection) => total + of(collection), 0)
  const dataSize = sum(({ sizeBytes }) => sizeBytes)
  const objects = sum(({ count }) => count)
  return doc({
    db,
    collections: collections.length,
    views: data.catalog.namespaces(db).length - collections.length,
    objects: encode(BigInt(objects)),
    avgObjSize: objects === 0 ? 0 : dataSize / objects,
    dataSize,
    storageSize: dataSize,
    indexes: sum((collection) => indexSpecs(collection).length),
    indexSize: 0,
    totalSize: dataSize,
    scaleFactor: encode(1n),
    ok: OK,
  })
}

function collStats({ server: { data }, command }: Context): Buffer {
  const collection = data.catalog.collection(command.db, command.collection())
  const ns = `${command.db}.${command.collection()}`
  if (collection === undefined) {
    return doc({
      ns,
      size: 0,
      count: 0,
      numOrphanDocs: 0,
      storageSize: 0,
      nindexes: 0,
      indexDetails: {},
      indexSizes: {},
      ok: OK,
    })
  }
  const { sizeBytes, count, isCapped } = collection
  return doc({
    ns,
    size: sizeBytes,
    count,
    avgObjSize: count === 0 ? undefined : Math.floor(sizeBytes / count),
    storageSize: sizeBytes,
    capped: isCapped,
    nindexes: indexSpecs(collection).length,
    totalSize: sizeBytes,
    scaleFactor: 1,
    ok: OK,
  })
}

function validate({ server: { data }, command }: Context): Buffer {
  const collection = data.catalog.collection(command.db, command.collection())
  if (collection === undefined)
    throw new MongoFailure(26, `Collection '${command.db}.${command.collection()}' does not exist to validate.`)
  return doc({
    ns: collection.ns,
    uuid: collection.uuid,
    nInvalidDocuments: 0,
    nrecords: collection.count,
    nIndexes: indexSpecs(collection).length,
    valid: true,
    repaired: false,
    warnings: [],
    errors: [],
    ok: OK,
  })
}
