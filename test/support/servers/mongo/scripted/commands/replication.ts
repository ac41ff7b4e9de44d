import { createHash } from 'node:crypto'
import { applyOperation } from '../apply-ops.ts'
import { arrayValues, asString, doc, elements, encode, field, OK } from '../bson.ts'
import { isUnhashed } from '../catalog.ts'
import type { CommandTable, Context } from '../context.ts'
import { MongoFailure } from '../failure.ts'

import { transactionOf } from './writes.ts'

const STATES = {
  primary: 1,
  secondary: 2,
  recovering: 3,
  arbiter: 7,
  standalone: 0,
  uninitiated: 0,
  mongos: 0,
} as const

/** What concerns the replica set, its oplog and its transactions. */
export const replicationCommands: CommandTable = {
  replSetGetStatus: { run: status, takes: ['initialSync'] },
  replSetGetConfig: { run: config, takes: ['commitmentStatus'] },
  replSetInitiate: { run: initiate, takes: [] },
  appendOplogNote: { run: appendNote, takes: ['data', 'maxClusterTime'] },
  applyOps: { run: applyOps, isWrite: true },
  dbHash: { run: dbHash, takes: ['collections', 'skipTempCollections'] },
  commitTransaction: { run: commit, isWrite: true },
  abortTransaction: { run: abort, isWrite: true },
}

function needSet({ server: { member } }: Context): string {
  if (member.setName === undefined) throw new MongoFailure(76, 'not running with --replSet')
  return member.setName
}

function status(context: Context): Buffer {
  const set = needSet(context)
  const { member } = context.server
  const members = member.peers().map((peer, position) => ({
    _id: position,
    name: peer.host,
    health: 1,
    state: STATES[peer.member.role],
    stateStr: peer.member.role.toUpperCase(),
    uptime: 1,
    optime: { ...peer.member.opTime() },
    ...(peer.member === member && { self: true }),
  }))
  const last = { ...member.opTime(true) }
  return doc({
    set,
    date: new Date(),
    myState: STATES[member.role],
    term: encode(1n),
    optimes: {
      lastCommittedOpTime: last,
      appliedOpTime: { ...member.opTime() },
      durableOpTime: { ...member.opTime() },
    },
    members,
    ok: OK,
  })
}

function config(context: Context): Buffer {
  const set = needSet(context)
  const { member } = context.server
  const members = member.peers().map(({ host, member: peer }, position) => ({
    _id: position,
    host,
    arbiterOnly: peer.role === 'arbiter',
    buildIndexes: true,
    hidden: peer.isHidden,
    priority: peer.isHidden || peer.role === 'arbiter' ? 0 : 1,
    tags: {},
    secondaryDelaySecs: encode(0n),
    votes: 1,
  }))
  const shown = { _id: set, version: member.configVersion, term: 1, members, protocolVersion: encode(1n) }
  return doc({ config: { ...shown, settings: { replicaSetId: member.replicaSetId } }, ok: OK })
}

function initiate(context: Context): Buffer {
  const set = needSet(context)
  const { member } = context.server
  if (member.role !== 'uninitiated') throw new MongoFailure(23, 'already initialized')
  const wanted = context.command.document('replSetInitiate')
  const name = wanted === undefined ? set : asString(field(wanted, '_id'))
  if (name !== set)
    throw new MongoFailure(
      93,
      `Attempting to initiate a replica set with name ${name}, but command line reports ${set}`,
    )
  member.become('primary')
  return doc({ ok: OK })
}

function appendNote(context: Context): Buffer {
  needSet(context)
  const { data, member } = context.server
  if (!member.isWritable) throw new MongoFailure(10_107, 'Not primary')
  data.log({ op: 'n', ns: '', o: context.command.document('data') ?? doc({}) })
  return doc({ ok: OK })
}

function applyOps({ server, command }: Context): Buffer {
  const { version } = server
  if (server.member.role === 'mongos') throw new MongoFailure(59, "no such command: 'applyOps'")
  const operations = command.documents('applyOps') ?? []
  if (operations.length === 0) throw new MongoFailure(13, 'not authorized on admin to execute an empty applyOps')
  const commands = operations.filter((operation) => asString(field(operation, 'op')) === 'c')
  if (commands.length > 0 && operations.length > 1 && commands.some(isExclusive)) {
    throw new MongoFailure(13, 'create and renameCollection must be alone in an applyOps')
  }
  if (version.isAtLeast(8) && command.raw('alwaysUpsert') !== undefined) {
    throw new MongoFailure(2, "The 'alwaysUpsert' option is no longer supported for the applyOps command.")
  }
  const alwaysUpsert = version.isAtLeast(8)
    ? false
    : command.raw('alwaysUpsert') === undefined || command.flag('alwaysUpsert')
  const options = { bypassDocumentValidation: command.flag('bypassDocumentValidation'), alwaysUpsert }
  const results: boolean[] = []
  for (const operation of operations) {
    try {
      applyOperation(server, operation, options)
      results.push(true)
    } catch (error) {
      if (!(error instanceof MongoFailure)) throw error
      results.push(false)
      // What was applied before it stays.
      throw new MongoFailure(error.code, error.message, { fields: { applied: results.length, results } })
    }
  }
  return doc({ applied: results.length, results, ok: OK })
}

function isExclusive(operation: Buffer): boolean {
  const o = field(operation, 'o')
  const [first] = o === undefined ? [] : elements(o.bytes)
  return first?.name === 'create' || first?.name === 'renameCollection' || first?.name === 'dropDatabase'
}

/** MD5 over documents in the order of `_id`, per collection; of the database over the sums by name. */
function dbHash({ server: { data, member }, command }: Context): Buffer {
  if (member.role === 'mongos') throw new MongoFailure(59, "no such command: 'dbHash'")
  const wanted = command.raw('collections')
  const names = wanted === undefined ? undefined : new Set(arrayValues(wanted).map((value) => asString(value)))
  const collections = data.catalog
    .collections(command.db)
    .filter(({ name }) => names === undefined || names.size === 0 || names.has(name))
    .filter(({ name }) => !isUnhashed(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const sums = new Map<string, string>()
  const uuids = new Map<string, unknown>()
  for (const collection of collections) {
    const md5 = createHash('md5')
    for (const { bytes } of collection.scan(collection.isCapped ? 'natural' : 'id')) md5.update(bytes)
    sums.set(collection.name, md5.digest('hex'))
    uuids.set(collection.name, collection.uuid)
  }
  const all = createHash('md5')
  for (const sum of sums.values()) all.update(sum)
  const capped = collections.filter(({ isCapped }) => isCapped).map(({ name }) => name)
  return doc({ host: 'localhost', collections: sums, capped, uuids, md5: all.digest('hex'), timeMillis: 1, ok: OK })
}

function commit(context: Context): Buffer {
  const { transactions } = context.server
  const transaction = transactionOf(context)
  if (transaction === undefined) throw new MongoFailure(72, 'commitTransaction must be run within a transaction')
  transaction.commit()
  transactions.end(transaction)
  return doc({ ok: OK })
}

function abort(context: Context): Buffer {
  const transaction = transactionOf(context)
  if (transaction === undefined) throw new MongoFailure(72, 'abortTransaction must be run within a transaction')
  transaction.abort()
  context.server.transactions.end(transaction)
  return doc({ ok: OK })
}
