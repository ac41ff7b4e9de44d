import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findDifference } from './equal.ts'
import { type Measurement, measure } from './measure.ts'
import { settle } from './settle.ts'
import type { Tool, ToolName } from './tools.ts'

/** What is backed up: absolute paths under one name. */
export interface Subject {
  readonly label: string
  readonly paths: readonly string[]
}

export interface Run extends Omit<Measurement, 'stdout' | 'stderr'> {
  readonly case: string
  readonly tool: ToolName
  readonly round: number
}

export interface StoredSize {
  readonly subject: string
  readonly tool: ToolName
  readonly bytes: number
}

/** Why figures of a case do not count. */
export interface Objection {
  readonly case: string
  readonly reason: string
}

export interface WorkbenchOptions {
  /** Repositories, caches and restored files go below it. */
  readonly folder: string
  readonly tools: readonly [Tool, Tool]
  readonly rounds: number
  /** Whether each run waits for the disk to come to rest. */
  readonly waits: boolean
  /** How many snapshots the repository of the prune case has. */
  readonly snapshots: number
  readonly say: (text: string) => void
}

/** The folder in which the two tools are compared, and all that was measured there. */
export class Workbench {
  readonly tools: readonly [Tool, Tool]
  readonly rounds: number
  readonly runs: Run[] = []
  readonly sizes: StoredSize[] = []
  readonly objections: Objection[] = []
  readonly snapshots: number
  readonly #waits: boolean
  readonly #folder: string
  readonly #say: (text: string) => void
  readonly passwordFile: string

  constructor(options: WorkbenchOptions) {
    this.tools = options.tools
    this.rounds = options.rounds
    this.snapshots = options.snapshots
    this.#waits = options.waits
    this.#folder = options.folder
    this.#say = options.say
    this.passwordFile = join(options.folder, 'password')
    rmSync(options.folder, { recursive: true, force: true })
    mkdirSync(options.folder, { recursive: true })
    writeFileSync(this.passwordFile, 'benchmark\n', { mode: 0o600 })
  }

  /** Deletes everything it made. */
  close(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** Measures `work` of both tools in turn, A B B A ..., each run after the disk has come to rest. */
  async inTurn(name: string, work: (tool: Tool, round: number) => Promise<Measurement>): Promise<void> {
    for (let round = 0; round < this.rounds; round++) {
      for (const tool of round % 2 === 0 ? this.tools : [...this.tools].reverse()) {
        const measured = await work(tool, round)
        const { stdout: _, stderr, ...figures } = measured
        this.runs.push({ case: name, tool: tool.name, round, ...figures })
        if (measured.exitCode !== 0)
          this.object(name, `${tool.name} ended with ${measured.exitCode}: ${lastLine(stderr)}`)
        this.#say(
          `${name} ${round + 1}/${this.rounds} ${tool.name}: ${(figures.wallMs / 1000).toFixed(2)} s, ` +
            `${(figures.cpuMs / 1000).toFixed(2)} CPU s, ${(figures.peakBytes / 1e6).toFixed(0)} MB, steal ${figures.stealMs} ms`,
        )
      }
    }
  }

  object(name: string, reason: string): void {
    this.objections.push({ case: name, reason })
    this.#say(`${name} does not count: ${reason}`)
  }

  repository(tool: Tool, label: string): string {
    return join(this.#folder, `repository-${label}-${tool.name}`)
  }

  folderFor(...names: readonly (string | number)[]): string {
    return join(this.#folder, names.join('-'))
  }

  /** Runs a tool on one of its repositories, after the disk has come to rest. */
  async run(
    tool: Tool,
    label: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Measurement> {
    if (this.#waits) await settle()
    return measure([tool.program, '-r', this.repository(tool, label), '--password-file', this.passwordFile, ...args], {
      environment: {
        PATH: process.env.PATH,
        HOME: this.#folder,
        XDG_CACHE_HOME: this.#cacheFolder(tool),
        TMPDIR: process.env.TMPDIR ?? '/tmp',
        ...environment,
      },
    })
  }

  /** The same where nothing is measured; throws when the tool fails. */
  async mustRun(tool: Tool, label: string, args: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(tool, label, args)
    if (exitCode !== 0) throw new Error(`${tool.name} ${args.join(' ')}: ${lastLine(stderr)}`)
    return stdout
  }

  /** An empty repository of the tool's own making. */
  async initialise(tool: Tool, label: string): Promise<void> {
    rmSync(this.repository(tool, label), { recursive: true, force: true })
    await this.mustRun(tool, label, ['init'])
  }

  /** Makes sure that each tool has a repository with at least one snapshot of `subject`. */
  async ensureBackedUp(subject: Subject): Promise<void> {
    for (const tool of this.tools) {
      if (existsSync(this.repository(tool, subject.label))) continue
      await this.initialise(tool, subject.label)
      await this.mustRun(tool, subject.label, ['backup', '--quiet', ...subject.paths])
    }
  }

  recordSizes(subject: Subject): void {
    for (const tool of this.tools) {
      this.sizes.push({
        subject: subject.label,
        tool: tool.name,
        bytes: sizeOfFolder(this.repository(tool, subject.label)),
      })
    }
  }

  /** restic has to find every byte of Holdfast's repository right, else nothing measured on it counts. */
  async verify(name: string, label: string): Promise<void> {
    const [restic, holdfast] = [this.#tool('restic'), this.#tool('holdfast')]
    const location = this.repository(holdfast, label)
    const { exitCode, stderr } = await measure(
      [restic.program, '-r', location, '--password-file', this.passwordFile, '--no-cache', 'check', '--read-data'],
      { environment: { PATH: process.env.PATH, HOME: this.#folder } },
    )
    if (exitCode !== 0) this.object(name, `restic check --read-data of Holdfast's repository: ${lastLine(stderr)}`)
  }

  /** What was restored to `target` has to equal what was backed up. */
  compareRestored(name: string, tool: Tool, subject: Subject, target: string): void {
    for (const path of subject.paths) {
      const difference = existsSync(join(target, path))
        ? findDifference(path, join(target, path))
        : `${path} is not there`
      if (difference !== undefined) this.object(name, `${tool.name} restored something else: ${difference}`)
    }
  }

  #tool(name: ToolName): Tool {
    return this.tools.find((tool) => tool.name === name)!
  }

  #cacheFolder(tool: Tool): string {
    const folder = join(this.#folder, `cache-${tool.name}`)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    return folder
  }
}

/** What a program said last; lines of a stack trace say nothing. */
function lastLine(text: string): string {
  const lines = text
    .split('\n')
    .filter((line) => line.trim() !== '' && !/^\s+at /.test(line) && !/^Node\.js v/.test(line))
  return lines.at(-1)?.trim() ?? ''
}

function sizeOfFolder(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
}
