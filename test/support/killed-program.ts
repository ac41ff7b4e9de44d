import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const program = join(import.meta.dirname, '../../bin/holdfast')

export interface ProgramRun {
  readonly environment?: Readonly<Record<string, string>>
  /** Sends `signal` as soon as this is so; asked every few milliseconds. */
  readonly when?: (() => boolean | Promise<boolean>) | undefined
  readonly signal?: NodeJS.Signals
}

export interface ProgramEnd {
  /** Null when a signal ended it. */
  readonly status: number | null
  readonly output: string
}

/** Runs the real program in a process of its own, to its end or until it is the moment to stop it. */
export async function runProgram(
  args: readonly string[],
  { environment = {}, when, signal = 'SIGKILL' }: ProgramRun = {},
): Promise<ProgramEnd> {
  const child = spawn(program, args, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text))
  const ended = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null
  try {
    while (when && isRunning() && !(await when())) await sleep(2)
    if (when && isRunning()) child.kill(signal)
    return { status: await ended, output }
  } finally {
    if (isRunning()) child.kill('SIGKILL')
  }
}

/** How many files a repository in a folder has of a kind; 0 where there is no such folder. */
export function countFiles(repository: string, kind: string): number {
  try {
    const entries = readdirSync(join(repository, kind), { recursive: true, withFileTypes: true })
    return entries.filter((entry) => entry.isFile() && /^[0-9a-f]{64}$/.test(entry.name)).length
  } catch (error) {
    // A folder that goes while it is listed is counted the next time.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw error
  }
}
