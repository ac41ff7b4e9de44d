import { isHoldfastError } from '../lib/errors.ts'
import type { CommandFamily } from './command.ts'
import { exitCodeOf } from './exit-codes.ts'
import { jsonLine } from './output/json.ts'

/** How a failure is told. */
export interface FailureReport {
  readonly exitCode: number
  /** For standard error; empty when there is nobody to tell. */
  readonly text: string
}

/**
 * The end of a command that failed, as restic tells it: in JSON one `exit_error` message, else a line that begins with "Fatal:" (nothing
 * before errors of the command line, "Warning:" when the work was done in part), and the hint below it.
 */
export function reportFailure(error: unknown, family: CommandFamily, json: boolean): FailureReport {
  const exitCode = exitCodeOf(error, family)
  const message = describe(error)
  if (isHoldfastError(error, 'HF_OUTPUT_CLOSED')) return { exitCode, text: '' }
  if (!json) return { exitCode, text: `${message}\n` }
  const code = isHoldfastError(error) ? error.code : 'HF_INTERNAL'
  return { exitCode, text: jsonLine({ message_type: 'exit_error', code: exitCode, message, error_code: code }) }
}

function describe(error: unknown): string {
  if (!isHoldfastError(error)) {
    const stack = error instanceof Error ? error.stack : String(error)
    return `Fatal: internal error; please report this\n${stack}`
  }
  const before =
    error.code === 'HF_USAGE' || error.code === 'HF_UNSUPPORTED'
      ? ''
      : error.code === 'HF_INCOMPLETE'
        ? 'Warning: '
        : 'Fatal: '
  return `${before}${error.message}${error.hint === undefined ? '' : `\n${error.hint}`}`
}
