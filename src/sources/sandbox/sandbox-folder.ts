import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  lchownSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { userId } from '../../engine/posix/owner-names.ts'
import { systemClock } from '../../lib/clock.ts'
import { HoldfastError } from '../../lib/errors.ts'
import { workerModule } from '../../lib/worker-pool.ts'
import { isAlive, killAll, processesIn } from './processes.ts'
import { barrierTo } from './reachable.ts'

export interface SandboxOptions {
  /**
   * Where sandboxes are made: a folder that the user servers run as can reach. Default: HOLDFAST_SANDBOX_DIR, else the folder for temporary
   * files, or the system's where that one is closed to others.
   */
  readonly root?: string | undefined
}

export interface ProcessOptions {
  /** Nothing but this and PATH is passed on. */
  readonly environment?: Readonly<Record<string, string>>
  /** Default: the sandbox. */
  readonly directory?: string
}

/** Whom servers run as when Holdfast runs as root, which databases refuse and which a foreign dump must not have. */
const UNPRIVILEGED_USER = 'nobody'
const SYSTEM_FOLDERS = ['/tmp', '/var/tmp']
const NAME = /^holdfast-sandbox-([0-9]+)-/
const REMOVAL = { recursive: true, force: true, maxRetries: 10, retryDelay: 100 } as const
const LOG_TAIL_BYTES = 64 * 1024

/**
 * A new folder for throw-away servers and what is restored for them. It goes, with everything that runs in it, when it is disposed of, and
 * also when this process is killed: a watchdog sees to that, and if that was killed too, the next sandbox of this machine.
 */
export class SandboxFolder implements AsyncDisposable {
  readonly path: string
  /** Options of `spawn` that make a program run as somebody who may do nothing else. */
  readonly user: { readonly uid?: number; readonly gid?: number }
  readonly #watchdog: ChildProcess
  readonly #processes: SandboxProcess[] = []

  private constructor(path: string, user: SandboxFolder['user']) {
    this.path = path
    this.user = user
    this.#watchdog = spawn(process.execPath, [fileURLToPath(workerModule(import.meta.url, 'watchdog')), path], {
      cwd: '/',
      // Not in our process group: what interrupts us must not end it before us.
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    this.#watchdog.on('error', () => undefined)
    this.#watchdog.stdin!.on('error', () => undefined)
    this.#watchdog.unref()
  }

  /** @throws HoldfastError HF_TARGET_INVALID when there can be no folder */
  static create(options: SandboxOptions = {}): SandboxFolder {
    const root = SandboxFolder.root(options)
    const user = unprivilegedUser()
    try {
      removeLeftovers(root)
      const path = mkdtempSync(join(root, `holdfast-sandbox-${process.pid}-`))
      chmodSync(path, 0o700)
      if (user.uid !== undefined) chownSync(path, user.uid, user.gid)
      return new SandboxFolder(path, user)
    } catch (cause) {
      throw noSandbox(root, cause)
    }
  }

  /** The folder in which sandboxes are made. @throws HoldfastError HF_TARGET_INVALID when there can be none */
  static root({ root: named = process.env.HOLDFAST_SANDBOX_DIR }: SandboxOptions = {}): string {
    const user = unprivilegedUser()
    const barrierOf = (folder: string): string | undefined =>
      user.uid === undefined ? undefined : barrierTo(folder, user)
    let root = named ?? tmpdir()
    try {
      root = named ?? [root, ...SYSTEM_FOLDERS].find((folder) => barrierOf(folder) === undefined) ?? root
      const barrier = barrierOf(root)
      if (barrier !== undefined)
        throw new Error(`${UNPRIVILEGED_USER}, whom servers run as, may not go through ${barrier}`)
      return root
    } catch (cause) {
      throw noSandbox(root, cause)
    }
  }

