import type { Readable } from 'node:stream'
import { isId } from '../../../lib/id.ts'

/** A server's list that is none. */
export class ListSyntaxError extends Error {}

export interface ListedFile {
  readonly name: string
  /** Only version 2 of the protocol says. */
  readonly sizeBytes: number | undefined
}

/** No item of a list is longer: 64 digits, a size, and keys that later versions may add. */
const LONGEST_ITEM = 4096
const QUOTE = '"'

/**
 * The well-formed names of a list as servers send it, `["name", ...]` or `[{"name": "...", "size": 1}, ...]`, read as it comes in.
 * @throws ListSyntaxError when it is none, or ends too early
 */
export async function* parseFileList(body: Readable): AsyncGenerator<ListedFile, void, undefined> {
  const decoder = new TextDecoder()
  let rest = ''
  let isOpen = false
  let isDone = false
  const takeItems = function* (): Generator<ListedFile> {
    for (let start = 0; ; ) {
      while (start < rest.length && /[\s,]/.test(rest[start]!)) start += 1
      if (start === rest.length) {
        rest = ''
        return
      }
      if (isDone) throw new ListSyntaxError('something follows the list')
      if (rest[start] === ']' && isOpen) {
        isDone = true
        start += 1
        continue
      }
      if (rest[start] === '[' && !isOpen) {
        isOpen = true
        start += 1
        continue
      }
      const end = isOpen ? endOfItem(rest, start) : -1
      if (end < 0) {
        rest = rest.slice(start)
        if (isOpen ? rest.length > LONGEST_ITEM : !'null'.startsWith(rest.trim()))
          throw new ListSyntaxError('it is no list of files')
        return
      }
      const file = asFile(rest.slice(start, end))
      if (file !== undefined) yield file
      start = end
    }
  }
  for await (const piece of body as AsyncIterable<Buffer>) {
    rest += decoder.decode(piece, { stream: true })
    yield* takeItems()
  }
  if (!isDone) {
    // Some servers write `null` for an empty list.
    if (!isOpen && rest.trim() === 'null') return
    throw new ListSyntaxError('the list ends too early')
  }
}

/** Where the string or flat object that starts at `start` ends; -1 when it is not all there. */
function endOfItem(text: string, start: number): number {
  if (text[start] === QUOTE) return endOfString(text, start)
  if (text[start] !== '{') throw new ListSyntaxError('it is no list of files')
  for (let at = start + 1; at < text.length; ) {
    if (text[at] === '}') return at + 1
    if (text[at] === QUOTE) {
      at = endOfString(text, at)
      if (at < 0) return -1
    } else at += 1
  }
  return -1
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1
    else if (text[at] === QUOTE) return at + 1
  }
  return -1
}

/** undefined for what no repository file is called. */
function asFile(json: string): ListedFile | undefined {
  let item: unknown
  try {
    item = JSON.parse(json)
  } catch {
    throw new ListSyntaxError('it is no list of files')
  }
  if (typeof item === 'string') return isId(item) ? { name: item, sizeBytes: undefined } : undefined
  const { name, size } = item as { name?: unknown; size?: unknown }
  if (typeof name !== 'string' || !isId(name)) return undefined
  if (!Number.isSafeInteger(size) || (size as number) < 0) throw new ListSyntaxError(`it has no size for ${name}`)
  return { name, sizeBytes: size as number }
}
