import { isHoldfastError } from '../../lib/errors.ts'
import { formatSize } from '../../lib/sizes.ts'
import type { SourceFacts, SourceProblem } from '../source.ts'
import type { RedisClient } from './client.ts'
import { grantStatement, refusal } from './refusals.ts'
import { productName, readFacts, type ServerFacts, versionNumbers } from './server.ts'
import { readConfig } from './server-record.ts'
import { probeTransfer } from './transfer.ts'

/** What `holdfast source test` says. */
export async function describeServer(client: RedisClient): Promise<SourceFacts> {
  const facts = await readFacts(client)
  const { info, mode, role, runId } = facts
  const keys = [...info]
    .filter(([name]) => /^db\d+$/.test(name))
    .map(([, value]) => /keys=(\d+)/.exec(value)?.[1] ?? '0')
  return {
    version: productName(facts),
    facts: {
      'run id': runId,
      role,
      mode,
      keys: String(keys.reduce((sum, count) => sum + Number(count), 0)),
      memory: formatSize(number(info, 'used_memory')),
    },
  }
}

/** What would keep backups from working, and what else an owner should know. */
export async function examineServer(open: () => Promise<RedisClient>): Promise<readonly SourceProblem[]> {
  try {
    using client = await open()
    const facts = await readFacts(client)
    if (facts.mode === 'sentinel') return [...roleProblems(facts)]
    const config = await readConfig(client, '*')
    const refused = await probeTransfer(client)
    const problems = [...versionProblems(facts), ...roleProblems(facts), ...contentProblems(facts)]
    if (refused !== undefined) problems.unshift(asProblem(refusal(client, 'PSYNC', refused)))
    return [...problems, ...configProblems(config, client.user ?? 'default')]
  } catch (error) {
    return [asProblem(error)]
  }
}

function asProblem(error: unknown): SourceProblem {
  if (!isHoldfastError(error) || error.code === 'HF_INTERRUPTED') throw error
  const grant = /ACL SETUSER .*/.exec(error.hint ?? '')?.[0]
  return { severity: 'error', what: error.message, remedy: grant ?? error.hint }
}

const OLDEST_REDIS = 6
const NEWEST_REDIS = [8, 0] as const
const NEWEST_VALKEY = 9

function* versionProblems(facts: ServerFacts): Generator<SourceProblem> {
  const [major, minor] = versionNumbers(facts.version)
  if (facts.kind === 'redis' && major < OLDEST_REDIS)
    yield {
      severity: 'warning',
      what: `${productName(facts)} is older than what is tested: Redis 6 to 8`,
      remedy: undefined,
    }
  const [newestMajor, newestMinor] = NEWEST_REDIS
  const isNewer =
    facts.kind === 'valkey'
      ? major > NEWEST_VALKEY
      : major > newestMajor || (major === newestMajor && minor > newestMinor)
  if (isNewer)
    yield {
      severity: 'warning',
      what: `${productName(facts)} is newer than this Holdfast: a backup stops when it meets a format it does not know`,
      remedy: undefined,
    }
}

function* roleProblems({ mode, role, info }: ServerFacts): Generator<SourceProblem> {
  if (mode === 'sentinel')
    yield {
      severity: 'error',
      what: 'this is a sentinel, which has no data',
      remedy: 'url: redis+sentinel://HOST:26379/MASTER',
    }
  if (mode === 'cluster')
    yield {
      severity: 'note',
      what: 'this is a node of a cluster: a snapshot has all of its shards, each of an instant of its own, taken from their masters',
      remedy: undefined,
    }
  if (role === 'replica' && info.get('master_link_status') !== 'up')
    yield {
      severity: 'error',
      what: 'this replica has lost its master: what it holds may be old, and it refuses to give it',
      remedy: 'INFO replication',
    }
  const replica = /^ip=([^,]+),port=(\d+)/.exec(info.get('slave0') ?? '')
  if (role === 'master' && replica !== null && replica[2] !== '0')
    yield {
      severity: 'note',
      what: 'this is the master: its replica could be backed up instead, and would bear the load',
      remedy: `host: ${replica[1]}, port: ${replica[2]}`,
    }
}

function* contentProblems({ info, modules }: ServerFacts): Generator<SourceProblem> {
  if (info.get('loading') === '1')
    yield { severity: 'error', what: 'the server is still loading its data', remedy: undefined }
  const resident = number(info, 'used_memory_rss')
  const total = number(info, 'total_system_memory')
  const used = number(info, 'used_memory')
  if (total > 0 && total - resident < used / 2)
    yield {
      severity: 'warning',
      what: `the server has ${formatSize(used)} of ${formatSize(total)}: a copy of its process takes what is written meanwhile, and there may be no room`,
      remedy: 'sysctl vm.overcommit_memory=1',
    }
  for (const [field, what] of [
    ['rdb_bgsave_in_progress', 'saves an RDB file'],
    ['aof_rewrite_in_progress', 'rewrites its AOF'],
  ] as const)
    if (info.get(field) === '1')
      yield {
        severity: 'note',
        what: `the server ${what} at the moment: a backup waits until that is done`,
        remedy: undefined,
      }
  if (info.get('aof_enabled') === '1')
    yield {
      severity: 'note',
      what: 'the server has `appendonly yes`: it would ignore a dump.rdb put in its folder, start empty, and overwrite it later',
      remedy: 'restore it with `appendonly no`, then CONFIG SET appendonly yes',
    }
  if (modules.length > 0)
    yield {
      severity: 'note',
      what: `the server has the modules ${modules.join(', ')}: their values are stored and restored, but not compared`,
      remedy: undefined,
    }
}

function* configProblems(config: Readonly<Record<string, string>> | undefined, user: string): Generator<SourceProblem> {
  if (config === undefined) {
    yield {
      severity: 'note',
      what: 'the configuration may not be read: it is not stored beside the data, and not examined',
      remedy: `${grantStatement(user)} +config|get +acl|list +module|list`,
    }
    return
  }
  if (config.rdbchecksum === 'no')
    yield {
      severity: 'warning',
      what: 'the server writes no checksums: what is damaged within a value may go unnoticed',
      remedy: 'rdbchecksum yes',
    }
  if (config['repl-diskless-sync'] === 'no')
    yield {
      severity: 'note',
      what: 'the server writes an RDB file to its disk for every backup',
      remedy: 'CONFIG SET repl-diskless-sync yes',
    }
  else if (Number(config['repl-diskless-sync-delay'] ?? 0) > 0)
    yield {
      severity: 'note',
      what: `every backup begins after ${config['repl-diskless-sync-delay']} s, in which the server waits for more replicas`,
      remedy: 'CONFIG SET repl-diskless-sync-delay 0',
    }
}

const number = (info: ReadonlyMap<string, string>, name: string): number => Number(info.get(name) ?? 0) || 0
