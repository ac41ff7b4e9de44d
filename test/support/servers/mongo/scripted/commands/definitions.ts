import { splitNs } from '../apply-ops.ts'
import { asNumber, doc, encode, field, OK } from '../bson.ts'
import { bucketsOf, describeNamespace, indexSpecs } from '../catalog.ts'
import type { CommandTable, Context } from '../context.ts'
import { changeView, makeCollection, removeNamespace, renameCollection } from '../definitions.ts'
import { MongoFailure } from '../failure.ts'
import { addIndexes, removeIndexes } from '../indexes.ts'
import { compileFilter } from '../match.ts'
import { modifyCollection } from '../modify.ts'

/** What there is, and the commands that change it. */
export const definitionCommands: CommandTable = {
  listDatabases: { run: listDatabases, takes: ['filter', 'nameOnly', 'authorizedDatabases'] },
  listCollections: { run: listCollections, takes: ['filter', 'nameOnly', 'authorizedCollections', 'cursor'] },
  listIndexes: { run: listIndexes, takes: ['cursor', 'includeBuildUUIDs', 'includeIndexBuildInfo'] },
  create: { run: create, isWrite: true },
  createIndexes: {
    run: createIndexes,
    isWrite: true,
    takes: ['indexes', 'commitQuorum', 'ignoreUnknownIndexOptions', 'v'],
  },
  dropIndexes: { run: dropIndexes, isWrite: true, takes: ['index'] },
  drop: { run: drop, isWrite: true, takes: [] },
  dropDatabase: { run: dropDatabase, isWrite: true, takes: [] },
  renameCollection: { run: rename, isWrite: true, takes: ['to', 'dropTarget'] },
  collMod: { run: collMod, isWrite: true },
}

function listDatabases({ server: { data }, command }: Context): Buffer {
  const filter = compileFilter(command.document('filter'))
  const nameOnly = command.flag('nameOnly')
  let total = 0
  const databases: Buffer[] = []
  for (const name of data.catalog.databases()) {
    const size = data.catalog.collections(name).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    const shown = doc({ name, ...(!nameOnly && { sizeOnDisk: encode(BigInt(size)), empty: false }) })
    if (!filter(shown)) continue
    total += size
    databases.push(shown)
  }
  const sizes = nameOnly ? {} : { totalSize: encode(BigInt(total)), totalSizeMb: Math.floor(total / 2 ** 20) }
  return doc({ databases, ...sizes, ok: OK })
}

function listCollections({ server: { data, cursors }, command }: Context): Buffer {
  const filter = compileFilter(command.document('filter'))
  const nameOnly = command.flag('nameOnly')
  const all = data.catalog
    .namespaces(command.db)
    .map((namespace) => {
      const whole = describeNamespace(namespace)
      return nameOnly ? doc({ name: field(whole, 'name'), type: field(whole, 'type') }) : whole
    })
    .filter(filter)
  const made = { ns: `${command.db}.$cmd.listCollections`, documents: all.values(), isSingleBatch: false }
  return cursors.open(made, batchSizeOf(command.document('cursor')))
}

function listIndexes({ server: { data, cursors }, command }: Context): Buffer {
  const name = command.collection()
  // Of a time series those of its buckets, as long as these can have none of their own.
  const isTimeSeries = data.catalog.find(command.db, name)?.kind === 'timeseries'
  const collection = data.catalog.collection(command.db, isTimeSeries ? bucketsOf(name) : name)
  if (collection === undefined) throw new MongoFailure(26, `ns does not exist: ${command.db}.${name}`)
  const specs = isTimeSeries ? [] : indexSpecs(collection)
  const made = { ns: `${command.db}.${name}`, documents: specs.values(), isSingleBatch: false }
  return cursors.open(made, batchSizeOf(command.document('cursor')))
}

/** The batch size in the argument `cursor`, which several commands have. */
export const batchSizeOf = (cursor: Buffer | undefined): number | undefined =>
  cursor === undefined ? undefined : asNumber(field(cursor, 'batchSize'))

function create({ server: { data, version }, command }: Context): Buffer {
  makeCollection(data, version, command)
  return doc({ ok: OK })
}

function createIndexes({ server: { data }, command }: Context): Buffer {
  const { db } = command
  const specs = command.documents('indexes')
  if (specs === undefined || specs.length === 0) throw new MongoFailure(2, 'Must specify at least one index to create')
  const name = command.collection()
  const isNew = data.catalog.find(db, name) === undefined
  const collection = data.collectionForWrite(db, name)
  const before = indexSpecs(collection).length
  addIndexes(data, collection, specs, command.flag('ignoreUnknownIndexOptions'))
  const after = indexSpecs(collection).length
  return doc({
    numIndexesBefore: before,
    numIndexesAfter: after,
    createdCollectionAutomatically: isNew,
    ...(before === after && { note: 'all indexes already exist' }),
    ok: OK,
  })
}

function dropIndexes({ server: { data }, command }: Context): Buffer {
  const collection = data.catalog.collection(command.db, command.collection())
  if (collection === undefined) throw new MongoFailure(26, 'ns not found')
  const before = indexSpecs(collection).length
  removeIndexes(data, collection, command.raw('index'))
  return doc({ nIndexesWas: before, ok: OK })
}

function drop({ server: { data, version }, command }: Context): Buffer {
  const name = command.collection()
  const found = data.catalog.find(command.db, name)
  if (found === undefined) {
    if (version.isAtLeast(7)) return doc({ ok: OK })
    throw new MongoFailure(26, 'ns not found')
  }
  const nIndexesWas = found.kind === 'collection' ? indexSpecs(found).length : 0
  removeNamespace(data, found)
  return doc({ nIndexesWas, ns: `${command.db}.${name}`, ok: OK })
}

function dropDatabase({ server: { data }, command: { db } }: Context): Buffer {
  const all = data.catalog.namespaces(db)
  for (const namespace of all) data.drop(namespace)
  if (all.length > 0) data.log({ op: 'c', ns: `${db}.$cmd`, o: doc({ dropDatabase: 1 }) })
  return doc({ ...(all.length > 0 && { dropped: db }), ok: OK })
}

function rename({ server: { data }, command }: Context): Buffer {
  const from = splitNs(command.string('renameCollection')!)
  const to = splitNs(command.string('to') ?? '')
  const found = data.catalog.collection(from.db, from.name)
  if (found === undefined) throw new MongoFailure(26, `Source collection ${from.db}.${from.name} does not exist`)
  renameCollection(data, found, { ...to, dropTarget: command.flag('dropTarget') })
  return doc({ ok: OK })
}

function collMod({ server: { data }, command }: Context): Buffer {
  const { db } = command
  const name = command.collection()
  const found = data.catalog.find(db, name)
  if (found === undefined) throw new MongoFailure(26, `ns does not exist: ${db}.${name}`)
  if (found.kind === 'view') {
    changeView(data, found, command)
    return doc({ ok: OK })
  }
  const collection = found.kind === 'collection' ? found : data.catalog.collection(db, bucketsOf(name))!
  return doc({ ...modifyCollection(data, collection, command.body), ok: OK })
}
