import { LineCounter, parseDocument, type YAMLError } from 'yaml'
import type { Place, Reading } from './draft.ts'
import { readNodes } from './yaml-nodes.ts'

const MAX_TEXT_LENGTH = 1024 * 1024

/** Reads YAML 1.2 with the position of every key and value. `file` is how messages name it. */
export function readYamlDraft(text: string, file: string): Reading {
  const lines = new LineCounter()
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { text: `${file}:${Math.max(1, line)}:${Math.max(1, col)}`, order: offset }
  }
  const start: Place = { text: `${file}:1:1`, order: 0 }
  if (text.length > MAX_TEXT_LENGTH)
    return { draft: undefined, problems: [{ place: start, what: 'is larger than 1 MiB' }] }
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    // Reading the nodes finds them too, and says where the first one is.
    uniqueKeys: false,
  })
  const mistakes = mistakesOf([...document.errors, ...document.warnings])
  if (mistakes.length > 0)
    return {
      draft: undefined,
      problems: mistakes.map(({ code, message, pos }) => ({
        place: placeAt(pos[0]),
        what: plainMistakes[code] ?? `is no valid YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`,
      })),
    }
  const { value, places, problems } = readNodes(document, placeAt)
  return {
    draft: { value, start, placeOf: (path, part) => places.get(JSON.stringify(path))?.[part] },
    problems,
  }
}

const plainMistakes: Readonly<Partial<Record<YAMLError['code'], string>>> = {
  TAB_AS_INDENT: 'a tab cannot indent; use spaces',
  MULTIPLE_DOCS: 'a second document begins here; a configuration is one',
  RESOURCE_EXHAUSTION: 'is nested too deeply',
}

/** What follows a parser that gave up is only noise. */
function mistakesOf(found: readonly YAMLError[]): readonly YAMLError[] {
  const exhausted = found.find(({ code }) => code === 'RESOURCE_EXHAUSTION')
  return exhausted === undefined ? found : [exhausted]
}
