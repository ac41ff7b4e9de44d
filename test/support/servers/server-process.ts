import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { killAll } from '../../../src/sources/sandbox/processes.ts'

export interface ServerProgram {
  /** A path, or the name of a command. */
  readonly program: string
  readonly args: readonly string[]
  /** Where it works; removed when it is stopped. */
  readonly folder: string
  /** That of the test by default. */
  readonly env?: NodeJS.ProcessEnv
  /** Whom it runs as, where that is not the user of the test. */
  readonly user?: { readonly uid?: number; readonly gid?: number }
  /** Whether it can be used now; asked again and again. `said` is the end of what it wrote so far. */
  readonly isReady: (said: string) => boolean | Promise<boolean>
}

const START_TRIES = 400
const KEPT_BYTES = 4000

/** A server that is a process in the foreground. It and all that it started end with the process of the test at the latest. */
export class ServerProcess implements AsyncDisposable {
  readonly #server: ServerProgram
  #child: ChildProcess | undefined
  #gone: Promise<void> = Promise.resolve()
  /** What it writes goes to a file: a pipe that nobody reads, while a test waits for a program, would stop the server. */
  #output: number | undefined
  #failure = ''

  constructor(server: ServerProgram) {
    this.#server = server
    process.once('exit', this.#killNow)
  }

  get pid(): number {
    return this.#child!.pid!
  }

  /** Also after `kill`: with the same arguments, on what it had stored. */
  async start(): Promise<void> {
    const { program, args, folder, env, user, isReady } = this.#server
    this.#closeOutput()
    this.#output = openUnnamed()
    this.#failure = ''
    const child = spawn(program, args, {
      cwd: folder,
      stdio: ['ignore', this.#output, this.#output],
      ...(env === undefined ? {} : { env }),
      ...user,
    })
    this.#child = child
    let isRunning = true
    this.#gone = new Promise((resolve) => {
      const end = (): void => {
        isRunning = false
        resolve()
      }
      child.once('exit', end)
      child.once('error', (error) => {
        this.#failure = error.message
        end()
      })
    })
    for (let tries = 0; tries < START_TRIES && isRunning; tries += 1) {
      if (await isReady(this.#said())) return
      await sleep(10 + tries)
    }
    throw new Error(`${program} did not start: ${this.#said()}${this.#failure}`)
  }

  /** At once, with all that it started. */
  async kill(): Promise<void> {
    this.#killNow()
    await this.#gone
  }

  async stop(): Promise<void> {
    process.off('exit', this.#killNow)
    await this.kill()
    this.#closeOutput()
    rmSync(this.#server.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** The end of what it wrote so far. */
  #said(): string {
    const end = fstatSync(this.#output!).size
    const length = Math.min(end, KEPT_BYTES)
    const tail = Buffer.alloc(length)
    readSync(this.#output!, tail, 0, length, end - length)
    return tail.toString()
  }

  #closeOutput(): void {
    if (this.#output !== undefined) closeSync(this.#output)
    this.#output = undefined
  }

  readonly #killNow = (): void => {
    const child = this.#child
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    killAll([...processesBelow(child.pid), child.pid])
  }
}

/** A file for appending that is gone when it is closed. */
function openUnnamed(): number {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-server-output-'))
  try {
    return openSync(join(folder, 'output'), 'a+')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** @throws Error with what the program said when it does not start */
export async function startProcess(server: ServerProgram): Promise<ServerProcess> {
  const started = new ServerProcess(server)
  try {
    await started.start()
  } catch (error) {
    await started.stop()
    throw error
  }
  return started
}

/** The processes that one has started, and those that they have started, on Linux. */
export function processesBelow(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number)
    return children.flatMap((child) => [...processesBelow(child), child])
  } catch {
    return []
  }
}

/** Whether something takes connections at a port of 127.0.0.1. */
export const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })

/** Whether an address answers a request, and well. */
export const answers = (url: string): Promise<boolean> =>
  fetch(url).then(
    async (response) => {
      await response.body?.cancel()
      return response.ok
    },
    () => false,
  )
