import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, chownSync, closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { MongoClient } from 'mongodb'
import pg from 'pg'
import { run } from '../postgres.ts'
import { freePort, serverFolder, unprivileged } from '../server-folder.ts'
import { ferretPrograms } from './ferret-programs.ts'

export interface FerretOptions {
  /** Clients have to log in, as this user, who may do everything. */
  readonly auth?: { readonly password: string }
}

export interface FerretServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** What both of its programs printed. */
  log(): string
  stop(): Promise<void>
}

const USER = 'postgres'
const START_MS = 60_000

/**
 * Starts FerretDB over DocumentDB: a server that others wrote and use, which speaks MongoDB's protocol and keeps documents in a PostgreSQL of
 * its own. Needs `ferretdb` of the requirements.
 */
export async function startFerret({ auth }: FerretOptions = {}): Promise<FerretServer> {
  const folder = serverFolder('ferret')
  const started = new StartedFerret(folder)
  try {
    const postgresPort = await started.startPostgres(auth?.password)
    await started.startFerretdb(postgresPort, auth?.password)
    return started
  } catch (error) {
    const said = started.log()
    await started.stop()
    throw new Error(`FerretDB does not start: ${(error as Error).message}\n${said.slice(-4000)}`, { cause: error })
  }
}

class StartedFerret implements FerretServer {
  port = 0
  url = ''
  readonly #folder: string
  readonly #children: ChildProcess[] = []
  readonly #killAll = (): void => {
    for (const child of this.#children) child.kill('SIGKILL')
  }

  constructor(folder: string) {
    this.#folder = folder
    process.once('exit', this.#killAll)
  }

  async startPostgres(password: string | undefined): Promise<number> {
    const { postgres, initdb } = ferretPrograms()
    const data = join(this.#folder, 'data')
    const made = run(initdb, ['-D', data, '-U', USER, '-A', 'trust', '-N', '-E', 'UTF8', '--no-locale'])
    if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`)
    const port = await freePort()
    const settings = {
      listen_addresses: '127.0.0.1',
      port: String(port),
      unix_socket_directories: this.#folder,
      fsync: 'off',
      max_connections: '200',
      shared_preload_libraries: 'pg_cron,pg_documentdb_core,pg_documentdb',
      'cron.database_name': 'postgres',
    }
    const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`)
    appendFileSync(join(data, 'postgresql.conf'), lines.join(''))
    this.#spawn(postgres, ['-D', data])
    await this.#until(async () => {
      const client = new pg.Client({ host: '127.0.0.1', port, user: USER, database: 'postgres' })
      client.on('error', () => undefined)
      await client.connect()
      try {
        await client.query('CREATE EXTENSION IF NOT EXISTS documentdb CASCADE')
        if (password !== undefined) await client.query(`ALTER ROLE ${USER} PASSWORD ${pg.escapeLiteral(password)}`)
      } finally {
        await client.end()
      }
    })
    return port
  }

  async startFerretdb(postgresPort: number, password: string | undefined): Promise<void> {
    this.port = await freePort()
    const login = password === undefined ? '' : `${USER}:${encodeURIComponent(password)}@`
    this.url = `mongodb://${login}127.0.0.1:${this.port}/?directConnection=true`
    this.#spawn(ferretPrograms().ferretdb, [
      `--postgresql-url=postgres://${USER}@127.0.0.1:${postgresPort}/postgres`,
      `--listen-addr=127.0.0.1:${this.port}`,
      '--debug-addr=-',
      '--telemetry=disable',
      `--state-dir=${this.#folder}`,
      ...(password === undefined ? ['--no-auth'] : []),
    ])
    await this.#until(async () => {
      await using client = await new MongoClient(this.url, { serverSelectionTimeoutMS: 1000 }).connect()
      await client.db('admin').command({ ping: 1 })
    })
  }

  log(): string {
    const path = join(this.#folder, 'log')
    return existsSync(path) ? readFileSync(path, 'utf8') : ''
  }

  async stop(): Promise<void> {
    process.off('exit', this.#killAll)
    // FerretDB before its PostgreSQL.
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGINT')
      await Promise.race([ended, delay(10_000, undefined, { ref: false }).then(() => child.kill('SIGKILL'))])
      await ended
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #spawn(program: string, args: readonly string[]): void {
    const path = join(this.#folder, 'log')
    const log = openSync(path, 'a', 0o644)
    if (unprivileged.uid !== undefined) chownSync(path, unprivileged.uid, unprivileged.gid!)
    const environment = { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TZ: 'UTC', DO_NOT_TRACK: '1' }
    const child = spawn(program, args, {
      ...unprivileged,
      cwd: this.#folder,
      stdio: ['ignore', log, log],
      env: environment,
    })
    child.on('error', () => undefined)
    closeSync(log)
    this.#children.push(child)
  }

  /** Tries until it works, as long as the program that was started last runs. */
  async #until(work: () => Promise<void>): Promise<void> {
    for (const end = performance.now() + START_MS; ; await delay(50)) {
      try {
        await work()
        return
      } catch (error) {
        const child = this.#children.at(-1)!
        if (child.exitCode !== null || child.signalCode !== null || performance.now() > end) throw error
      }
    }
  }
}
