import { statfsSync } from 'node:fs'
import type { Assertion } from '../../../config/assertion.ts'
import type { Clock } from '../../../lib/clock.ts'
import { HoldfastError, isHoldfastError } from '../../../lib/errors.ts'
import { formatSize } from '../../../lib/sizes.ts'
import type { AssertionAnswer, ProofJob, ProofSandbox } from '../../proof.ts'
import type { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import { productName, readMember } from '../member.ts'
import { namespaceText } from '../names.ts'
import { type FinalState, readFinalState } from '../restore/final-state.ts'
import { scopeOf } from '../restore/plan.ts'
import { readTarget } from '../restore/target.ts'
import { writeScope } from '../restore/write-scope.ts'
import type { MongoSettings } from '../settings.ts'
import type { SnapshotFiles } from '../snapshot-files.ts'
import { answerAggregation } from './answer.ts'
import { compareRestored } from './compare.ts'
import { findMongod, mongodFor } from './program.ts'
import { type ScratchServer, startMongod, useScratchServer } from './scratch-server.ts'
import { CheckReport, failureOf } from './structure.ts'

export interface ProofOf {
  readonly files: SnapshotFiles
  readonly settings: MongoSettings
  /** Of the scratch server. */
  readonly password: string | undefined
  readonly clock: Clock
}

const NAME = 'a server takes the snapshot'
const MAX_NAMED = 10

/**
 * Restores a snapshot into the scratch server of the configuration, or into a `mongod` of this machine that is started for it. Reports
 * why not when neither can be had.
 */
export async function openSandbox(
  of: ProofOf,
  job: ProofJob,
  folder: SandboxFolder,
): Promise<ProofSandbox | undefined> {
  const { files } = of
  const checks = new CheckReport(job, 'restore')
  const read = await readFinalState(files).catch(failureOf)
  if ('outcome' in read) {
    checks.report('what is to be restored', read)
    return undefined
  }
  using state = read
  const server = await findServer(of, state, folder, job.signal)
  if (typeof server === 'string') {
    checks.report(NAME, { outcome: 'skipped', detail: server })
    return undefined
  }
  try {
    const isRestored = await restoreInto(server, state, files, job, checks)
    if (!isRestored) {
      await server[Symbol.asyncDispose]()
      return undefined
    }
    const facts = { ...server.facts, version: productName(await readMember(server.connection)) }
    return new MongoSandbox(server, state, files, job, facts)
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
}

/** A server, or why there is none. */
async function findServer(
  { settings, password, clock }: ProofOf,
  { manifest }: FinalState,
  folder: SandboxFolder,
  signal: AbortSignal | undefined,
): Promise<ScratchServer | string> {
  // Whoever names a server means it.
  if (settings.proof !== undefined) return await useConfigured(settings.proof, password, clock, signal)
  const { version } = manifest.server
  const programs = await findMongod()
  const program = mongodFor(programs, version)
  if (program === undefined) {
    const found =
      programs.length === 0
        ? 'no mongod is on this machine'
        : `there is only ${programs.map((one) => `${one.path} ${one.version}`).join(', ')}`
    return `${found}: install one that takes dumps of MongoDB ${version}, name it in HOLDFAST_MONGOD, or name a scratch server in \`proof\` of the source`
  }
  const bytes = manifest.collections.reduce((sum, { data }) => sum + (data?.bytes ?? 0), 0)
  const { bavail, bsize } = statfsSync(folder.path)
  if (bytes > bavail * bsize)
    return `${formatSize(bytes)} are needed in ${folder.path}, and ${formatSize(bavail * bsize)} are free: name another folder in HOLDFAST_SANDBOX_DIR`
  return await startMongod(folder, program, clock, signal)
}

async function useConfigured(
  proof: NonNullable<MongoSettings['proof']>,
  password: string | undefined,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<ScratchServer | string> {
  try {
    return await useScratchServer(proof.endpoint, password, clock, signal)
  } catch (error) {
    if (isHoldfastError(error, 'HF_SOURCE_UNREACHABLE', 'HF_SOURCE_PERMISSION'))
      return `the scratch server cannot be used: ${error.message}`
    throw error
  }
}

async function restoreInto(
  server: ScratchServer,
  state: FinalState,
  files: SnapshotFiles,
  job: ProofJob,
  checks: CheckReport,
): Promise<boolean> {
  const { connection } = server
  const scope = scopeFor(server, state)
  const names = new Set(scope.collections.map(({ target }) => namespaceText(target)))
  const failures: string[] = []
  const result = await writeScope({
    scope,
    connection,
    state: await readTarget(connection, names, job.signal),
    files,
    jobs: 2,
    overwrite: false,
    signal: job.signal,
    observer: {
      onStep: () => undefined,
      onProgress: () => undefined,
      // Differences are what the comparison is about.
      onWarning: () => undefined,
      onError: (item, error) => void failures.push(`${item}: ${error.message}`),
    },
  }).catch((error: unknown) => {
    failures.push(failureOf(error).detail ?? '')
    return undefined
  })
  const more = failures.length > MAX_NAMED ? [`and ${failures.length - MAX_NAMED} more`] : []
  if (failures.length > 0)
    checks.report(NAME, { outcome: 'failed', detail: [...failures.slice(0, MAX_NAMED), ...more].join('; ') })
  else
    checks.report(NAME, {
      outcome: 'passed',
      detail: `${server.facts.server}: ${scope.collections.length} collections, ${result?.facts.documents} documents`,
    })
  return result !== undefined
}

/** All of a snapshot under the names it has on the scratch server. */
function scopeFor(server: ScratchServer, state: FinalState): ReturnType<typeof scopeOf> {
  const scope = scopeOf(state, {
    isWhole: false,
    targetOf: (one) => ({ ...one, database: server.nameOf(one.database) }),
  })
  return server.isOwn ? scope : { ...scope, accounts: [] }
}

class MongoSandbox implements ProofSandbox {
  readonly facts: Readonly<Record<string, string>>
  readonly #server: ScratchServer
  readonly #state: FinalState
  readonly #files: SnapshotFiles
  readonly #job: ProofJob

  constructor(
    server: ScratchServer,
    state: FinalState,
    files: SnapshotFiles,
    job: ProofJob,
    facts: Readonly<Record<string, string>>,
  ) {
    this.#server = server
    this.#state = state
    this.#files = files
    this.#job = job
    this.facts = facts
  }

  async compare(): Promise<void> {
    // Documents of the fold were given out once.
    using state = await readFinalState(this.#files)
    const scope = scopeFor(this.#server, state)
    await compareRestored(this.#server, scope, this.#files, this.#job)
  }

  async answer(assertion: Assertion): Promise<AssertionAnswer> {
    if (assertion.kind !== 'aggregate')
      throw new HoldfastError('HF_ASSERTION_INVALID', `${assertion.name} is not for a MongoDB server`, {
        hint: 'write an `aggregate`: [{ $count: n }] with `database` and `collection`',
      })
    const databases = new Set(
      this.#state.collections.map(({ entry }) => entry.database).filter((one) => one !== 'admin'),
    )
    const [only] = databases
    const database = assertion.database ?? (databases.size === 1 ? only : undefined)
    if (database === undefined || (!databases.has(database) && database !== 'admin'))
      throw new HoldfastError(
        'HF_ASSERTION_INVALID',
        `${assertion.name}: ${database === undefined ? 'it does not say in which database' : `there is no database ${database} in the snapshot`}`,
        {
          hint: `name one in \`database\`: ${[...databases].join(', ')}`,
        },
      )
    return await answerAggregation(this.#server.connection, this.#server.nameOf(database), assertion)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
  }
}
