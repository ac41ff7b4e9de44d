import { formatSize } from '../../../lib/sizes.ts'
import type { SourceProblem } from '../../source.ts'
import type { RedisClient } from '../client.ts'
import { keyText } from '../key-text.ts'
import { keyCount } from '../plan-text.ts'
import { isStream } from '../rdb/convert.ts'
import { formatText, payloadFor, type RdbFormat, reads } from '../rdb-versions.ts'
import { ReplyError } from '../resp.ts'
import { productName, readFacts, type ServerFacts, versionNumbers } from '../server.ts'
import { readConfig } from '../server-record.ts'
import type { Survey } from '../survey.ts'

/** A running server that is to be restored into, as it is now. */
export interface TargetState {
  readonly facts: ServerFacts
  /** Keys in all of its databases, and libraries of functions. */
  readonly keys: number
  readonly libraries: number
  /** What keeps it from taking the whole file as from a master; keys can be written all the same. */
  readonly obstacle: string | undefined
  /** Replicas and sentinels that would act on it becoming a replica for a while. */
  readonly followers: string | undefined
  readonly problems: readonly SourceProblem[]
}

const DEFAULT_MAX_BULK_BYTES = 512 * 1024 * 1024
const FIRST_WITH_FUNCTIONS = 7
/** What is converted is held whole. */
const MAX_CONVERTED_BYTES = 64 * 1024 * 1024
const SENTINEL_CHANNEL = '__sentinel__:hello'

export interface Inspection {
  /** Whether all of the snapshot is wanted, so that a server could take it as from a master. */
  readonly isWhole: boolean
  /** Of the master of a shard: the part of the data that it gets. Such nodes take keys one by one. */
  readonly share?: number | undefined
}

/** Looks at a server, and changes nothing. */
export async function inspectTarget(
  client: RedisClient,
  survey: Survey,
  { isWhole, share }: Inspection,
): Promise<TargetState> {
  const facts = await readFacts(client)
  const keys = [...facts.info]
    .filter(([name]) => /^db\d+$/.test(name))
    .reduce((sum, [, value]) => sum + Number(/keys=(\d+)/.exec(value)?.[1] ?? 0), 0)
  const functions = await client.ask('FUNCTION', 'LIST')
  const config = (await readConfig(client, '*')) ?? {}
  const problems: SourceProblem[] = [...roleProblems(client.server, facts, share !== undefined)]
  const isMaster = problems.length === 0
  const obstacle = !isWhole || !isMaster ? undefined : await obstacleTo(client, facts, survey, config)
  if (isMaster) {
    problems.push(...(await roomProblems(client, facts, survey, config, share ?? 1)))
    if (!isWhole || obstacle !== undefined) problems.push(...(await keyProblems(client, facts, survey, config)))
  }
  return {
    facts,
    keys,
    libraries: Array.isArray(functions) ? functions.length : 0,
    obstacle,
    followers: await followersOf(client, facts),
    problems,
  }
}

function* roleProblems(server: string, { mode, role, info }: ServerFacts, isNode: boolean): Generator<SourceProblem> {
  const refuse = (what: string, remedy: string): SourceProblem => ({
    severity: 'error',
    what: `${server} ${what}`,
    remedy,
  })
  if (mode === 'sentinel') yield refuse('is a sentinel, which has no data', 'name the master itself')
  else if (mode === 'cluster' && !isNode) yield refuse('has become a node of a cluster', 'plan the restore again')
  else if (role === 'replica')
    yield refuse(
      `is a replica of ${info.get('master_host')}:${info.get('master_port')}`,
      'name its master, or make it one: REPLICAOF NO ONE',
    )
}

/** What keeps a server from taking a file as from its master. */
async function obstacleTo(
  client: RedisClient,
  facts: ServerFacts,
  { summary }: Survey,
  config: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  if (!reads(facts, summary)) return `${productName(facts)} does not read ${formatText(summary)}`
  if (config['tls-replication'] === 'yes') return 'it takes data over TLS only (`tls-replication yes`)'
  if (config.masterauth === undefined) return 'its configuration may not be read'
  // Of a master, this changes nothing.
  const reply = await client.ask('REPLICAOF', 'NO', 'ONE')
  return reply instanceof ReplyError ? `it refuses REPLICAOF: ${reply.message}` : undefined
}

async function followersOf(client: RedisClient, { info }: ServerFacts): Promise<string | undefined> {
  const replicas = Number(info.get('connected_slaves') ?? 0)
  const reply = await client.ask('PUBSUB', 'NUMSUB', SENTINEL_CHANNEL)
  const sentinels = Array.isArray(reply) ? Number(reply[1] ?? 0) : 0
  const found = [
    ...(replicas > 0 ? [`${replicas} ${replicas === 1 ? 'replica follows' : 'replicas follow'} it`] : []),
    ...(sentinels > 0 ? [`${sentinels} ${sentinels === 1 ? 'sentinel watches' : 'sentinels watch'} it`] : []),
  ]
  return found.length === 0 ? undefined : found.join(', ')
}

