import { HoldfastError } from '../../../lib/errors.ts'
import { trimSpaceBytes } from '../../../lib/white-space.ts'
import { byteStringToText } from '../../repository/tree/node.ts'
import { countRunes, fromByteString, toByteString } from './byte-string.ts'
import { expandGlob } from './glob.ts'
import { decodeText, readListFile, splitLines } from './text-file.ts'

/** Files that list what to back up; `-` is standard input. */
export interface TargetListOptions {
  /** One pattern a line (`--files-from`): `*`, `?`, `[...]` are expanded, white space around is cut off, `#` starts a comment. */
  readonly filesFrom?: readonly string[]
  /** One path a line, taken as it is (`--files-from-verbatim`). */
  readonly filesFromVerbatim?: readonly string[]
  /** Paths each ended by a zero byte (`--files-from-raw`). */
  readonly filesFromRaw?: readonly string[]
  /** What `-` stands for. It is read once; a second `-` is empty. */
  readonly stdin: AsyncIterable<Uint8Array>
  /** Told of patterns that match nothing. */
  warn(message: string): void
}

/**
 * The paths the lists name, in order: patterns, then verbatim, then raw.
 *
 * @throws HF_PATH_NOT_FOUND or HF_USAGE for a list that cannot be read or is not well-formed; HF_PATTERN_INVALID.
 */
export async function readTargetLists(options: TargetListOptions): Promise<Uint8Array[]> {
  const { filesFrom = [], filesFromVerbatim = [], filesFromRaw = [], stdin, warn } = options
  let stdinIsRead = false
  const read = async (file: string, purpose: string): Promise<Uint8Array> => {
    if (file !== '-') return readListFile(file, purpose)
    if (stdinIsRead) return new Uint8Array()
    stdinIsRead = true
    const chunks: Uint8Array[] = []
    for await (const chunk of stdin) chunks.push(chunk)
    return Buffer.concat(chunks)
  }
  // A byte order mark is looked for in files only, as restic does.
  const readText = async (file: string, purpose: string): Promise<string> =>
    (file === '-' ? toByteString : decodeText)(await read(file, purpose))

  const targets: string[] = []
  for (const file of filesFrom) targets.push(...expandLines(await readText(file, '--files-from'), file, warn))
  for (const file of filesFromVerbatim)
    targets.push(...splitLines(await readText(file, '--files-from-verbatim')).filter((line) => line !== ''))
  for (const file of filesFromRaw) targets.push(...splitRaw(toByteString(await read(file, '--files-from-raw')), file))
  return targets.map(fromByteString)
}

function expandLines(text: string, file: string, warn: (message: string) => void): string[] {
  return splitLines(text).flatMap((line, index) => {
    const { text: pattern, cut } = trimSpaceBytes(line)
    if (pattern === '' || pattern.startsWith('#')) return []
    const origin = { file, line: index + 1, column: countRunes(line.slice(0, cut)) + 1 }
    const found = expandGlob({ text: pattern, origin })
    if (found.length === 0)
      warn(`pattern ${JSON.stringify(byteStringToText(pattern))} does not match any files, skipping`)
    return found
  })
}

function splitRaw(text: string, file: string): string[] {
  const names = text.split('\0')
  if (names.pop() !== '')
    throw new HoldfastError('HF_USAGE', `--files-from-raw: the last name in ${file} does not end with a zero byte`, {
      hint: 'make the list with `find ... -print0`',
    })
  if (names.includes(''))
    throw new HoldfastError('HF_USAGE', `--files-from-raw: there is an empty name in ${file}`, {
      hint: 'make the list with `find ... -print0`',
    })
  return names
}
