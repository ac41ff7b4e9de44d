import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { HoldfastError } from '../lib/errors.ts'

export interface HookOptions {
  /** As in messages: `pre hook of shop`. */
  readonly what: string
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Gets each line the command prints, on either stream. */
  onLine(line: string): void
  /** Aborting kills the command. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs a command that stands around a backup, as an argument vector and without a shell.
 * @throws HoldfastError HF_SOURCE_COMMAND when it cannot be started or fails; the signal's reason
 */
export async function runHook(command: readonly string[], options: HookOptions): Promise<void> {
  const { what, environment, onLine, signal } = options
  signal?.throwIfAborted()
  const [program = '', ...args] = command
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...environment } })
  const kill = (): void => {
    child.kill('SIGKILL')
  }
  signal?.addEventListener('abort', kill, { once: true })
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', onLine)
  try {
    const failure = await new Promise<string | undefined>((resolve) => {
      child.on('error', (error) => resolve(`cannot be run: ${error.message}`))
      child.on('close', (code, killedBy) => {
        if (code === 0) resolve(undefined)
        else resolve(killedBy === null ? `failed: exit status ${code}` : `was ended by ${killedBy}`)
      })
    })
    signal?.throwIfAborted()
    if (failure !== undefined)
      throw new HoldfastError('HF_SOURCE_COMMAND', `the ${what}, ${JSON.stringify(program)}, ${failure}`, {
        hint: 'a hook is a list of arguments, run without a shell; what it printed is above',
      })
  } finally {
    signal?.removeEventListener('abort', kill)
  }
}