async function roomProblems(
  client: RedisClient,
  { info }: ServerFacts,
  { summary, bytes, databases, keys }: Survey,
  config: Readonly<Record<string, string>>,
  share: number,
): Promise<readonly SourceProblem[]> {
  const problems: SourceProblem[] = []
  const limit = Number(info.get('maxmemory') ?? 0)
  const needed = share * Math.max(bytes, keys === 0 ? 0 : Number(summary.aux.get('used-mem') ?? 0) || 0)
  if (limit > 0 && needed > limit)
    problems.push({
      severity: 'error',
      what: `${client.server} may take ${formatSize(limit)} (\`maxmemory\`, ${config['maxmemory-policy'] ?? 'policy unknown'}), and the data took ${formatSize(needed)}: keys would be refused or evicted`,
      remedy: `CONFIG SET maxmemory ${Math.ceil(1.2 * needed)}`,
    })
  const highest = Math.max(0, ...databases.keys())
  if (highest > 0 && (await client.ask('SELECT', String(highest))) instanceof ReplyError)
    problems.push({
      severity: 'error',
      what: `${client.server} has no database ${highest}`,
      remedy:
        info.get('cluster_enabled') === '1'
          ? `a cluster has database 0 only: restore the others elsewhere, or rename: --rename ${highest}=0`
          : `start it with \`databases ${highest + 1}\`, or rename: --rename ${highest}=0`,
    })
  return problems
}

/** What speaks against writing keys one by one. */
async function keyProblems(
  client: RedisClient,
  facts: ServerFacts,
  { summary, codes, longest, libraries }: Survey,
  config: Readonly<Record<string, string>>,
): Promise<readonly SourceProblem[]> {
  const problems: SourceProblem[] = []
  const refuse = (what: string, remedy: string): number => problems.push({ severity: 'error', what, remedy })
  problems.push(...encodingProblems(facts, summary, codes))
  if (libraries > 0 && facts.kind === 'redis' && versionNumbers(facts.version)[0] < FIRST_WITH_FUNCTIONS)
    refuse(
      `${productName(facts)} has no functions, and the snapshot has ${libraries}`,
      "restore keys only: --include '*'",
    )
  const limit = Number(config['proto-max-bulk-len'] ?? DEFAULT_MAX_BULK_BYTES)
  if (longest !== undefined && longest.bytes > limit)
    refuse(
      `${keyText(longest.key)} of database ${longest.db} has ${formatSize(longest.bytes)}, and ${client.server} takes ${formatSize(limit)} at a time`,
      `CONFIG SET proto-max-bulk-len ${longest.bytes + 1024}`,
    )
  // A payload that is none is refused for what it is, once the right to give one is checked; or, before that, for its slot or for
  // a lack of room, which is a problem of its own.
  const reply = await client.ask('RESTORE', 'holdfast', '0', '')
  if (reply instanceof ReplyError && !/payload|^(?:MOVED|OOM) /i.test(reply.message))
    refuse(
      `${client.server} refuses RESTORE: ${reply.message}`,
      `ACL SETUSER ${client.user ?? 'default'} +restore +select ~*`,
    )
  return problems
}

/** Which values a server takes converted only, and which not at all. */
function* encodingProblems(facts: ServerFacts, format: RdbFormat, codes: Survey['codes']): Generator<SourceProblem> {
  const product = productName(facts)
  let converted = 0
  let hasStreams = false
  for (const [code, { db, key, bytes }] of codes) {
    const name = `${keyText(key)} of database ${db}`
    const payload = payloadFor(facts, format, code)
    const isConverted = payload !== undefined && (payload.code !== code || payload.dialect !== format.dialect)
    if (payload === undefined)
      yield {
        severity: 'error',
        what: `${product} does not know how ${name} and others are encoded (type ${code} of ${formatText(format)}), nor an older way that loses nothing`,
        remedy: 'restore into a newer server, or leave such keys out: --exclude',
      }
    else if (isConverted && bytes > MAX_CONVERTED_BYTES)
      yield {
        severity: 'error',
        what: `${name} would have to be converted for ${product}, and has ${formatSize(bytes)}: more than ${formatSize(MAX_CONVERTED_BYTES)} are not held in memory`,
        remedy: 'restore into a newer server, or leave such keys out: --exclude',
      }
    if (!isConverted) continue
    converted++
    hasStreams ||= isStream(code)
  }
  if (converted > 0)
    yield {
      severity: 'note',
      what: `values are converted to what ${product} knows${hasStreams ? '; of streams, it keeps no counts of what was ever added and read, or not when consumers were last active' : ''}`,
      remedy: undefined,
    }
}

/** What is in a server that will be replaced. */
export const contentOf = (
  server: string,
  { keys, libraries }: Pick<TargetState, 'keys' | 'libraries'>,
): readonly string[] => [
  ...(keys > 0 ? [`${keyCount(keys)} of ${server}`] : []),
  ...(libraries > 0 ? [`${libraries} ${libraries === 1 ? 'library' : 'libraries'} of functions of ${server}`] : []),
]
