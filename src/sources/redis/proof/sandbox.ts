import { createReadStream, statfsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Assertion } from '../../../config/assertion.ts'
import { systemClock } from '../../../lib/clock.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { AssertionAnswer, ProofCheck, ProofJob, ProofSandbox } from '../../proof.ts'
import type { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import type { RedisClient } from '../client.ts'
import { compareWithBuckets, hasExpired, KeyBuckets, type KeyDifference } from '../compare.ts'
import { Fingerprint, sameDatabases, sameFunctions } from '../fingerprint.ts'
import { keyText } from '../key-text.ts'
import { keyCount } from '../plan-text.ts'
import { RdbReader, type RdbSummary } from '../rdb/reader.ts'
import { formatText, readersOf } from '../rdb-versions.ts'
import { writeRdb } from '../restore/write-rdb.ts'
import { ownModules, productName, readFacts } from '../server.ts'
import type { RedisSnapshot } from '../snapshot.ts'
import { startTransfer } from '../transfer.ts'
import { answerCommand } from './answer.ts'
import { findPrograms, programFor, programText, type ServerProgram } from './programs.ts'
import { type SandboxServer, startSandboxServer, unusableFolder } from './sandbox-server.ts'
import { openForProof, outcomeOf } from './structure.ts'

const MIN_DATABASES = 16
const MAX_NAMED = 5
const NANOSECONDS_PER_MILLISECOND = 1_000_000n

type Outcome = Pick<ProofCheck, 'outcome' | 'detail'>

/** Restores a snapshot into a server of this machine that is started for it. Reports why not when that cannot be. */
export async function openSandbox(job: ProofJob, folder: SandboxFolder): Promise<ProofSandbox | undefined> {
  const snapshot = await openForProof(job, 'restore')
  if (snapshot === undefined) return undefined
  const report = (name: string, check: Outcome): undefined => {
    job.report({ level: 'restore', name, ...check })
  }
  const named = 'a server loads dump.rdb'
  const programs = await findPrograms()
  const { manifest } = snapshot
  const program = programFor(programs, manifest.rdb, manifest.server.kind)
  const obstacle = obstacleOf(snapshot, programs, program) ?? unusableFolder(folder) ?? lackOf(folder, snapshot)
  if (program === undefined || obstacle !== undefined) return report(named, { outcome: 'skipped', detail: obstacle })
  const data = join(folder.path, 'data')
  try {
    await mkdir(data, { mode: 0o700 })
    const written = await writeRdb(join(data, 'dump.rdb'), snapshot.rdb(job.signal), () => undefined, job.signal)
    if (written.sha256 !== manifest.rdb.sha256)
      return report('dump.rdb is restored', { outcome: 'failed', detail: 'it is not the file its manifest is of' })
    report('dump.rdb is restored', { outcome: 'passed', detail: formatSize(written.bytes) })
  } catch (error) {
    return report('dump.rdb is restored', outcomeOf(error))
  }
  folder.handOver(data)
  const databases = Math.max(MIN_DATABASES, ...manifest.databases.map(({ db }) => db + 1))
  const started = await startSandboxServer(folder, program, { data, databases }, job.signal)
  if ('reason' in started)
    return report(named, {
      outcome: started.kind === 'refused' ? 'failed' : 'skipped',
      detail: `${programText(program)}: ${started.reason}`,
    })
  const client = await started.connect(job.signal)
  const facts = await readFacts(client)
  report(named, { outcome: 'passed', detail: programText(program) })
  return new RedisSandbox(job, snapshot, folder, started, client, {
    server: productName(facts),
    program: program.path,
    connection: 'unix socket',
  })
}

function obstacleOf(
  { manifest }: RedisSnapshot,
  programs: readonly ServerProgram[],
  program: ServerProgram | undefined,
): string | undefined {
  const modules = manifest.notComparable.map(({ module }) => module).filter((module) => !ownModules.has(module))
  if (modules.length > 0)
    return `it has values of ${modules.join(', ')}, and no modules are loaded into a throw-away server`
  if (program !== undefined) return undefined
  const found =
    programs.length === 0
      ? 'no server of Redis or Valkey is on this machine'
      : `there is only ${programs.map(programText).join(', ')}`
  return `${found}; ${formatText(manifest.rdb)} needs ${readersOf(manifest.rdb)}: install it, or name it in HOLDFAST_REDIS_SERVERS`
}

/** What of memory or disk there is not enough of: a proof must not take it from other programs. */
function lackOf(folder: SandboxFolder, { manifest, bytes }: RedisSnapshot): string | undefined {
  const memory = Number(manifest.rdb.aux['used-mem'] ?? 0) || 0
  const available = process.availableMemory()
  if (memory > available)
    return `the data takes ${formatSize(memory)} of memory, and ${formatSize(available)} are free on this machine`
  const { bavail, bsize } = statfsSync(folder.path)
  // The file that is loaded, and the one that comes back.
  if (2 * bytes > bavail * bsize)
    return `${formatSize(2 * bytes)} are needed in ${folder.path}, and ${formatSize(bavail * bsize)} are free: name another folder in HOLDFAST_SANDBOX_DIR`
  return undefined
}

/** The content of the server that loaded a snapshot. */
interface ReadBack {
  readonly summary: RdbSummary
  readonly fingerprint: Fingerprint
  /** Without what had expired then. */
  readonly buckets: KeyBuckets
  readonly expiredAt: bigint
}

class RedisSandbox implements ProofSandbox {
  readonly facts: Readonly<Record<string, string>>
  readonly #job: ProofJob
  readonly #snapshot: RedisSnapshot
  readonly #folder: SandboxFolder
  readonly #server: SandboxServer
  readonly #client: RedisClient

  constructor(
    job: ProofJob,
    snapshot: RedisSnapshot,
    folder: SandboxFolder,
    server: SandboxServer,
    client: RedisClient,
    facts: Readonly<Record<string, string>>,
  ) {
    this.#job = job
    this.#snapshot = snapshot
    this.#folder = folder
    this.#server = server
    this.#client = client
    this.facts = facts
  }

  async compare(): Promise<void> {
    const { signal } = this.#job
    const { manifest } = this.#snapshot
    const path = join(this.#folder.path, 'loaded.rdb')
    const loaded = await this.#readBack(path)
    let differences: readonly KeyDifference[] = []
    // The file that was loaded is the one its manifest is of. What has expired since is looked for in that file.
    if (!sameDatabases(loaded.fingerprint.databases, manifest.databases))
      try {
        differences = await compareWithBuckets(
          () => this.#snapshot.rdb(signal),
          () => createReadStream(path),
          loaded.buckets,
          { expiredAt: loaded.expiredAt },
        )
      } catch (error) {
        this.#report('keys', outcomeOf(error))
        return
      }
    const { functions } = loaded.summary
    for (const { db, all } of manifest.databases) {
      const differing = differences.filter((difference) => difference.db === db)
      this.#report(
        `keys of database ${db}`,
        differing.length === 0 ? { outcome: 'passed', detail: keyCount(all.keys) } : differ(differing),
      )
    }
    const known = new Set(manifest.databases.map(({ db }) => db))
    const elsewhere = differences.filter(({ db }) => !known.has(db))
    if (elsewhere.length > 0) this.#report('keys of other databases', differ(elsewhere))
    else if (known.size === 0) this.#report('keys', { outcome: 'passed', detail: 'there were none, and are none' })
    for (const { module, keys } of manifest.notComparable)
      this.#report(`values of ${module}`, {
        outcome: 'skipped',
        detail: `${keyCount(keys)}, which only the module could compare`,
      })
    if (manifest.functions.libraries + functions.libraries === 0)
      this.#report('functions', { outcome: 'not applicable', detail: 'there are none' })
    else
      this.#report(
        'functions',
        sameFunctions(manifest.functions, functions)
          ? { outcome: 'passed' }
          : { outcome: 'failed', detail: 'the server has other libraries than were read at the backup' },
      )
  }

  /** Keeps the file that the server gives back at `path`, and adds its keys up on the way. */
  async #readBack(path: string): Promise<ReadBack> {
    const { signal } = this.#job
    using client = await this.#server.connect(signal)
    const facts = await readFacts(client)
    const { bytes } = await startTransfer(client, facts.kind === 'valkey' ? facts.version : undefined)
    // What the server has dropped had expired before it began.
    const expiredAt = systemClock.now() / NANOSECONDS_PER_MILLISECOND
    const fingerprint = new Fingerprint()
    const buckets = new KeyBuckets()
    const reader = new RdbReader({
      onEntry: (entry) => {
        fingerprint.add(entry)
        if (!hasExpired(entry, expiredAt)) buckets.toggle(entry)
      },
    })
    await writeRdb(
      path,
      tapped(bytes, (piece) => reader.push(piece)),
      () => undefined,
      signal,
    )
    return { summary: reader.end(), fingerprint, buckets, expiredAt }
  }

  async answer(assertion: Assertion): Promise<AssertionAnswer> {
    if (assertion.kind === 'command') return await answerCommand(this.#client, assertion.command)
    throw new HoldfastError('HF_ASSERTION_INVALID', `${assertion.name} is not for a Redis server`, {
      hint: 'write a `command` that only reads: command: [DBSIZE]',
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close()
    await this.#server.stop()
  }

  #report(name: string, check: Outcome): void {
    this.#job.report({ level: 'data', name, ...check })
  }
}

function differ(differences: readonly KeyDifference[]): Outcome {
  const shown = differences.slice(0, MAX_NAMED).map(({ db, key, what }) => `${keyText(key)} of database ${db}: ${what}`)
  const more = differences.length > MAX_NAMED ? [`${differences.length - MAX_NAMED} or more others`] : []
  return { outcome: 'failed', detail: [...shown, ...more].join('; ') }
}

async function* tapped(bytes: AsyncIterable<Uint8Array>, tap: (piece: Uint8Array) => void): AsyncGenerator<Uint8Array> {
  for await (const piece of bytes) {
    tap(piece)
    yield piece
  }
}
