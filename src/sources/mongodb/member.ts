import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { numberOf } from './bson/typed.ts'
import { MongoConnection } from './connection.ts'
import { type OpTime, opTimeOf } from './op-time.ts'
import { Code, codeOf } from './server-error.ts'
import type { MongoSettings, ReadPreference } from './settings.ts'

export type Topology = 'standalone' | 'replica set' | 'mongos'

/** What a server says of itself. */
export interface MemberFacts {
  readonly topology: Topology
  /** Of the replica set. */
  readonly setName: string | undefined
  readonly role: 'primary' | 'secondary' | 'standalone' | 'other'
  readonly isHidden: boolean
  /** Its own name in the set, if there is one. */
  readonly me: string | undefined
  /** Members clients may use. */
  readonly hosts: readonly string[]
  readonly primary: string | undefined
  readonly lastWrite: OpTime | undefined
  readonly lastMajorityWrite: OpTime | undefined
  /** Milliseconds since the epoch. */
  readonly lastWriteDate: number | undefined
  readonly version: string
  /** Set by servers that are not MongoDB's own: `FerretDB v2.7.0`. */
  readonly product: string | undefined
  readonly maxDocumentBytes: number
  readonly maxMessageBytes: number
  readonly maxBatchDocuments: number
}

const DEFAULT_DOCUMENT_BYTES = 16_777_216
const DEFAULT_MESSAGE_BYTES = 48_000_000
const DEFAULT_BATCH = 100_000

const texts = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(String) : [])
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/** Asks a server what it is. @throws HoldfastError */
export async function readMember(connection: MongoConnection, signal?: AbortSignal): Promise<MemberFacts> {
  const hello = await connection.command('admin', { hello: 1 }, { signal })
  const build = await connection.command('admin', { buildInfo: 1 }, { signal })
  const setName = text(hello.setName)
  const topology = hello.msg === 'isdbgrid' ? 'mongos' : setName === undefined ? 'standalone' : 'replica set'
  const lastWrite = (hello.lastWrite ?? {}) as Record<string, unknown>
  const ferret = (build.ferretdb ?? {}) as Record<string, unknown>
  return {
    topology,
    setName,
    role:
      topology === 'standalone'
        ? 'standalone'
        : hello.isWritablePrimary === true
          ? 'primary'
          : hello.secondary === true
            ? 'secondary'
            : 'other',
    isHidden: hello.hidden === true,
    me: text(hello.me),
    hosts: [...texts(hello.hosts), ...texts(hello.passives)],
    primary: text(hello.primary),
    lastWrite: opTimeOf(lastWrite.opTime),
    lastMajorityWrite: opTimeOf(lastWrite.majorityOpTime),
    lastWriteDate: lastWrite.lastWriteDate instanceof Date ? lastWrite.lastWriteDate.getTime() : undefined,
    version: text(build.version) ?? 'unknown',
    product: text(ferret.version) === undefined ? undefined : `FerretDB ${ferret.version}`,
    maxDocumentBytes: numberOf(hello.maxBsonObjectSize) ?? DEFAULT_DOCUMENT_BYTES,
    maxMessageBytes: numberOf(hello.maxMessageSizeBytes) ?? DEFAULT_MESSAGE_BYTES,
    maxBatchDocuments: numberOf(hello.maxWriteBatchSize) ?? DEFAULT_BATCH,
  }
}

/** `7.0.18` as [7, 0, 18]; what is missing is 0. */
export function versionNumbers(version: string): readonly [number, number, number] {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map((part) => Number.parseInt(part, 10) || 0)
  return [major, minor, patch]
}

export function isAtLeast(version: string, ...wanted: readonly number[]): boolean {
  const numbers = versionNumbers(version)
  for (const [i, part] of wanted.entries()) if (numbers[i] !== part) return (numbers[i] ?? 0) > part
  return true
}

/** `MongoDB 7.0.18`, `FerretDB v2.7.0 (as MongoDB 7.0.77)`. */
export const productName = ({ product, version }: Pick<MemberFacts, 'product' | 'version'>): string =>
  product === undefined ? `MongoDB ${version}` : `${product} (as MongoDB ${version})`

/** The member a backup is made of, and why this one. */
export interface ChosenMember extends AsyncDisposable {
  readonly connection: MongoConnection
  readonly facts: MemberFacts
  /** `host:port`; of a standalone what the configuration says. */
  readonly name: string
}

export interface MemberSearch {
  readonly settings: MongoSettings
  readonly password: string | undefined
  readonly signal: AbortSignal | undefined
}

/** A secondary that is further behind is passed over. */
const MAX_LAG_MS = 120_000
const MEMBER_TIMEOUT_MS = 5_000

/**
 * Connects to one server, from which then everything is read: a hidden member of a replica set first, then another secondary, then the
 * primary, within what the read preference allows.
 * @throws HoldfastError HF_SOURCE_UNSUPPORTED for mongos; HF_SOURCE_UNREACHABLE when no member may be used
 */
