import { type ChildProcess, spawn } from 'node:child_process'
import { Duplex } from 'node:stream'
import { HoldfastError, systemErrorCode } from '../../lib/errors.ts'

/** A program that is talked to by its standard input and output. */
export interface ChildStream {
  readonly stream: Duplex
  /** The last that it said on standard error, on one line. */
  readonly said: string
  /** How it ended; resolves when it has. */
  readonly ended: Promise<string>
  setBusy(isBusy: boolean): void
  /** Closes its input, and ends it when that is not enough. */
  close(): Promise<void>
}

export interface ChildOptions {
  readonly program: string
  readonly args: readonly string[]
  readonly environment: Readonly<Record<string, string | undefined>>
}

const KEPT_TEXT = 2000
/** A program has so long to end by itself, and so long again when told to. */
const PATIENCE_MS = 3000

/**
 * Starts a program, without a shell, in a session of its own: a Ctrl-C at the terminal must not end it while there is still a lock to be removed.
 * @throws HoldfastError HF_STORAGE_LOCATION when there is no such program
 */
export async function startChild({ program, args, environment }: ChildOptions): Promise<ChildStream> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...environment }, detached: true })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (cause) => {
      const isMissing = systemErrorCode(cause) === 'ENOENT'
      const why = isMissing ? 'there is no such program' : cause.message
      reject(
        new HoldfastError('HF_STORAGE_LOCATION', `cannot start ${program}: ${why}`, {
          cause,
          hint: isMissing ? `Install ${program}, or name another program.` : 'Check that it may be run.',
        }),
      )
    })
  })
  return watch(child)
}

function watch(child: ChildProcess): ChildStream {
  const { stdin, stdout, stderr } = child
  let text = ''
  stderr!.setEncoding('utf8').on('data', (piece: string) => {
    text = (text + piece).slice(-KEPT_TEXT)
  })
  const ended = new Promise<string>((resolve) => {
    child.once('close', (code, signal) => resolve(signal === null ? `exit status ${code}` : `signal ${signal}`))
  })
  const stream = Duplex.from({ writable: stdin!, readable: stdout! })
  // A program that ends takes its pipes along; that it ended is what there is to tell.
  stdin!.on('error', () => stream.destroy())
  const parts = [child, ...[stdin, stdout, stderr].map((pipe) => pipe as unknown as Refable)]
  return {
    stream,
    get said() {
      return text
        .replace(/[^\x20-\x7e]+/g, ' ')
        .trim()
        .slice(-300)
    },
    ended,
    setBusy: (isBusy) => {
      for (const part of parts) {
        if (isBusy) part.ref?.()
        else part.unref?.()
      }
    },
    close: async () => {
      for (const part of parts) part.ref?.()
      stdin!.end()
      stdout!.resume()
      if (await isOver(ended)) return
      child.kill('SIGTERM')
      if (await isOver(ended)) return
      child.kill('SIGKILL')
      await ended
    },
  }
}

interface Refable {
  ref?(): void
  unref?(): void
}

/** Whether it comes to an end while we are patient. */
async function isOver(ended: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const patience = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), PATIENCE_MS)
  })
  const result = await Promise.race([ended.then(() => true), patience])
  clearTimeout(timer)
  return result
}
