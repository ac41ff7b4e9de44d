import { backupEntries } from '../../engine/archive/entries-backup.ts'
import type { EntryAttributes } from '../../engine/archive/entry-tree.ts'
import { Sha256Stream } from '../../engine/kernels/sha256.ts'
import { textToByteString } from '../../engine/repository/tree/node.ts'
import { fromUtf8, toHex } from '../../lib/bytes.ts'
import type { Clock } from '../../lib/clock.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { formatTime, localTimestamp } from '../../lib/go-time.ts'
import { storeJson } from '../json-file.ts'
import type { BackupJob, SourceBackup } from '../source.ts'
import type { RedisClient } from './client.ts'
import { type ClusterTransfer, type NodeOpener, startClusterTransfer } from './cluster/transfer.ts'
import { Fingerprint } from './fingerprint.ts'
import type { RedisManifest } from './manifest.ts'
import { RdbReader, type RdbSummary } from './rdb/reader.ts'
import { readFacts, type ServerFacts } from './server.ts'
import { readServerRecord, type ServerRecord } from './server-record.ts'
import { type RdbTransfer, startTransfer } from './transfer.ts'

const contentRule = { kind: 'content' } as const

/**
 * One snapshot of a server: the RDB file it gives a new replica, checked and fingerprinted on its way; of a node of a cluster the files of
 * all shards in one. What does not come whole, or does not hold together, is no snapshot. `openNode` connects to other nodes.
 */
export async function backupServer(
  name: string,
  client: RedisClient,
  openNode: NodeOpener,
  clock: Clock,
  job: BackupJob,
): Promise<SourceBackup> {
  const { labels } = job.options
  const folder = `/${textToByteString(name)}`
  const attributes = (mode: number): EntryAttributes => ({ mode, mtime: labels.time, uid: labels.uid, gid: labels.gid })
  const facts = await readFacts(client)
  if (facts.mode === 'sentinel')
    throw new HoldfastError('HF_SOURCE_UNSUPPORTED', `${client.server} is a sentinel, which has no data`, {
      hint: 'let it say where the data is: url: redis+sentinel://HOST:26379/MASTER',
    })
  const record = await readServerRecord(client, facts.mode === 'cluster')
  let point: string | undefined
  const result = await backupEntries(job.repository, {
    ...job.options,
    paths: [`/${name}`],
    lateTags: () => ['type=full', ...(point === undefined ? [] : [`point=${point}`])],
    write: async (entries) => {
      const json = (file: string, value: RedisManifest | ServerRecord): Promise<void> =>
        storeJson(entries, `/${name}/.holdfast/${file}`, value, attributes(0o600))
      entries.directory(`${folder}/data`, attributes(0o700))
      entries.directory(`${folder}/.holdfast`, attributes(0o700))
      const started = formatTime(localTimestamp(clock.now()))
      const transfer =
        facts.mode === 'cluster'
          ? await startClusterTransfer(client, openNode)
          : await startTransfer(client, facts.kind === 'valkey' ? facts.version : undefined)
      point = pointOf(transfer)
      const check = new Check(client.server, job.require)
      await entries.file(`${folder}/data/dump.rdb`, attributes(0o600), check.pass(transfer.bytes), contentRule)
      client.close()
      const ended = formatTime(localTimestamp(clock.now()))
      await json('server.json', record)
      await json('manifest.json', { ...manifestOf(name, facts, transfer, check), started, ended })
    },
  })
  return {
    result,
    type: 'full',
    reason: job.type === 'full' ? undefined : 'a Redis server always sends all of its data',
    point,
  }
}

/** Reads along while a file is stored. */
class Check {
  readonly fingerprint = new Fingerprint()
  readonly #hash = new Sha256Stream()
  readonly #reader: RdbReader
  readonly #server: string
  readonly #missing: Set<string>
  #summary: (RdbSummary & { readonly sha256: string }) | undefined

  /** `required`: keys that must be in one of the databases. */
  constructor(server: string, required: readonly string[]) {
    this.#server = server
    this.#missing = new Set(required)
    this.#reader = new RdbReader({
      onEntry: (entry) => {
        this.fingerprint.add(entry)
        if (this.#missing.size > 0) this.#missing.delete(fromUtf8(entry.key))
      },
    })
  }

  /** Gives the bytes on. Fails after the last one unless they are a whole RDB file with all required keys. */
  async *pass(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of bytes) {
      this.#reader.push(piece)
      this.#hash.update(piece)
      yield piece
    }
    const summary = this.#reader.end()
    if (this.#missing.size > 0)
      throw new HoldfastError(
        'HF_REQUIRED_MISSING',
        `${this.#server} lacks required keys: ${[...this.#missing].join(', ')}`,
        {
          hint: 'take them out of `require` of the source if they need not be there any more',
        },
      )
    this.#summary = { ...summary, sha256: toHex(this.#hash.digest()) }
  }

  /** Once all was passed. */
  get summary(): RdbSummary & { readonly sha256: string } {
    return this.#summary!
  }
}

function manifestOf(
  source: string,
  { kind, version, runId, role, mode }: ServerFacts,
  { replicationId, offset, isDiskless, ...transfer }: RdbTransfer | ClusterTransfer,
  { fingerprint, summary }: Check,
): Omit<RedisManifest, 'started' | 'ended'> {
  const { dialect, version: rdbVersion, bytes, sha256, checksum, aux, functions } = summary
  return {
    format: 1,
    source,
    type: 'redis',
    server: { kind, version, runId, role, mode },
    ...(replicationId === undefined ? {} : { point: { replicationId, offset: String(offset) } }),
    ...('shards' in transfer ? { shards: transfer.shards } : {}),
    rdb: { dialect, version: rdbVersion, bytes, sha256, checksum, isDiskless, aux: Object.fromEntries(aux) },
    databases: fingerprint.databases,
    functions,
    notComparable: fingerprint.notComparable,
  }
}

/** `<replication id>:<offset>`. */
const pointOf = ({ replicationId, offset }: RdbTransfer): string | undefined =>
  replicationId === undefined ? undefined : `${replicationId}:${offset}`