export async function chooseMember(search: MemberSearch): Promise<ChosenMember> {
  const { settings, password, signal } = search
  const { endpoint, tls, readPreference, jobs } = settings
  const common = { endpoint, password, tls, jobs, signal }
  const first = await MongoConnection.open({
    ...common,
    readPreference: endpoint.isDirect ? 'nearest' : 'primaryPreferred',
  })
  let kept: MongoConnection | undefined
  try {
    const facts = await readMember(first, signal)
    refuseRouter(facts, first)
    if (facts.topology === 'standalone' || endpoint.isDirect) {
      refuseUnfit(facts, first)
      kept = first
      return chosen(first, facts, facts.me ?? endpoint.hosts)
    }
    const passedOver: string[] = []
    for (const host of await candidates(first, facts, readPreference)) {
      const { authSource } = first
      const found = await tryMember(host, { ...common, readPreference, authSource }, facts, readPreference)
      if (typeof found !== 'string') return found
      passedOver.push(`${host} ${found}`)
    }
    throw new HoldfastError(
      'HF_SOURCE_UNREACHABLE',
      `no member of ${facts.setName} can be backed up: ${passedOver.join('; ') || 'there is none'}`,
      { hint: 'see rs.status(); or change `readPreference` of the source' },
    )
  } finally {
    if (kept === undefined) await first[Symbol.asyncDispose]()
  }
}

const chosen = (connection: MongoConnection, facts: MemberFacts, name: string): ChosenMember => ({
  connection,
  facts,
  name,
  [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
})

async function tryMember(
  host: string,
  options: Parameters<typeof MongoConnection.open>[0],
  { setName, lastWriteDate }: MemberFacts,
  preference: ReadPreference,
): Promise<ChosenMember | string> {
  let connection: MongoConnection | undefined
  try {
    connection = await MongoConnection.open({
      ...options,
      member: host,
      // The read preference has chosen; what is chosen is read whatever it becomes.
      readPreference: 'nearest',
      timeoutMs: MEMBER_TIMEOUT_MS,
    })
    const facts = await readMember(connection, options.signal)
    const lag = (lastWriteDate ?? 0) - (facts.lastWriteDate ?? 0)
    const problem =
      facts.setName !== setName
        ? `is of ${facts.setName ?? 'no set'}`
        : facts.role === 'other'
          ? 'is neither primary nor secondary'
          : preference === 'primary' && facts.role !== 'primary'
            ? 'is not the primary'
            : preference === 'secondary' && facts.role !== 'secondary'
              ? 'is not a secondary'
              : facts.role === 'secondary' && lag > MAX_LAG_MS
                ? `is ${Math.round(lag / 1000)} s behind`
                : undefined
    if (problem === undefined) {
      const found = chosen(connection, facts, host)
      connection = undefined
      return found
    }
    return problem
  } catch (error) {
    if (isHoldfastError(error, 'HF_SOURCE_UNREACHABLE')) return 'cannot be reached'
    throw error
  } finally {
    await connection?.[Symbol.asyncDispose]()
  }
}

/** Members in the order in which to try them. Hidden ones are only known to who may see the configuration of the set. */
async function candidates(
  connection: MongoConnection,
  { hosts, primary }: MemberFacts,
  preference: ReadPreference,
): Promise<readonly string[]> {
  const all = [...(await hiddenMembers(connection)), ...hosts]
  const [primaries, others] = [all.filter((host) => host === primary), all.filter((host) => host !== primary)]
  switch (preference) {
    case 'primary':
      return primaries
    case 'secondary':
      return others
    case 'primaryPreferred':
      return [...primaries, ...others]
    default:
      return [...others, ...primaries]
  }
}

async function hiddenMembers(connection: MongoConnection): Promise<readonly string[]> {
  try {
    const { config } = await connection.command('admin', { replSetGetConfig: 1 })
    const { members } = (config ?? {}) as { members?: unknown }
    return (Array.isArray(members) ? members : [])
      .filter((one) => one.hidden === true && one.arbiterOnly !== true && !(numberOf(one.secondaryDelaySecs) ?? 0))
      .map(({ host }) => String(host))
  } catch (error) {
    const code = codeOf(error)
    if (code === Code.unauthorized || code === Code.commandNotFound) return []
    throw error
  }
}

export function refuseRouter({ topology }: MemberFacts, { place }: MongoConnection): void {
  if (topology !== 'mongos') return
  throw new HoldfastError('HF_SOURCE_UNSUPPORTED', `${place.server} is mongos, the router of a sharded cluster`, {
    hint: 'a router shows neither the oplog nor one moment of all shards, and chunks move while they are read: stop the balancer, and configure one source for each shard and one for the config servers, with the URLs of their replica sets',
  })
}

function refuseUnfit({ role, topology }: MemberFacts, { place }: MongoConnection): void {
  if (topology !== 'replica set' || role !== 'other') return
  throw new HoldfastError('HF_SOURCE_UNREACHABLE', `${place.server} is neither primary nor secondary at the moment`, {
    hint: 'see rs.status(); or leave directConnection out, so that another member can be chosen',
  })
}
