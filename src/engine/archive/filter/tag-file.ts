import { closeSync, constants, fstatSync, lstatSync, openSync, readSync } from 'node:fs'
import { asBuffer, equalBytes } from '../../../lib/bytes.ts'
import { HoldfastError, systemErrorCode } from '../../../lib/errors.ts'
import { type ByteString, byteStringToText, textToByteString } from '../../repository/tree/node.ts'
import { fromByteString } from './byte-string.ts'
import { baseNameOf, directoryOf } from './clean-path.ts'

/** A file whose presence in a directory excludes everything else in it. */
export interface TagFile {
  readonly name: ByteString
  /** What the file must begin with; empty when being there is enough. */
  readonly header: ByteString
}

/** The tag of the Cache Directory Tagging Specification, https://bford.info/cachedir/ (`--exclude-caches`). */
export const cacheDirectoryTag: TagFile = {
  name: 'CACHEDIR.TAG',
  header: 'Signature: 8a477f597d28d172789f06886806bc55',
}

/**
 * Reads `name[:header]` of `--exclude-if-present`.
 *
 * @throws HF_PATTERN_INVALID when the name is missing.
 */
export function parseTagFile(text: string): TagFile {
  const binary = textToByteString(text)
  const colon = binary.indexOf(':')
  const tag =
    colon < 0 ? { name: binary, header: '' } : { name: binary.slice(0, colon), header: binary.slice(colon + 1) }
  if (tag.name !== '') return tag
  throw new HoldfastError('HF_PATTERN_INVALID', `${JSON.stringify(text)} names no file to look for`, {
    context: { pattern: text },
    hint: 'write NAME or NAME:HEADER',
  })
}

/** How many directories' answers are kept: the ones above the walker, and those it comes back to. */
const REMEMBERED_DIRECTORIES = 1024

/**
 * A function that says whether a path (clean, absolute) is left out because of a tag file beside it.
 * Each directory is looked at once. A tag file that is there but cannot be read, or has another header, excludes nothing and is reported.
 */
export function createTagFileFilter(tag: TagFile, warn: (message: string) => void): (path: ByteString) => boolean {
  const known = new Map<string, boolean>()
  return (path) => {
    if (baseNameOf(path) === tag.name) return false
    const directory = directoryOf(path)
    let excluded = known.get(directory)
    if (excluded === undefined) {
      excluded = isTagged(`${directory === '/' ? '' : directory}/${tag.name}`, tag.header, warn)
      if (known.size >= REMEMBERED_DIRECTORIES) known.clear()
      known.set(directory, excluded)
    }
    return excluded
  }
}

function isTagged(tagPath: string, header: string, warn: (message: string) => void): boolean {
  const bytes = asBuffer(fromByteString(tagPath))
  const shown = byteStringToText(tagPath)
  try {
    if (lstatSync(bytes, { throwIfNoEntry: false }) === undefined) return false
    if (header === '' || startsWith(bytes, fromByteString(header))) return true
    warn(`the tag file ${shown} does not begin with the header asked for: nothing is excluded because of it`)
  } catch (error) {
    warn(`cannot read the tag file ${shown}, nothing is excluded because of it: ${systemErrorCode(error) ?? error}`)
  }
  return false
}

function startsWith(path: Buffer, header: Uint8Array): boolean {
  // Without O_NONBLOCK opening a named pipe would wait for a writer.
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    if (!fstatSync(file).isFile()) return false
    const start = new Uint8Array(header.length)
    return readSync(file, start, 0, start.length, 0) === start.length && equalBytes(start, header)
  } finally {
    closeSync(file)
  }
}
