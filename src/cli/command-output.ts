import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { HoldfastError } from '../lib/errors.ts'

export interface CommandOutputOptions {
  /** Aborting kills the command. */
  readonly signal: AbortSignal
  /** Gets each line the command writes to standard error. */
  onErrorLine(line: string): void
}

/**
 * What a command prints. It is started, without a shell and without standard input, when the first piece is asked for, and killed when the
 * reader goes away.
 * @throws HoldfastError HF_SOURCE_COMMAND when it cannot be started or fails, after all it printed; the signal's reason
 */
export async function* readCommandOutput(
  commandLine: readonly string[],
  { signal, onErrorLine }: CommandOutputOptions,
): AsyncGenerator<Uint8Array> {
  const [program = '', ...args] = commandLine
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const failed = (reason: string, cause?: unknown): HoldfastError =>
    new HoldfastError('HF_SOURCE_COMMAND', `command ${JSON.stringify(program)} ${reason}`, {
      cause,
      hint: 'no snapshot was made; the command is run without a shell',
    })
  const ended = new Promise<HoldfastError | undefined>((resolve) => {
    child.on('error', (error) => resolve(failed(`cannot be run: ${error.message}`, error)))
    child.on('close', (code, killedBy) => {
      if (code === 0) resolve(undefined)
      else resolve(failed(killedBy === null ? `failed: exit status ${code}` : `was ended by ${killedBy}`))
    })
  })
  createInterface({ input: child.stderr }).on('line', onErrorLine)
  const stop = (): void => {
    child.stdout.destroy(signal.reason)
  }
  signal.addEventListener('abort', stop, { once: true })
  try {
    signal.throwIfAborted()
    for await (const chunk of child.stdout) yield chunk as Uint8Array
    const failure = await ended
    if (failure !== undefined) throw failure
  } finally {
    signal.removeEventListener('abort', stop)
    if (child.exitCode === null) child.kill('SIGKILL')
  }
}
