import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'

/** What Node calls an error of the system: `code` is the name of the errno, `path` is for people. */
export type SystemError = NodeJS.ErrnoException

/** Names of numbers that Node's own table leaves out. */
const names = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]))

/**
 * The error of a failed system call, shaped and worded as Node's own.
 *
 * @param errno positive, as the C library has it
 * @param path what the call was about; undefined for calls on open files
 */
export function systemError(errno: number, syscall: string, path?: Uint8Array): SystemError {
  const [code, meaning] = getSystemErrorMap().get(-errno) ?? [names.get(errno) ?? `E${errno}`, 'system error']
  return assemble(code, meaning, -errno, syscall, path)
}

/** An error of the system that we raise ourselves because the call would do something else than was asked for. */
export function ownSystemError(code: keyof typeof constants.errno, syscall: string, path?: Uint8Array): SystemError {
  return systemError(constants.errno[code], syscall, path)
}

/** The same failure told about `path`, for calls that had to go by way of another name. Other errors are returned as they are. */
export function systemErrorAbout(error: unknown, path: Uint8Array | undefined): unknown {
  const { code, errno, syscall } = error as SystemError
  if (typeof code !== 'string' || typeof errno !== 'number') return error
  return systemError(-errno, syscall ?? 'system call', path)
}

function assemble(
  code: string,
  meaning: string,
  errno: number,
  syscall: string,
  path: Uint8Array | undefined,
): SystemError {
  const shown = path && printablePath(path)
  const message = `${code}: ${meaning}, ${syscall}${shown === undefined ? '' : ` '${shown}'`}`
  return Object.assign(new Error(message), { code, errno, syscall, ...(shown === undefined ? {} : { path: shown }) })
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/** Control characters and those that turn the direction of writing: they would let a file name rewrite a terminal's line. */
const unprintable = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/gu

/** A path for messages: text where it is UTF-8; control characters and bytes that are no text as `\xNN`. */
export function printablePath(path: Uint8Array): string {
  const bytes = path.slice()
  const text = decodeStrictly(bytes)
  if (text !== undefined) return text.replace(unprintable, (character) => escapeBytes(Buffer.from(character)))
  return Buffer.from(bytes)
    .toString('latin1')
    .replace(/[^\x20-\x7e]/g, (character) => escapeBytes(Buffer.from(character, 'latin1')))
}

function decodeStrictly(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

const escapeBytes = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
