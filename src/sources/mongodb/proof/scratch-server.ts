import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { sleepUnlessInterrupted } from '../../../engine/storage/interruption.ts'
import { toHex } from '../../../lib/bytes.ts'
import { type Clock, monotonicMilliseconds } from '../../../lib/clock.ts'
import { isHoldfastError } from '../../../lib/errors.ts'
import { randomBytes } from '../../../lib/random.ts'
import { freePort } from '../../sandbox/free-port.ts'
import type { SandboxFolder } from '../../sandbox/sandbox-folder.ts'
import { listDatabases } from '../catalog.ts'
import { MongoConnection } from '../connection.ts'
import { type MongoEndpoint, parseMongoUrl } from '../endpoint.ts'
import type { MongodProgram } from './program.ts'

/** A server for one proof. */
export interface ScratchServer extends AsyncDisposable {
  readonly connection: MongoConnection
  /** What a database of the snapshot is called there. */
  nameOf(database: string): string
  /** Whether it is ours alone, so that users and roles may be restored. */
  readonly isOwn: boolean
  readonly facts: Readonly<Record<string, string>>
}

const START_MS = 60_000
const POLL_MS = 100
const CACHE_GB = '0.25'

/**
 * Starts a `mongod` in the sandbox, on the loopback interface, that removes nothing by itself: documents that have expired stay.
 * @returns why it does not start, as text
 */
export async function startMongod(
  folder: SandboxFolder,
  program: MongodProgram,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<ScratchServer | string> {
  const data = join(folder.path, 'mongod')
  mkdirSync(data, { mode: 0o700 })
  folder.handOver(data)
  const port = await freePort()
  const settings = ['ttlMonitorEnabled=false', 'diagnosticDataCollectionEnabled=false']
  const args = [
    '--dbpath',
    data,
    '--port',
    String(port),
    '--bind_ip',
    '127.0.0.1',
    '--nounixsocket',
    '--wiredTigerCacheSizeGB',
    CACHE_GB,
  ]
  const started = folder.start('mongod', program.path, [...args, ...settings.flatMap((one) => ['--setParameter', one])])
  const endpoint = parseMongoUrl(`mongodb://127.0.0.1:${port}/?directConnection=true`) as MongoEndpoint
  const patience = monotonicMilliseconds() + START_MS
  while (started.end === undefined && monotonicMilliseconds() < patience) {
    try {
      const connection = await MongoConnection.open({
        endpoint,
        password: undefined,
        timeoutMs: 1_000,
        jobs: 2,
        signal,
      })
      return {
        connection,
        nameOf: (database) => database,
        isOwn: true,
        facts: { server: `MongoDB ${program.version}`, program: program.path, connection: 'loopback' },
        [Symbol.asyncDispose]: async () => {
          await connection[Symbol.asyncDispose]()
          await started.stop('SIGKILL')
        },
      }
    } catch (error) {
      if (!isHoldfastError(error, 'HF_SOURCE_UNREACHABLE')) throw error
      await sleepUnlessInterrupted(clock, POLL_MS, signal)
    }
  }
  const lastLines = started.log().trimEnd().split('\n').slice(-2).join('; ').slice(0, 500)
  return `${program.path} does not start: ${started.end ?? 'it does not answer'}; ${lastLines}`
}

const PREFIX = 'holdfast_proof_'
/** Databases a proof left behind that was killed. */
const LEFTOVER_SECONDS = 24 * 60 * 60
const NANOSECONDS = 1_000_000_000n

/**
 * Uses databases of a scratch server under names of their own, which are dropped afterwards; also those of proofs that were killed a day ago
 * or longer.
 * @throws HoldfastError as MongoConnection.open
 */
export async function useScratchServer(
  endpoint: MongoEndpoint,
  password: string | undefined,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<ScratchServer> {
  const connection = await MongoConnection.open({ endpoint, password, jobs: 2, purpose: 'restore', signal })
  const now = Number(clock.now() / NANOSECONDS)
  for (const name of await listDatabases(connection, signal)) {
    const made = new RegExp(`^${PREFIX}([0-9a-z]+)_`).exec(name)?.[1]
    if (made !== undefined && now - Number.parseInt(made, 36) > LEFTOVER_SECONDS) await drop(connection, name)
  }
  const ours = `${PREFIX}${now.toString(36)}_${toHex(randomBytes(4))}`
  const names = new Map<string, string>()
  return {
    connection,
    nameOf: (database) => {
      const known = names.get(database)
      if (known !== undefined) return known
      // A number, since names are short: 63 bytes at most.
      const name = `${ours}_${names.size}`
      names.set(database, name)
      return name
    },
    isOwn: false,
    facts: {
      server: connection.place.server,
      databases: `${ours}_*`,
      connection: 'the scratch server of the configuration',
    },
    [Symbol.asyncDispose]: async () => {
      try {
        for (const name of names.values()) await drop(connection, name)
      } finally {
        await connection[Symbol.asyncDispose]()
      }
    },
  }
}

async function drop(connection: MongoConnection, database: string): Promise<void> {
  await connection.command(database, { dropDatabase: 1 })
}
