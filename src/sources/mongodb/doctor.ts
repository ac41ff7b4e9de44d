import { isHoldfastError } from '../../lib/errors.ts'
import { formatSize } from '../../lib/sizes.ts'
import type { SourceFacts, SourceProblem } from '../source.ts'
import { type CollectionEntry, listDatabases, readCatalog } from './catalog.ts'
import type { MongoConnection } from './connection.ts'
import { listAll } from './cursor.ts'
import { type ChosenMember, chooseMember, type MemberSearch, productName, versionNumbers } from './member.ts'
import { bucketsOf, isSkippedDatabase, type Namespace, namespaceText } from './names.ts'
import { chooseMode, edgeOfOplog, readSize, readWindow } from './read-moment.ts'
import { isCapped } from './read-order.ts'
import { namespaceFilter } from './selection.ts'
import { Code, codeOf, grantFor } from './server-error.ts'
import { readState, refuseResharding } from './server-state.ts'

const OLDEST_MAJOR = 6
const NEWEST_MAJOR = 8
const SHORT_OPLOG_HOURS = 24

/** What `holdfast source test` says. */
export async function describeServer(search: MemberSearch): Promise<SourceFacts> {
  await using member = await chooseMember(search)
  const { connection, facts, name } = member
  const state = await readState(connection, facts)
  const databases = (await listDatabases(connection, search.signal)).filter((one) => !isSkippedDatabase(one))
  const size = await readSize(connection, databases, search.signal)
  return {
    version: productName(facts),
    facts: {
      topology: facts.setName === undefined ? facts.topology : `${facts.topology} ${facts.setName}`,
      'read from': facts.role === 'standalone' ? name : `${name}, ${facts.isHidden ? 'hidden ' : ''}${facts.role}`,
      ...(state.fcv !== undefined && { 'feature compatibility version': state.fcv }),
      size: size === undefined ? 'unknown' : formatSize(size),
      databases: databases.join(', '),
    },
  }
}

/** What would keep backups from working, and what else an owner should know. */
export async function examineServer(search: MemberSearch): Promise<readonly SourceProblem[]> {
  const problems: SourceProblem[] = []
  const add = (severity: SourceProblem['severity'], what: string, remedy?: string): void => {
    problems.push({ severity, what, remedy })
  }
  try {
    await using member = await chooseMember(search)
    examineVersion(member, add)
    await readState(member.connection, member.facts)
    await refuseResharding(member.connection)
    const catalog = await examineRights(member, search, add)
    await examineConsistency(member, search, catalog, add)
  } catch (error) {
    problems.unshift(asProblem(error))
  }
  return problems
}

type Add = (severity: SourceProblem['severity'], what: string, remedy?: string) => void

function asProblem(error: unknown): SourceProblem {
  if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
  return {
    severity: 'error',
    what: error.message,
    remedy: /db\.getSiblingDB.*/.exec(error.hint ?? '')?.[0] ?? error.hint,
  }
}

function examineVersion({ facts }: ChosenMember, add: Add): void {
  const [major] = versionNumbers(facts.version)
  if (facts.product !== undefined)
    add(
      'note',
      `this is ${productName(facts)}: what it does not know is left out of restores, and each difference is reported`,
    )
  else if (major < OLDEST_MAJOR)
    add('warning', `${productName(facts)} is older than what is supported: MongoDB ${OLDEST_MAJOR} to ${NEWEST_MAJOR}`)
  else if (major > NEWEST_MAJOR)
    add('warning', `${productName(facts)} is newer than what is supported: MongoDB ${OLDEST_MAJOR} to ${NEWEST_MAJOR}`)
}

/** Tries what a backup does, on one document each. */
async function examineRights(
  { connection, facts }: ChosenMember,
  { settings, signal }: MemberSearch,
  add: Add,
): Promise<readonly CollectionEntry[]> {
  const { user } = connection.place
  const remedy = grantFor(connection.place)
  const isIncluded = namespaceFilter(settings.include, settings.exclude)
  const catalog = await attempt(() => readCatalog(connection, { isIncluded }, signal))
  if (catalog === undefined) add('error', `${user ?? 'nobody'} may not list collections and indexes`, remedy)
  else if (catalog.length === 0) add('warning', 'there is nothing to back up: no collection is included')
  const denied: string[] = []
  for (const entry of catalog ?? []) {
    if (entry.type === 'view') continue
    const place: Namespace = entry.type === 'timeseries' ? { ...entry, collection: bucketsOf(entry.collection) } : entry
    if (!(await mayRead(connection, place, signal))) denied.push(namespaceText(place))
  }
  if (denied.length > 0) add('error', `${user ?? 'nobody'} may not read ${firstOf(denied)}`, remedy)
  if (settings.include.length === 0 && facts.product === undefined) {
    const users = { database: 'admin', collection: 'system.users' }
    if (!(await mayRead(connection, users, signal)))
      add('error', `${user ?? 'nobody'} may not read users and roles (admin.system.users)`, remedy)
  }
  return catalog ?? []
}

async function examineConsistency(
  { connection, facts }: ChosenMember,
  { settings, signal }: MemberSearch,
  catalog: readonly CollectionEntry[],
  add: Add,
): Promise<void> {
  if (facts.topology !== 'replica set') {
    add(
      'warning',
      'this server is no member of a replica set: it has no oplog, so every collection of a snapshot is of a moment of its own',
      'mongod --replSet rs0, then in mongosh: rs.initiate()',
    )
    return
  }
  const { user } = connection.place
  const grant = grantFor(connection.place)
  const [oldest, newest] = await Promise.all(
    [1, -1].map((side) => attempt(() => edgeOfOplog(connection, side as 1 | -1, signal))),
  )
  if (oldest === undefined || newest === undefined) {
    add(
      'error',
      `${user ?? 'nobody'} may not read the oplog (local.oplog.rs): a copy that takes long cannot be made consistent`,
      grant,
    )
    return
  }
  const hours = Number((newest >> 32n) - (oldest >> 32n)) / 3600
  if (hours < SHORT_OPLOG_HOURS)
    add(
      'note',
      `the oplog goes back ${hours.toFixed(1)} h; a backup that takes longer than that cannot be made consistent`,
      'db.adminCommand({ replSetResizeOplog: 1, minRetentionHours: 24 })',
    )
  const databases = (await listDatabases(connection, signal)).filter((one) => !isSkippedDatabase(one))
  const { mode, reason } = chooseMode(settings.consistency, facts, {
    sizeBytes: await readSize(connection, databases, signal),
    windowSeconds: await readWindow(connection),
    hasCapped: catalog.some(isCapped),
  })
  add('note', `consistency: ${mode}: ${reason}`)
  if (facts.role === 'primary' && facts.hosts.length > 1 && settings.readPreference !== 'primary')
    add('note', 'the primary is read: no secondary can be used at the moment', 'rs.status()')
}

async function mayRead(
  connection: MongoConnection,
  { database, collection }: Namespace,
  signal?: AbortSignal,
): Promise<boolean> {
  const find = { find: collection, limit: 1, singleBatch: true, projection: { _id: 1 } }
  return (await attempt(() => listAll(connection, database, find, { signal }))) !== undefined
}

/** Undefined when the server says that it is not permitted. */
async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (codeOf(error) === Code.unauthorized) return undefined
    throw error
  }
}

const SHOWN = 5

const firstOf = (names: readonly string[]): string =>
  names.length <= SHOWN ? names.join(', ') : `${names.slice(0, SHOWN).join(', ')} and ${names.length - SHOWN} more`