  /** Gives everything below `path`, as it was restored, to the user servers run as. */
  handOver(path: string): void {
    const { uid, gid } = this.user
    if (uid === undefined || gid === undefined) return
    lchownSync(path, uid, gid)
    if (!lstatSync(path).isDirectory()) return
    for (const entry of readdirSync(path, { withFileTypes: true, recursive: true }))
      lchownSync(join(entry.parentPath, entry.name), uid, gid)
  }

  /** Starts a program that ends with the sandbox. What it prints goes to `NAME.log` in the folder. */
  start(name: string, program: string, args: readonly string[], options: ProcessOptions = {}): SandboxProcess {
    const started = new SandboxProcess(this, name, program, args, options)
    this.#processes.push(started)
    return started
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((started) => started.stop('SIGKILL')))
    killAll(processesIn(this.path).filter((pid) => pid !== this.#watchdog.pid))
    rmSync(this.path, REMOVAL)
    this.#watchdog.kill('SIGKILL')
  }
}

type SandboxUser = { readonly uid: number; readonly gid: number } | { readonly uid?: never; readonly gid?: never }

function unprivilegedUser(): SandboxUser {
  if (process.getuid?.() !== 0) return {}
  const uid = userId(UNPRIVILEGED_USER) ?? 65_534
  return { uid, gid: uid }
}

const noSandbox = (root: string, cause: unknown): HoldfastError =>
  new HoldfastError('HF_TARGET_INVALID', `no sandbox can be made in ${root}: ${(cause as Error).message}`, {
    cause,
    hint: 'name a folder with enough room, which others may go through, in HOLDFAST_SANDBOX_DIR',
  })

/** A program that runs in a sandbox. */
export class SandboxProcess {
  readonly logPath: string
  /** How it ended: an exit code, the name of a signal, or why it could not be started. */
  readonly ended: Promise<string>
  readonly #child: ChildProcess
  #end: string | undefined

  constructor(
    sandbox: SandboxFolder,
    name: string,
    program: string,
    args: readonly string[],
    { environment, directory }: ProcessOptions,
  ) {
    this.logPath = join(sandbox.path, `${name}.log`)
    const log = openSync(this.logPath, 'a', 0o600)
    try {
      this.#child = spawn(program, args, {
        ...sandbox.user,
        cwd: directory ?? sandbox.path,
        stdio: ['ignore', log, log],
        env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', ...environment },
      })
    } finally {
      closeSync(log)
    }
    this.ended = new Promise((resolve) => {
      const end = (how: string): void => {
        this.#end ??= how
        resolve(this.#end)
      }
      this.#child.once('error', (error) => end(`it cannot be started: ${error.message}`))
      this.#child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`))
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** How it ended, as far as it has. */
  get end(): string | undefined {
    return this.#end
  }

  /** What it printed last. */
  log(): string {
    try {
      return readFileSync(this.logPath).subarray(-LOG_TAIL_BYTES).toString('utf8')
    } catch {
      return ''
    }
  }

  /** Asks it to end with `signal`, insists after `patienceMs`, and waits until it has. */
  async stop(signal: NodeJS.Signals, patienceMs = 10_000): Promise<void> {
    if (this.#end !== undefined) return
    this.#child.kill(signal)
    const patience = new AbortController()
    const impatience = systemClock.sleep(patienceMs, patience.signal).then(
      () => this.#child.kill('SIGKILL'),
      () => undefined,
    )
    await this.ended
    patience.abort()
    await impatience
  }
}

/** Sandboxes whose owner has ended without removing them. */
function removeLeftovers(root: string): void {
  const ours = new Set([process.getuid?.(), userId(UNPRIVILEGED_USER)])
  for (const entry of readdirSync(root, { withFileTypes: true })) {
    const owner = Number(NAME.exec(entry.name)?.[1])
    if (!(owner > 0) || !entry.isDirectory() || isAlive(owner)) continue
    const path = join(root, entry.name)
    // A folder somebody else put here with such a name is none of our business.
    if (!ours.has(lstatSync(path).uid)) continue
    killAll(processesIn(path))
    rmSync(path, REMOVAL)
  }
}
