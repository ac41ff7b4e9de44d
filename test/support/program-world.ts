import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Where Node keeps what it compiled for all tests: for those whose programs get an environment of their own. */
export function compiledCode(): { readonly NODE_COMPILE_CACHE?: string } {
  const { NODE_COMPILE_CACHE } = process.env
  return NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>
  /** What standard input holds; nothing by default. */
  readonly input?: string
  /** Number of the user and group to run as; needs root. */
  readonly user?: number
}

export interface RunResult {
  readonly exitCode: number
  readonly stdout: Buffer
  readonly stderr: Buffer
}

const PASSWORD = 'correct horse'
const FILE_TIME = new Date('2024-03-01T12:30:15Z')

/**
 * A folder with a small tree of files, repositories and a program that works on them: restic, or one that takes the same command lines.
 * The tree is the same every time; the repository in use is `repository`.
 */
export class ProgramWorld {
  readonly program: readonly string[]
  readonly folder: string

  constructor(program: readonly string[], folder: string) {
    this.program = program
    this.folder = folder
  }

  path(...names: readonly string[]): string {
    return join(this.folder, ...names)
  }

  /** Makes the tree and the password files, without a repository. */
  async prepare(): Promise<void> {
    await mkdir(this.path('home'), { recursive: true })
    await writeFile(this.path('password'), `${PASSWORD}\n`, { mode: 0o600 })
    await writeFile(this.path('wrong-password'), 'battery staple\n', { mode: 0o600 })
    await writeFile(this.path('new-password'), 'another one\n', { mode: 0o600 })
    const files: Readonly<Record<string, string | Uint8Array>> = {
      'a.txt': 'one\ntwo\nthree\n',
      'copy of a.txt': 'one\ntwo\nthree\n',
      'empty.txt': '',
      // Small enough to be one blob wherever the chunker of a repository would cut.
      'big.bin': noise(500_000),
      'sub/b.txt': 'beta\n'.repeat(2000),
      'sub/deep/naïve.txt': 'gamma\n',
      'cache/CACHEDIR.TAG': 'Signature: 8a477f597d28d172789f06886806bc55\n',
      'cache/data': 'not worth keeping\n',
    }
    for (const [name, content] of Object.entries(files)) await this.writeTree(name, content)
    await symlink('a.txt', this.path('tree', 'link'))
    await this.#settle('tree')
  }

  /** Writes a file of the tree. */
  async writeTree(name: string, content: string | Uint8Array): Promise<void> {
    const path = this.path('tree', name)
    await mkdir(join(path, '..'), { recursive: true })
    await writeFile(path, content, { mode: 0o644 })
    await utimes(path, FILE_TIME, FILE_TIME)
  }

  /** The environment every run gets; nothing of the machine's own. */
  environment(): Record<string, string> {
    return {
      PATH: process.env.PATH ?? '',
      HOME: this.path('home'),
      TZ: 'UTC',
      LANG: 'C.UTF-8',
      RESTIC_CACHE_DIR: this.path('cache'),
      RESTIC_REPOSITORY: this.path('repository'),
      RESTIC_PASSWORD_FILE: this.path('password'),
      // Seldom enough that no run is interrupted by a status message.
      RESTIC_PROGRESS_FPS: '0.0001',
      ...compiledCode(),
    }
  }

  start(args: readonly string[], options: RunOptions = {}): ChildProcess {
    const [command, ...before] = this.program
    return spawn(command!, [...before, ...args], {
      cwd: this.folder,
      env: { ...this.environment(), ...options.environment },
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.user === undefined ? {} : { uid: options.user, gid: options.user }),
    })
  }

  async run(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return this.finish(this.start(args, options), options)
  }

  /** Gives a started program its input and waits for its end. */
  async finish(child: ChildProcess, options: RunOptions = {}): Promise<RunResult> {
    // A program that does not read its input may be gone before all of it is written.
    child.stdin!.on('error', () => {})
    child.stdin!.end(options.input ?? '')
    const [stdout, stderr, exitCode] = await Promise.all([
      collect(child.stdout!),
      collect(child.stderr!),
      new Promise<number>((resolve, reject) => {
        child.on('error', reject)
        child.on('close', (code, signal) => (code === null ? reject(new Error(`ended by ${signal}`)) : resolve(code)))
      }),
    ])
    return { exitCode, stdout, stderr }
  }

  /** Runs what has to succeed and gives what it printed. */
  async must(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(args, options)
    if (exitCode !== 0) throw new Error(`${args.join(' ')} ended with ${exitCode}: ${stderr.toString('utf8')}`)
    return stdout.toString('utf8')
  }

  /** Ids of the snapshots, the oldest first. */
  async snapshots(): Promise<readonly string[]> {
    const list = JSON.parse(await this.must(['snapshots', '--json'])) as { id: string; time: string }[]
    return list.sort((a, b) => (a.time < b.time ? -1 : 1)).map(({ id }) => id)
  }

  /** Ids of one type of files in the repository, by name. */
  async files(
    type: 'data' | 'index' | 'keys' | 'locks' | 'snapshots',
    repository = 'repository',
  ): Promise<readonly string[]> {
    const entries = await readdir(this.path(repository, type), { recursive: true, withFileTypes: true })
    return (
      entries
        .filter((entry) => entry.isFile())
        .map(({ name }) => name)
        // Not those that are still being written.
        .filter((name) => /^[0-9a-f]{64}$/.test(name))
        .sort()
    )
  }

  /** The file of a pack. */
  packFile(id: string): string {
    return this.path('repository', 'data', id.slice(0, 2), id)
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }

  async #settle(folder: string): Promise<void> {
    for (const entry of await readdir(this.path(folder), { recursive: true, withFileTypes: true }))
      if (entry.isDirectory()) await utimes(join(entry.parentPath, entry.name), FILE_TIME, FILE_TIME)
    await utimes(this.path(folder), FILE_TIME, FILE_TIME)
  }
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Bytes that do not compress, always the same (xorshift32). */
function noise(length: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4))
  let state = 0x9e3779b9
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[i] = state
  }
  return new Uint8Array(words.buffer).subarray(0, length)
}
