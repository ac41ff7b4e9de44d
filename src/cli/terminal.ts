import { readFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import type { Environment } from './environment.ts'

/** A stream the program writes to: `process.stdout` in the program, a collector in tests. */
export interface OutputStream {
  write(data: string | Uint8Array, written: (error?: Error | null) => void): boolean
  readonly isTTY?: boolean
  readonly columns?: number
}

/** The stream the program reads from: `process.stdin` in the program, a `PassThrough` in tests. */
export interface InputStream extends Readable {
  readonly isTTY?: boolean
  setRawMode?(raw: boolean): unknown
}

/** What the program's input and outputs are connected to. */
export interface Terminal {
  readonly inputIsTerminal: boolean
  readonly outputIsTerminal: boolean
  /** Whether lines of standard output can be written over. */
  readonly canUpdateStatus: boolean
  /** Width of the terminal in cells. */
  readonly columns: number
  /** Whether the process runs in the background of its terminal, where it must not draw. */
  isBackground(): boolean
}

export function terminalOf(stdin: InputStream, stdout: OutputStream, environment: Environment): Terminal {
  const outputIsTerminal = stdout.isTTY === true
  const capable = !['', 'dumb'].includes(environment.TERM ?? '')
  return {
    inputIsTerminal: stdin.isTTY === true,
    outputIsTerminal,
    canUpdateStatus: outputIsTerminal && capable,
    get columns() {
      return stdout.columns ?? 80
    },
    isBackground: isProcessInBackground,
  }
}

/** Linux tells the process group and the foreground group of the terminal in /proc/self/stat (fields 5 and 8). Elsewhere: no. */
function isProcessInBackground(): boolean {
  let stat: string
  try {
    stat = readFileSync('/proc/self/stat', 'latin1')
  } catch {
    return false
  }
  // The second field, the program's name in parentheses, may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const group = fields[2]
  const foreground = fields[5]
  return foreground !== undefined && foreground !== '-1' && foreground !== '0' && foreground !== group
}
