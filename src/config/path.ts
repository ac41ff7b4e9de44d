/** The keys that lead to a value of the configuration. Names may hold dots, so that a joined text would not do. */
export type ConfigurationPath = readonly (string | number)[]

/** A path for people: `sources.shop.paths[0]`. */
export function formatPath(path: ConfigurationPath): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else text += `${text === '' ? '' : '.'}${/^[\w.$-]+$/.test(part) ? part : JSON.stringify(part)}`
  }
  return text
}

/** What lies at `path` in plain data; undefined when nothing does. */
export function valueAt(value: unknown, path: ConfigurationPath): unknown {
  let at = value
  for (const part of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined
    at = (at as Readonly<Record<string | number, unknown>>)[part]
  }
  return at
}

/** `value` as a record of keys, when it is one. */
export function asRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined
}

/** `value` as a list; empty when it is none. */
export const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
