import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { HoldfastError } from '../../../lib/errors.ts'
import type { Endpoint } from '../endpoint.ts'
import { PROGRAMS_VARIABLE, programFolders } from '../server-programs.ts'

export type ClientProgramName = 'pg_amcheck' | 'pg_dump' | 'pg_dumpall' | 'pg_restore'

/** A program that comes with PostgreSQL. */
export interface ClientProgram {
  readonly path: string
  /** As it says it: `15.18 (Debian 15.18-0+deb12u1)`. */
  readonly version: string
  readonly majorVersion: number
}

const VERSION_TIMEOUT_MS = 10_000
const NEWEST_TRIED = 24
/** What is kept of what a program says. */
const MESSAGE_BYTES = 16 * 1024

/**
 * Finds a program of a major version or, where there is none, of the next newer one: older ones refuse newer servers and their dumps.
 * Looked at are HOLDFAST_POSTGRES_BIN, where packages put it, and PATH.
 */
export function findClientProgram(name: ClientProgramName, major: number): ClientProgram | undefined {
  const seen = new Set<string>()
  let best: ClientProgram | undefined
  for (let tried = major; tried <= NEWEST_TRIED; tried++)
    for (const folder of programFolders(tried)) {
      if (seen.has(folder)) continue
      seen.add(folder)
      const found = programAt(join(folder, name), name)
      // Nothing fits better; the others need not be started.
      if (found?.majorVersion === major) return found
      if (found !== undefined && found.majorVersion > major && found.majorVersion < (best?.majorVersion ?? Infinity))
        best = found
    }
  return best
}

/** @throws HoldfastError HF_SOURCE_UNSUPPORTED when there is none */
export function clientProgram(name: ClientProgramName, major: number): ClientProgram {
  const found = findClientProgram(name, major)
  if (found !== undefined) return found
  throw new HoldfastError('HF_SOURCE_UNSUPPORTED', `there is no ${name} of PostgreSQL ${major} or newer here`, {
    hint: `${clientProgramRemedy(major)}; an older one refuses newer servers`,
  })
}

/** What to install for a major version, for messages. */
export const clientProgramRemedy = (major: number): string =>
  `apt-get install postgresql-client-${major}, or name the folder of its programs in ${PROGRAMS_VARIABLE}`

function programAt(path: string, name: string): ClientProgram | undefined {
  try {
    accessSync(path, constants.X_OK)
  } catch {
    return undefined
  }
  const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: VERSION_TIMEOUT_MS, env: basics() })
  const [, version, major] = new RegExp(`^${name} \\(PostgreSQL\\) ((\\d+)\\S*.*)`).exec(stdout ?? '') ?? []
  return version === undefined ? undefined : { path, version: version.trim(), majorVersion: Number(major) }
}

/** Environment of every program: messages in English, and where libpq finds what belongs to the user. */
function basics(): NodeJS.ProcessEnv {
  const { PATH, HOME, PGPASSFILE, LD_LIBRARY_PATH } = process.env
  return { PATH, HOME, PGPASSFILE, LD_LIBRARY_PATH, LC_ALL: 'C.UTF-8' }
}

/** How libpq connects: PostgreSQL documentation, "Environment Variables". Nothing of it is seen in the list of processes. */
export function connectionEnvironment(endpoint: Endpoint, password: string | undefined): NodeJS.ProcessEnv {
  const { host, port, user, database, sslmode, sslrootcert, sslcert, sslkey, options } = endpoint
  return {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGDATABASE: database,
    PGPASSWORD: password,
    PGSSLMODE: sslmode,
    PGSSLROOTCERT: sslrootcert,
    PGSSLCERT: sslcert,
    PGSSLKEY: sslkey,
    PGOPTIONS: options,
    PGAPPNAME: 'holdfast',
    PGCONNECT_TIMEOUT: '15',
  }
}

/** A database as an argument: a bare name with `=` in it would be taken for more than a name. */
export const databaseArgument = (name: string): string => `dbname='${name.replaceAll(/['\\]/g, '\\$&')}'`

export interface ProgramRun {
  readonly args: readonly string[]
  readonly environment?: NodeJS.ProcessEnv
  /** What it reads from its standard input. */
  readonly input?: AsyncIterable<Uint8Array>
  readonly signal?: AbortSignal | undefined
}

/** A program that runs, with its output to be read. It is ended when it is disposed of. */
export class RunningProgram implements AsyncDisposable {
  readonly output: AsyncIterable<Buffer>
  readonly #name: string
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #ended: Promise<string | undefined>
  readonly #signal: AbortSignal | undefined
  readonly #abort: () => void
  #messages = ''
  #inputFailure: { readonly error: unknown } | undefined

  constructor(name: string, { path }: Pick<ClientProgram, 'path'>, { args, environment, input, signal }: ProgramRun) {
    signal?.throwIfAborted()
    this.#name = name
    this.#signal = signal
    this.#child = spawn(path, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      cwd: '/',
      env: { ...basics(), ...environment },
    })
    this.output = this.#child.stdout
    // What keeps it from reading is told by its end; what keeps us from writing more ends it.
    if (input === undefined) this.#child.stdin.on('error', () => undefined).end()
    else
      pipeline(Readable.from(input, { objectMode: false }), this.#child.stdin).catch((error: unknown) => {
        this.#inputFailure ??= { error }
        this.#child.kill('SIGTERM')
      })
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#messages = (this.#messages + text).slice(-MESSAGE_BYTES)
    })
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message))
      this.#child.once('close', (code, how) => resolve(code === 0 ? undefined : (how ?? `exit code ${code}`)))
    })
    this.#abort = () => void this.#child.kill('SIGTERM')
    signal?.addEventListener('abort', this.#abort, { once: true })
  }

  /** What it said. */
  get messages(): string {
    return this.#messages.trim()
  }

  /** Waits for its end. @throws HoldfastError with `code` unless it ended well */
  async succeed(code: 'HF_SOURCE_COMMAND' | 'HF_RESTORE_FAILED' = 'HF_SOURCE_COMMAND'): Promise<void> {
    const end = await this.#ended
    this.#signal?.throwIfAborted()
    if (this.#inputFailure?.error instanceof HoldfastError) throw this.#inputFailure.error
    if (end !== undefined) throw this.failure(code, end)
  }

  failure(code: 'HF_SOURCE_COMMAND' | 'HF_RESTORE_FAILED', end: string): HoldfastError {
    const said = this.messages.split('\n').slice(0, 6).join(' | ')
    return new HoldfastError(code, `${this.#name} failed: ${said === '' ? end : said}`, {
      hint: 'what it says is what PostgreSQL says; the log of the server may say more',
      context: { program: this.#name, end },
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#abort)
    this.#child.stdout.destroy()
    this.#child.kill('SIGTERM')
    await this.#ended
  }
}

/** Runs a program whose output is of no interest. @throws HoldfastError with `code` unless it ends well */
export async function runProgram(
  name: string,
  program: Pick<ClientProgram, 'path'>,
  run: ProgramRun,
  code?: 'HF_SOURCE_COMMAND' | 'HF_RESTORE_FAILED',
): Promise<string> {
  await using running = new RunningProgram(name, program, run)
  const pieces: Buffer[] = []
  for await (const piece of running.output) pieces.push(piece)
  await running.succeed(code)
  return Buffer.concat(pieces).toString('utf8')
}
