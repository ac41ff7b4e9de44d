import { type ByteString, byteStringToText } from '../../engine/repository/tree/node.ts'
import type { Output } from './output.ts'
import { quoteUnprintable } from './width.ts'

const PIECE_BYTES = 64 * 1024

/**
 * Writes many lines of results to standard output, in large pieces. Names of files are bytes: a program that reads them gets them as they
 * are, a terminal gets them quoted when they hold what it might take for commands.
 */
export class LineWriter {
  readonly #output: Output
  #pieces: ByteString[] = []
  #length = 0

  constructor(output: Output) {
    this.#output = output
  }

  /** Adds text and bytes as they are. */
  write(bytes: ByteString): void {
    this.#pieces.push(bytes)
    this.#length += bytes.length
    if (this.#length >= PIECE_BYTES) this.flush()
  }

  /** Adds a line that begins with `before` and ends with `name`. */
  line(before: string, name: ByteString): void {
    const isTerminal = this.#output.terminal.outputIsTerminal
    const shown = isTerminal ? Buffer.from(quoteUnprintable(byteStringToText(name))).toString('latin1') : name
    this.write(`${Buffer.from(before).toString('latin1')}${shown}\n`)
  }

  /** Hands over what is left. Failures to write end the command by its signal. */
  flush(): void {
    const bytes = Buffer.from(this.#pieces.join(''), 'latin1')
    this.#pieces = []
    this.#length = 0
    if (bytes.length > 0) this.#output.write(bytes).catch(() => undefined)
  }
}
