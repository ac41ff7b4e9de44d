import { type Document, isAlias, isMap, isScalar, isSeq, type Node, type Pair, type YAMLMap } from 'yaml'
import type { Part, Place, Problem } from './draft.ts'
import type { ConfigurationPath } from './path.ts'

/** Far beyond any configuration, and little work: aliases could unfold to any size. */
const MAX_VALUES = 50_000
const MAX_DEPTH = 64

export interface NodeReading {
  readonly value: unknown
  /** By the JSON of the path. */
  readonly places: ReadonlyMap<string, Partial<Readonly<Record<Part, Place>>>>
  readonly problems: readonly Problem[]
}

/** Turns nodes into plain data, aliases unfolded, and notes where each key and value stands. */
export function readNodes(document: Document, placeAt: (offset: number) => Place): NodeReading {
  const places = new Map<string, Partial<Record<Part, Place>>>()
  const problems: Problem[] = []
  let values = 0

  const placeOf = (node: unknown): Place => placeAt((node as Node | null)?.range?.[0] ?? 0)

  const note = (path: ConfigurationPath, part: Part, place: Place): void => {
    const key = JSON.stringify(path)
    places.set(key, { ...places.get(key), [part]: place })
  }

  const refuse = (place: Place, what: string): null => {
    problems.push({ place, what })
    return null
  }

  const read = (node: unknown, path: ConfigurationPath, depth: number): unknown => {
    const place = placeOf(node)
    // An empty value has no text of its own; its key is where to look.
    if (node !== null) note(path, 'value', place)
    values++
    if (values > MAX_VALUES) {
      if (values === MAX_VALUES + 1) refuse(place, `holds more than ${MAX_VALUES} values, aliases unfolded`)
      return null
    }
    if (depth > MAX_DEPTH) return refuse(place, 'is nested too deeply')
    if (isAlias(node)) {
      const target = node.resolve(document)
      if (target === undefined) return refuse(place, `there is no anchor &${node.source} before this`)
      if (holds(target, node)) return refuse(place, `*${node.source} stands inside of what it repeats`)
      const value = read(target, path, depth + 1)
      note(path, 'value', place)
      return value
    }
    if (isMap(node)) return readMap(node, path, depth)
    if (isSeq(node)) return node.items.map((item, index) => read(item, [...path, index], depth + 1))
    return isScalar(node) ? node.value : null
  }

  const readMap = (node: YAMLMap, path: ConfigurationPath, depth: number): unknown => {
    // Without prototype, so that every key is only a key.
    const record: Record<string, unknown> = Object.create(null)
    const first = new Map<string, Place>()
    for (const pair of node.items) {
      const place = placeOf(pair.key ?? pair.value)
      const key = keyOf(pair)
      if (key === undefined) {
        refuse(place, 'a key must be text')
        continue
      }
      const before = first.get(key)
      if (before !== undefined) {
        refuse(place, `the key ${JSON.stringify(key)} is here a second time; the first is at ${before.text}`)
        continue
      }
      first.set(key, place)
      // JavaScript gives it a meaning of its own; checks further on would pass over it.
      if (key === '__proto__') {
        refuse(place, 'the key "__proto__" is not possible')
        continue
      }
      note([...path, key], 'key', place)
      record[key] = read(pair.value, [...path, key], depth + 1)
    }
    return record
  }

  const value = read(document.contents, [], 0)
  return { value, places, problems }
}

/** A key as it was written: `1` and `01` are different names. */
function keyOf({ key }: Pair): string | undefined {
  if (!isScalar(key)) return undefined
  return typeof key.value === 'string' ? key.value : key.source
}

/** Whether `inner` lies in the text of `outer`. */
function holds(outer: Node, inner: Node): boolean {
  const [start, end] = outer.range ?? [0, 0]
  const at = inner.range?.[0] ?? 0
  return start <= at && at < end
}
