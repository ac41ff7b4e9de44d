/** Paths as text; the rules are those of Go's filepath.Clean and Abs, which restic applies. */

import { type ByteString, textToByteString } from '../../repository/tree/node.ts'

export interface PathComponent {
  readonly text: ByteString
  /** Index of its first byte in the path. */
  readonly offset: number
}

/**
 * The components of a path from `start` on, without empty ones, `.` and as much of `..` as can be resolved.
 * Nothing left: `.` for a relative path, no component for an absolute one.
 */
export function cleanComponents(path: ByteString, start = 0): PathComponent[] {
  const absolute = path.startsWith('/', start)
  const components: PathComponent[] = []
  for (let at = start; at <= path.length; ) {
    const slash = path.indexOf('/', at)
    const end = slash < 0 ? path.length : slash
    const text = path.slice(at, end)
    if (text === '..') {
      const previous = components.at(-1)
      if (previous !== undefined && previous.text !== '..') components.pop()
      else if (!absolute) components.push({ text, offset: at })
    } else if (text !== '' && text !== '.') {
      components.push({ text, offset: at })
    }
    at = end + 1
  }
  return components.length === 0 && !absolute ? [{ text: '.', offset: start }] : components
}

/** The shortest path that means the same as far as text tells. */
export function cleanPath(path: ByteString): ByteString {
  const joined = cleanComponents(path)
    .map(({ text }) => text)
    .join('/')
  return path.startsWith('/') ? `/${joined}` : joined
}

/** The clean absolute path, seen from the directory `from` (default: where the process is). */
export const absolutePath = (path: ByteString, from: ByteString = textToByteString(process.cwd())): ByteString =>
  path.startsWith('/') ? cleanPath(path) : cleanPath(`${from}/${path}`)

/** The directory of a clean absolute path; `/` is its own. */
export const directoryOf = (path: ByteString): ByteString => path.slice(0, Math.max(path.lastIndexOf('/'), 1))

/** The last component of a clean absolute path. */
export const baseNameOf = (path: ByteString): ByteString => path.slice(path.lastIndexOf('/') + 1)

/** Whether a clean path is `directory` or lies below it. */
export const isWithin = (directory: ByteString, path: ByteString): boolean =>
  path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`)
