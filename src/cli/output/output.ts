import { HoldfastError } from '../../lib/errors.ts'
import type { OutputStream, Terminal } from '../terminal.ts'
import { jsonLine } from './json.ts'
import { quoteUnprintable, truncate } from './width.ts'

/** 0: errors and results only (`--quiet`), 1: normal, 2: `-v`, 3: `-vv`. */
export type Verbosity = 0 | 1 | 2 | 3

export interface OutputOptions {
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  readonly terminal: Terminal
  readonly json: boolean
  readonly verbosity: Verbosity
  /** Called once when standard output cannot be written to any more. */
  readonly onClosed?: (error: HoldfastError) => void
}

const CLEAR_LINE = '\r\x1b[2K'
const LINE_UP = '\x1b[1A'

/**
 * Everything the program writes goes through here, so that messages and the status lines of a terminal do not mix. Messages for people
 * (`print`, `detail`, `debug`) are left out in JSON mode; `result` and `json` are what a command was asked for.
 */
export class Output {
  readonly json: boolean
  readonly verbosity: Verbosity
  readonly terminal: Terminal
  readonly #stdout: OutputStream
  readonly #stderr: OutputStream
  readonly #onClosed: ((error: HoldfastError) => void) | undefined
  /** What the terminal shows below the messages. */
  #status: readonly string[] = []
  /** Where lines cannot be written over: what was printed last. */
  #printed: readonly string[] = []
  #pending = 0
  #idle: (() => void)[] = []
  #closed: HoldfastError | undefined

  constructor(options: OutputOptions) {
    this.json = options.json
    this.verbosity = options.verbosity
    this.terminal = options.terminal
    this.#stdout = options.stdout
    this.#stderr = options.stderr
    this.#onClosed = options.onClosed
  }

  /** A line the command was asked for, whatever the verbosity. */
  result(text: string): void {
    this.#line(this.#stdout, text)
  }

  /** One message of JSON lines, or a whole JSON document, on standard output. */
  message(value: unknown): void {
    this.#line(this.#stdout, jsonLine(value))
  }

  /** A message for people. */
  print(text: string): void {
    if (this.#talks(1)) this.#line(this.#stdout, text)
  }

  /** A message for people at a terminal; left out in pipes. */
  remark(text: string): void {
    if (this.#talks(1) && this.terminal.outputIsTerminal) this.#line(this.#stdout, text)
  }

  /** A message for people who asked for more (-v). */
  detail(text: string): void {
    if (this.#talks(2)) this.#line(this.#stdout, text)
  }

  /** A message for people who asked for everything (-vv). */
  debug(text: string): void {
    if (this.#talks(3)) this.#line(this.#stdout, text)
  }

  /** A warning or an error that does not end the command, on standard error. */
  warn(text: string): void {
    this.#line(this.#stderr, text)
  }

  /** The same as a JSON message, for programs. */
  warnMessage(value: unknown): void {
    this.#line(this.#stderr, jsonLine(value))
  }

  /** A question on standard error, without a line feed after it; resolves when it can be seen. */
  async ask(question: string): Promise<void> {
    this.#drawStatus([])
    await new Promise<void>((resolve) => this.#begin(this.#stderr, question, resolve))
  }

  /**
   * Bytes as they are, on standard output; resolves when there is room for more.
   * @throws HoldfastError HF_OUTPUT_CLOSED when nobody reads them, HF_OUTPUT_FAILED
   */
  async write(bytes: Uint8Array): Promise<void> {
    this.#drawStatus([])
    await new Promise<void>((resolve) => {
      this.#begin(this.#stdout, bytes, resolve)
    })
    if (this.#closed !== undefined) throw this.#closed
  }

  /**
   * Replaces the status lines below the messages. On a terminal they are drawn over; elsewhere each changed line is printed once, which
   * happens only when a rate was asked for.
   */
  status(lines: readonly string[]): void {
    const shown = lines.map(quoteUnprintable)
    if (!this.terminal.canUpdateStatus) {
      if (shown.join('\n') !== this.#printed.join('\n')) for (const line of shown) this.#line(this.#stdout, line)
      this.#printed = shown
      return
    }
    if (this.terminal.isBackground()) return
    this.#drawStatus(shown.map((line) => truncate(line, this.terminal.columns - 2)))
  }

  /** Resolves when everything has been handed to the system. */
  async flush(): Promise<void> {
    this.#drawStatus([])
    if (this.#pending > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  #talks(level: Verbosity): boolean {
    return !this.json && this.verbosity >= level
  }

  #line(stream: OutputStream, text: string): void {
    const line = text.endsWith('\n') ? text : `${text}\n`
    const status = this.#status
    if (status.length === 0) {
      this.#begin(stream, line)
      return
    }
    this.#drawStatus([])
    this.#begin(stream, line)
    this.#drawStatus(status)
  }

  // The cursor stays at the beginning of the first status line, so that a message simply overwrites them.
  #drawStatus(lines: readonly string[]): void {
    const before = this.#status
    if (before.length === 0 && lines.length === 0) return
    const height = Math.max(before.length, lines.length)
    const rows = Array.from({ length: height }, (_, row) => CLEAR_LINE + (lines[row] ?? ''))
    this.#begin(this.#stdout, `${rows.join('\n')}\r${LINE_UP.repeat(height - 1)}`)
    this.#status = lines
  }

  #begin(stream: OutputStream, data: string | Uint8Array, written?: () => void): void {
    this.#pending++
    stream.write(data, (error) => {
      this.#pending--
      if (error != null && stream === this.#stdout) this.#close(error)
      written?.()
      if (this.#pending === 0) for (const resolve of this.#idle.splice(0)) resolve()
    })
  }

  #close(cause: Error): void {
    if (this.#closed !== undefined) return
    const closed = (cause as NodeJS.ErrnoException).code === 'EPIPE'
    this.#closed = closed
      ? new HoldfastError('HF_OUTPUT_CLOSED', 'standard output was closed by its reader', { cause })
      : new HoldfastError('HF_OUTPUT_FAILED', `standard output cannot be written to: ${cause.message}`, { cause })
    this.#onClosed?.(this.#closed)
  }
}
