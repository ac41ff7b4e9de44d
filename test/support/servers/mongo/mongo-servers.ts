import { lacks, type RequirementName } from '../../requirements.ts'
import { startFerret } from './ferret.ts'
import { startMongod } from './mongod.ts'
import { startScriptedMongo } from './scripted.ts'

/** What a server can do, of what tests may ask for. `mongo-servers.test.ts` holds every flag against the server itself. */
export interface MongoAbilities {
  /** `local.oplog.rs`, when it is started as a replica set. */
  readonly oplog: boolean
  /** `readConcern: { level: 'snapshot' }` with `atClusterTime`, when it is started as a replica set. */
  readonly snapshotReads: boolean
  readonly transactions: boolean
  readonly applyOps: boolean
  readonly dbHash: boolean
  readonly views: boolean
  readonly timeSeries: boolean
  readonly capped: boolean
  readonly clustered: boolean
  readonly validators: boolean
  /** Of collections and of indexes. */
  readonly collation: boolean
  readonly hiddenIndexes: boolean
  /** Users as documents of `admin.system.users`. */
  readonly systemUsers: boolean
  /** `createUser` and `usersInfo`. */
  readonly users: boolean
}

export interface MongoServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  stop(): Promise<void>
}

export interface MongoServerKind {
  readonly name: string
  /** Whether it can be started on this machine. */
  readonly isHere: boolean
  readonly can: MongoAbilities
  /** Starts one that is empty; as a replica set of one when `replicaSet` is set and it can be one. */
  start(options?: { readonly replicaSet?: string }): Promise<MongoServer>
}

const EVERYTHING: MongoAbilities = {
  oplog: true,
  snapshotReads: true,
  transactions: true,
  applyOps: true,
  dbHash: true,
  views: true,
  timeSeries: true,
  capped: true,
  clustered: true,
  validators: true,
  collation: true,
  hiddenIndexes: true,
  systemUsers: true,
  users: true,
}

const FERRETDB: MongoAbilities = {
  ...EVERYTHING,
  oplog: false,
  snapshotReads: false,
  transactions: false,
  applyOps: false,
  dbHash: false,
  views: false,
  timeSeries: false,
  capped: false,
  clustered: false,
  validators: false,
  collation: false,
  hiddenIndexes: false,
  systemUsers: false,
}

const isHere = (name: RequirementName): boolean => !lacks(name)

/**
 * Servers that a suite about MongoDB runs on:
 *
 *     describe.each(mongoServers())('a backup of $name', ({ isHere, can, start }) => {
 *       test.skipIf(!isHere || !can.views)('keeps views', async () => {
 *         await using server = await start()
 *
 * @param versions what the scripted server is to pass for, one kind for each
 */
export function mongoServers(versions: readonly string[] = ['8.0.6']): readonly MongoServerKind[] {
  const scripted = versions.map((version) => ({
    name: `the scripted server as MongoDB ${version}`,
    isHere: true,
    can: EVERYTHING,
    start: ({ replicaSet }: { readonly replicaSet?: string } = {}) =>
      startScriptedMongo({ version, ...(replicaSet !== undefined && { replicaSet }) }),
  }))
  return [
    ...scripted,
    { name: 'FerretDB', isHere: isHere('ferretdb'), can: FERRETDB, start: () => startFerret() },
    { name: 'mongod', isHere: isHere('mongod'), can: EVERYTHING, start: (options = {}) => startMongod(options) },
  ]
}
