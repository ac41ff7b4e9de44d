import { type ByteString, textToByteString } from '../../../engine/repository/tree/node.ts'

/** A name as SQL takes it, whatever is in it. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** A text as SQL takes it, whatever `standard_conforming_strings` is. */
export const literal = (text: string): string =>
  `${text.includes('\\') ? ' E' : ''}'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`

/** Longer names of files are refused by most file systems. */
const MAX_NAME_BYTES = 240

/**
 * Names of objects as the name of a file, with dots between: what is not a letter, a digit, `_`, `-` or `$` becomes `%` and two digits for
 * each byte, so that two objects never share a name. Undefined when it would be too long.
 */
export function fileNameOf(...names: readonly string[]): ByteString | undefined {
  const parts = names.map((name) =>
    textToByteString(name).replaceAll(
      /[^A-Za-z0-9_$-]/g,
      (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`,
    ),
  )
  const name = parts.join('.')
  return name.length > MAX_NAME_BYTES ? undefined : name
}

/** Names in a table of contents are bytes; in nearly all databases they are UTF-8. */
export const decoded = (bytes: ByteString): string => Buffer.from(bytes, 'latin1').toString('utf8')

/** What `*` and `?` stand for, as PostgreSQL's own programs have it: a pattern for their options. */
export const programPattern = (pattern: string): string =>
  patternParts(pattern)
    .map((part) =>
      part
        .split(/([*?])/)
        .map((piece) => (piece === '*' || piece === '?' || piece === '' ? piece : quoted(piece)))
        .join(''),
    )
    .join('.')

/** Whether a name is what a pattern with `*` and `?` means. */
export function matches(pattern: string, ...names: readonly string[]): boolean {
  const parts = patternParts(pattern)
  if (parts.length !== names.length) return false
  return parts.every((part, i) => {
    const expression = part
      .split(/([*?])/)
      .map((piece) => (piece === '*' ? '.*' : piece === '?' ? '.' : piece.replaceAll(/[\\^$.|+()[\]{}]/g, '\\$&')))
      .join('')
    return new RegExp(`^${expression}$`, 'su').test(names[i]!)
  })
}

const patternParts = (pattern: string): readonly string[] => pattern.split('.')
