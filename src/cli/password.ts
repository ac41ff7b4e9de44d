import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { splitCommandLine } from '../lib/command-line.ts'
import { HoldfastError, isHoldfastError, systemErrorCode } from '../lib/errors.ts'
import { trimSpace } from '../lib/white-space.ts'
import type { PasswordSource } from './access.ts'
import type { CommandContext } from './context.ts'
import { readLine } from './input.ts'
import type { NewKeyOptions } from './options/new-password.ts'
import { decodeText } from './text-file.ts'

/** How often a wrong password may be typed again. */
const TRIES = 3
const MAX_COMMAND_OUTPUT_BYTES = 1024 * 1024
const WORLD_READABLE = 0o004

type PasswordContext = Pick<CommandContext, 'output' | 'stdin' | 'signal' | 'terminal'>

/**
 * Calls `open` with the password of an existing repository. At a terminal a wrong password may be typed again, twice.
 * @throws HoldfastError what `open` throws; HF_PASSWORD_MISSING, HF_USAGE when there is no usable password
 */
export async function withPassword<T>(
  context: PasswordContext,
  source: PasswordSource,
  prompt: string,
  open: (password: string) => Promise<T>,
): Promise<T> {
  let tries = source.kind === 'prompt' && context.terminal.inputIsTerminal ? TRIES : 1
  for (;;) {
    try {
      return await open(await readPassword(context, source, prompt))
    } catch (error) {
      tries--
      if (tries === 0 || !isHoldfastError(error, 'HF_KEY_WRONG_PASSWORD', 'HF_PASSWORD_MISSING')) throw error
      context.output.warn(`${error.message}. Try again`)
    }
  }
}

/**
 * The password of a repository that is about to be made; typed twice at a terminal.
 * @throws HoldfastError HF_USAGE when the two differ; HF_PASSWORD_MISSING
 */
export async function readFirstPassword(context: PasswordContext, source: PasswordSource): Promise<string> {
  return source.kind === 'prompt'
    ? promptTwice(context, 'enter password for new repository: ')
    : readPassword(context, source, '')
}

/** The password for `key add` and `key passwd`; typed twice at a terminal. */
export async function readNewPassword(context: PasswordContext, options: NewKeyOptions): Promise<string> {
  if (options.newInsecureNoPassword) return ''
  if (options.newPasswordFile !== undefined)
    return readPasswordFile(context, options.newPasswordFile, '--new-insecure-no-password')
  return promptTwice(context, 'enter new password: ')
}

async function readPassword(context: PasswordContext, source: PasswordSource, prompt: string): Promise<string> {
  switch (source.kind) {
    case 'empty':
      return ''
    case 'secret':
      return source.read()
    case 'variable':
      return source.password
    case 'file':
      return readPasswordFile(context, source.path, '--insecure-no-password')
    case 'command':
      return runPasswordCommand(source.command, context.signal)
    case 'prompt':
      return promptPassword(context, prompt)
  }
}

async function readPasswordFile(context: PasswordContext, path: string, emptyOption: string): Promise<string> {
  const what = `password file ${path}`
  let bytes: Uint8Array
  try {
    await using file = await open(path)
    const { mode } = await file.stat()
    if ((mode & 0o170000) === 0o100000 && (mode & WORLD_READABLE) !== 0)
      context.output.warn(`Warning: ${what} can be read by every user of this machine; run: chmod 600 ${path}`)
    bytes = await file.readFile()
  } catch (cause) {
    const reason =
      systemErrorCode(cause) === 'ENOENT' ? 'does not exist' : `cannot be read: ${(cause as Error).message}`
    throw new HoldfastError('HF_USAGE', `${what} ${reason}`, { cause })
  }
  return notEmpty(trimSpace(decodeText(bytes, what)), `${what} is empty`, emptyOption)
}

/** Runs the command without a shell; what it writes to standard error is shown. */
async function runPasswordCommand(commandLine: string, signal: AbortSignal): Promise<string> {
  const [program, ...args] = splitCommandLine(commandLine)
  const output = await new Promise<Uint8Array>((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], signal })
    const chunks: Buffer[] = []
    let sizeBytes = 0
    const failed = (reason: string, cause?: unknown): void =>
      reject(
        signal.aborted
          ? signal.reason
          : new HoldfastError('HF_USAGE', `password command ${JSON.stringify(program)} ${reason}`, {
              cause,
              hint: 'check --password-command; it is run without a shell',
            }),
      )
    child.stdout.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length
      if (sizeBytes > MAX_COMMAND_OUTPUT_BYTES) child.kill()
      else chunks.push(chunk)
    })
    child.on('error', (error) => failed(`cannot be run: ${error.message}`, error))
    child.on('close', (code, killedBy) => {
      if (sizeBytes > MAX_COMMAND_OUTPUT_BYTES) failed('printed more than 1 MiB')
      else if (code === 0) resolve(Buffer.concat(chunks))
      else failed(killedBy === null ? `failed with exit status ${code}` : `was ended by ${killedBy}`)
    })
  })
  const what = 'what the password command printed'
  return notEmpty(trimSpace(decodeText(output, what)), 'the password command printed nothing', '--insecure-no-password')
}

async function promptTwice(context: PasswordContext, prompt: string): Promise<string> {
  const first = await promptPassword(context, prompt)
  if (!context.terminal.inputIsTerminal) return first
  if ((await promptPassword(context, 'enter password again: ')) !== first)
    throw new HoldfastError('HF_USAGE', 'passwords do not match', { hint: 'nothing was changed; try again' })
  return first
}

/** At a terminal asks without echo; else takes the first line of standard input. */
async function promptPassword({ output, stdin, signal, terminal }: PasswordContext, prompt: string): Promise<string> {
  if (!terminal.inputIsTerminal) output.remark('reading repository password from stdin')
  else await output.ask(prompt)
  const password = await readLine(stdin, { hidden: terminal.inputIsTerminal, signal })
  if (terminal.inputIsTerminal) await output.ask('\n')
  if (password === undefined && !terminal.inputIsTerminal)
    throw new HoldfastError('HF_PASSWORD_MISSING', 'no password was given, and standard input holds none', {
      hint: 'give --password-file or --password-command, or set HOLDFAST_PASSWORD',
    })
  return notEmpty(password ?? '', 'the password is empty', '--insecure-no-password')
}

function notEmpty(password: string, message: string, option: string): string {
  if (password !== '') return password
  throw new HoldfastError('HF_PASSWORD_MISSING', message, {
    hint: `an empty password has to be asked for with ${option}`,
  })
}
