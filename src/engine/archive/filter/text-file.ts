import { type FileHandle, open } from 'node:fs/promises'
import { HoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import { textToByteString } from '../../repository/tree/node.ts'
import { toByteString } from './byte-string.ts'

/**
 * Reads a file of patterns or paths, or any other thing that can be read like one (`/dev/stdin`, a pipe).
 *
 * @param purpose the option that names the file, for messages.
 * @throws HF_PATH_NOT_FOUND when there is none; HF_USAGE when it cannot be read.
 */
export async function readListFile(path: string, purpose: string): Promise<Uint8Array> {
  let file: FileHandle | undefined
  try {
    file = await open(path)
    return await file.readFile()
  } catch (cause) {
    const missing = systemErrorCode(cause) === 'ENOENT'
    throw new HoldfastError(
      missing ? 'HF_PATH_NOT_FOUND' : 'HF_USAGE',
      missing ? `${purpose}: ${path} does not exist` : `${purpose}: cannot read ${path}: ${(cause as Error).message}`,
      { cause, context: { path }, hint: 'name a text file with one entry per line' },
    )
  } finally {
    await file?.close()
  }
}

/**
 * The text of a file as the byte string of its UTF-8 bytes. A byte order mark is left out; with that of UTF-16 the bytes are converted.
 * Without one they are taken as they are, be they UTF-8 or not.
 */
export function decodeText(bytes: Uint8Array): string {
  const [first, second, third] = bytes
  if (first === 0xef && second === 0xbb && third === 0xbf) return toByteString(bytes.subarray(3))
  if (first === 0xfe && second === 0xff) return textToByteString(new TextDecoder('utf-16be').decode(bytes))
  if (first === 0xff && second === 0xfe) return textToByteString(new TextDecoder('utf-16le').decode(bytes))
  return toByteString(bytes)
}

/** Lines without their ends, `\n` or `\r\n`. */
export function splitLines(text: string): string[] {
  const lines = text.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line))
  if (lines.at(-1) === '') lines.pop()
  return lines
}
