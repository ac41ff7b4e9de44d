import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { type PostgresVersion, postgresPrograms } from './postgres-programs.ts'
import { freePort, serverFolder, unprivileged } from './server-folder.ts'

export interface PostgresOptions {
  readonly version?: PostgresVersion
  /** A folder with `postgres` and `initdb` instead of those of `version`. */
  readonly programs?: string
  /** Settings besides those that make a test quick. */
  readonly settings?: Readonly<Record<string, string>>
  /** Lines of pg_hba.conf before those that let everybody in. */
  readonly hba?: readonly string[]
  /** Options of initdb, such as `--data-checksums`. */
  readonly initdb?: readonly string[]
  /** A restored cluster to start, instead of a new one; it is changed, and left where it is. */
  readonly dataDirectory?: string
  /** Ask over the Unix socket: for a server that takes no plain connections. */
  readonly overSocket?: boolean
}

export type Row = Readonly<Record<string, unknown>>

export interface PostgresServer extends AsyncDisposable {
  readonly url: string
  readonly host: string
  readonly port: number
  readonly user: string
  readonly majorVersion: PostgresVersion
  readonly dataDirectory: string
  /** Where its Unix socket lies. */
  readonly socketDirectory: string
  readonly pid: number
  sql(query: string): Promise<readonly Row[]>
  log(): string
  /** Waits until it takes commands and is through with recovery. */
  ready(): Promise<void>
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>
  stop(): Promise<void>
}

const USER = 'postgres'
const START_MS = 30_000

/** Starts a PostgreSQL server on a free loopback port: `await using server = await startPostgres({ version: 18 })`. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const { version = 15, settings = {}, hba = [], initdb = [] } = options
  const programs = options.programs ?? postgresPrograms(version)
  const folder = serverFolder('postgres')
  const dataDirectory = options.dataDirectory ?? join(folder, 'data')
  if (options.dataDirectory === undefined) {
    const made = run(join(programs, 'initdb'), [
      '-D',
      dataDirectory,
      '-U',
      USER,
      '-A',
      'trust',
      '-N',
      '-E',
      'UTF8',
      '--no-locale',
      ...initdb,
    ])
    if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`)
    const everybody = readFileSync(join(dataDirectory, 'pg_hba.conf'), 'utf8')
    writeFileSync(join(dataDirectory, 'pg_hba.conf'), `${hba.join('\n')}\n${everybody}`)
  }
  const port = await freePort()
  const all = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: folder,
    fsync: 'off',
    shared_buffers: '32MB',
    max_wal_size: '4GB',
    ...settings,
  }
  const args = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const logPath = join(folder, 'log')
  const log = openSync(logPath, 'a', 0o644)
  const child = spawn(join(programs, 'postgres'), ['-D', dataDirectory, ...args], {
    ...unprivileged,
    cwd: folder,
    stdio: ['ignore', log, log],
    env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TZ: 'UTC' },
  })
  const { overSocket = false } = options
  const server = new StartedServer(child, { version, port, folder, dataDirectory, logPath, overSocket })
  try {
    await server.ready()
  } catch (error) {
    await server.stop()
    throw error
  }
  return server
}

interface Place {
  readonly version: PostgresVersion
  readonly port: number
  readonly folder: string
  readonly dataDirectory: string
  readonly logPath: string
  readonly overSocket: boolean
}

class StartedServer implements PostgresServer {
  readonly host = '127.0.0.1'
  readonly user = USER
  readonly port: number
  readonly url: string
  readonly majorVersion: PostgresVersion
  readonly dataDirectory: string
  readonly socketDirectory: string
  readonly pid: number
  readonly #child: ChildProcess
  readonly #logPath: string
  readonly #askAt: string
  readonly #ended: Promise<void>

  constructor(child: ChildProcess, { version, port, folder, dataDirectory, logPath, overSocket }: Place) {
    this.#child = child
    this.#logPath = logPath
    this.#ended = new Promise((resolve) => child.once('exit', () => resolve()))
    this.pid = child.pid!
    this.port = port
    this.url = `postgres://${USER}@127.0.0.1:${port}/postgres`
    this.majorVersion = version
    this.dataDirectory = dataDirectory
    this.socketDirectory = folder
    this.#askAt = overSocket ? folder : this.host
  }

  async ready(): Promise<void> {
    for (const end = performance.now() + START_MS; ; await new Promise((resolve) => setTimeout(resolve, 30))) {
      try {
        const [row] = await this.sql('SELECT pg_is_in_recovery() AS recovering')
        if (row!.recovering === false || existsSync(join(this.dataDirectory, 'standby.signal'))) return
      } catch (error) {
        if (this.#child.exitCode !== null || performance.now() > end)
          throw new Error(`PostgreSQL does not start: ${(error as Error).message}\n${this.log()}`)
      }
    }
  }

  async sql(query: string): Promise<readonly Row[]> {
    const client = new pg.Client({ host: this.#askAt, port: this.port, user: this.user, database: 'postgres' })
    client.on('error', () => undefined)
    await client.connect()
    try {
      const result = await client.query<Record<string, unknown>>(query)
      // Several statements have several results.
      const last = Array.isArray(result) ? (result as (typeof result)[]).at(-1)! : result
      return last.rows
    } finally {
      await client.end()
    }
  }

  log(): string {
    return readFileSync(this.#logPath, 'utf8')
  }

  async kill(): Promise<void> {
    await this.#signal('SIGQUIT')
  }

  async stop(): Promise<void> {
    await this.#signal('SIGINT')
    rmSync(this.socketDirectory, { recursive: true, force: true })
  }

  async #signal(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal)
    await this.#ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

/** Runs a program as the user that servers run as. */
export function run(
  program: string,
  args: readonly string[],
): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    ...unprivileged,
    cwd: '/',
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TZ: 'UTC' },
  })
  if (error) throw error
  return { status, stdout, stderr }
}
