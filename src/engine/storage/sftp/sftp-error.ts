import { type ErrorCode, HoldfastError, type HoldfastErrorOptions } from '../../../lib/errors.ts'
import { interruption } from '../interruption.ts'
import { unreachableError } from '../network-error.ts'
import { CommandEnded, commandFailure } from './command-transport.ts'
import { ProtocolError, status } from './protocol.ts'
import { type SftpClient, SftpStatusError } from './sftp-client.ts'

/** What was tried: "cannot write data/ab12cd34 in sftp:host:/srv". */
export interface Attempted {
  readonly doing: 'make' | 'write' | 'read' | 'look at' | 'list' | 'remove'
  readonly object: string
  readonly location: string
  readonly signal?: AbortSignal | undefined
  /** The server has answered before. */
  readonly wasReached: boolean
}

type Failure = readonly [code: ErrorCode, words: string, options: Pick<HoldfastErrorOptions, 'hint' | 'retry'>]

const failures: Readonly<Record<number, Failure>> = {
  [status.NO_SUCH_FILE]: ['HF_STORAGE_NOT_FOUND', 'there is no such file', {}],
  [status.PERMISSION_DENIED]: [
    'HF_STORAGE_DENIED',
    'permission denied',
    { hint: 'Check the owner and the permissions of the repository on the server.' },
  ],
  [status.BAD_MESSAGE]: [
    'HF_STORAGE_LOCATION',
    'the server does not take its name',
    { hint: 'Check the location of the repository.' },
  ],
  [status.OP_UNSUPPORTED]: ['HF_STORAGE_IO', 'the server cannot do this', { retry: 'never' }],
}

const full: Failure = [
  'HF_STORAGE_FULL',
  'no space is left on the server',
  { hint: 'Free some space there, or remove old snapshots with `forget --prune`.' },
]
const readOnly: Failure = ['HF_STORAGE_DENIED', 'the file system of the server is read-only', {}]

/** The failure of a call, as a HoldfastError; those pass through unchanged. */
export function sftpError(cause: unknown, attempted: Attempted): HoldfastError {
  const { object, location, signal, wasReached } = attempted
  if (cause instanceof HoldfastError) return cause
  if (signal?.aborted) return interruption(signal)
  const context = { object, location }
  if (cause instanceof SftpStatusError) {
    const said = cause.status === status.FAILURE && cause.message !== '' ? ` (${printable(cause.message)})` : ''
    return failed(attempted, failures[cause.status] ?? ['HF_STORAGE_IO', `the server failed${said}`, {}], cause)
  }
  if (cause instanceof ProtocolError)
    return failed(
      attempted,
      [
        'HF_STORAGE_LOCATION',
        `what answers there does not speak SFTP: ${cause.message}`,
        { hint: 'Does the shell of this user print something at login? Nothing may, for SFTP to work.' },
      ],
      cause,
    )
  if (cause instanceof CommandEnded) return commandFailure(cause, wasReached)
  return unreachableError(cause, { sentence: sentence(attempted), wasReached, context })
}

/**
 * The failure of a write. Version 3 of the protocol has one status for a full disk and for most other failures, so what the file system says of
 * itself is asked.
 */
export async function writeError(
  cause: unknown,
  attempted: Attempted,
  { client, folder, sizeBytes }: { readonly client: SftpClient; readonly folder: string; readonly sizeBytes: number },
): Promise<HoldfastError> {
  const isVague = cause instanceof SftpStatusError && cause.status === status.FAILURE
  if (!isVague || !client.has('statvfs@openssh.com')) return sftpError(cause, attempted)
  const state = await client.fileSystem(folder).catch(() => undefined)
  if (state?.isReadOnly) return failed(attempted, readOnly, cause)
  if (state !== undefined && state.freeBytes < sizeBytes) return failed(attempted, full, cause)
  return sftpError(cause, attempted)
}

function failed(attempted: Attempted, [code, words, options]: Failure, cause: unknown): HoldfastError {
  const { object, location } = attempted
  const text = `${sentence(attempted)}: ${words}`
  return new HoldfastError(code, text, { ...options, cause, context: { object, location } })
}

const sentence = ({ doing, object, location }: Attempted): string => `cannot ${doing} ${object} in ${location}`

/** What a server says, on one line and without control characters. */
export const printable = (text: string): string =>
  text
    .slice(0, 200)
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()

/** Whether the server says that there is no such file. */
export const isMissing = (error: unknown): boolean =>
  error instanceof SftpStatusError && error.status === status.NO_SUCH_FILE
