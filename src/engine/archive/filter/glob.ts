import { lstatSync, readdirSync, statSync } from 'node:fs'
import { asBuffer } from '../../../lib/bytes.ts'
import type { ByteString } from '../../repository/tree/node.ts'
import { fromByteString, toByteString } from './byte-string.ts'
import { cleanPath } from './clean-path.ts'
import { type PatternSource, parseComponent } from './pattern.ts'

/**
 * The paths a pattern stands for, as Go's filepath.Glob finds them: `*`, `?` and `[...]` within a component, hidden files included,
 * each directory's names in byte order. What cannot be read is left out. Nothing found: an empty list.
 *
 * @param source a pattern; relative ones are seen from the working directory.
 * @returns a pattern without special characters comes back as it is when something of that name is there.
 * @throws HF_PATTERN_INVALID
 */
export function expandGlob(source: PatternSource): ByteString[] {
  const { text } = source
  const components = text.split('/')
  // All are checked before the first directory is read, so that a mistake shows whatever is on disk.
  let offset = 0
  const patterns = components.map((component) => {
    const pattern = parseComponent(source, component, offset)
    offset += component.length + 1
    return pattern
  })
  const first = components.findIndex(isSpecial)
  if (first < 0) return exists(text) ? [text] : []
  let paths = [first === 0 ? '.' : components.slice(0, first).join('/') || '/']
  for (const pattern of patterns.slice(first))
    paths = paths.flatMap((directory) =>
      namesIn(directory)
        .filter((name) => pattern.test(name))
        .map((name) => cleanPath(`${directory}/${name}`)),
    )
  return paths
}

const isSpecial = (text: string): boolean => /[*?[\\]/.test(text)

const bytesOf = (path: string): Buffer => asBuffer(fromByteString(path))

const exists = (path: string): boolean => {
  try {
    return lstatSync(bytesOf(path), { throwIfNoEntry: false }) !== undefined
  } catch {
    return false
  }
}

/** Sorted; none when it is no directory or cannot be read. */
function namesIn(directory: string): string[] {
  try {
    if (!statSync(bytesOf(directory)).isDirectory()) return []
    return readdirSync(bytesOf(directory), { encoding: 'buffer' }).map(toByteString).sort()
  } catch {
    return []
  }
}
