import type { Configuration, ConfiguredRepository, ConfiguredSource } from './configuration.ts'
import { type Draft, nearestPlace, type Problem } from './draft.ts'
import { problemsOf } from './issues.ts'
import {
  configurationJsonSchema,
  type JsonSchema,
  keysAt,
  ownKeys,
  type SourceSettings,
  sourceJsonSchema,
  withDefaults,
} from './json-schema.ts'
import { suggestion } from './names.ts'
import { asRecord, type ConfigurationPath, valueAt } from './path.ts'
import { referenceProblems } from './references.ts'
import { type Shape, shape } from './shape.ts'

/** A configuration without where it comes from, or everything that is wrong with it. */
export type Resolution =
  | { readonly configuration: Omit<Configuration, 'file' | 'warnings'> }
  | { readonly problems: readonly Problem[] }

/** Keys of a source that hold what `defaults` says when they are absent. */
const inherited: ReadonlySet<string | number> = new Set(['repositories', 'verify'])

/** Checks a draft as a whole and makes a configuration of it. */
export function resolveDraft(draft: Draft, sourceSettings: SourceSettings): Resolution {
  if (asRecord(draft.value) === undefined) {
    const what = draft.value === null ? 'is empty' : 'is no map of keys'
    return { problems: [{ place: draft.start, what: `${what}; begin with "version: 1"` }] }
  }
  // Made of all sorts of sources, and of use to whoever made a mistake, or asks what holds by default.
  let made: JsonSchema | undefined
  const schema = (): JsonSchema => {
    made ??= configurationJsonSchema(sourceSettings)
    return made
  }
  const checked = shape.safeParse(draft.value)
  const problems: Problem[] = [...referenceProblems(draft)]
  if (!checked.success) problems.push(...problemsOf(checked.error.issues, draft, [], (path) => keysAt(schema(), path)))

  const settings = new Map<string, unknown>()
  for (const [name, source] of Object.entries(asRecord(valueAt(draft.value, ['sources'])) ?? {})) {
    const written = asRecord(source)
    if (written === undefined || typeof written.type !== 'string') continue
    const own = parseOwnKeys(draft, ['sources', name], written, sourceSettings, schema)
    if ('problems' in own) problems.push(...own.problems)
    else settings.set(name, own.settings)
  }
  if (!checked.success || problems.length > 0) return { problems }
  return { configuration: assemble(draft, checked.data, settings, schema) }
}

/** Checks what belongs to the type of the source. */
function parseOwnKeys(
  draft: Draft,
  path: ConfigurationPath,
  written: Readonly<Record<string, unknown>>,
  sourceSettings: SourceSettings,
  schema: () => JsonSchema,
): { readonly settings: unknown } | { readonly problems: readonly Problem[] } {
  const type = written.type as string
  const settingsSchema = sourceSettings.get(type)
  if (settingsSchema === undefined) {
    const types = [...sourceSettings.keys()]
    const place = nearestPlace(draft, [...path, 'type'], 'value')
    const what = `there is no source type ${JSON.stringify(type)}${suggestion(type, types) || `; types are ${types.join(', ')}`}`
    return { problems: [{ place, what }] }
  }
  const parsed = settingsSchema.safeParse(ownKeys(written))
  if (parsed.success) return { settings: parsed.data }
  const known = sourceJsonSchema(schema(), type)
  return {
    problems: problemsOf(parsed.error.issues, draft, path, (at) => keysAt(known, at.slice(path.length))),
  }
}

function assemble(
  draft: Draft,
  checked: Shape,
  settings: ReadonlyMap<string, unknown>,
  schema: () => JsonSchema,
): Omit<Configuration, 'file' | 'warnings'> {
  const repositories = new Map<string, ConfiguredRepository>()
  for (const [name, repository] of Object.entries(checked.repositories)) repositories.set(name, { name, ...repository })
  const { defaults } = checked
  const byDefault = defaults.repositories ?? [...repositories.keys()]
  const sources = new Map<string, ConfiguredSource>()
  for (const [name, source] of Object.entries(checked.sources))
    sources.set(name, {
      ...source,
      name,
      repositories: source.repositories ?? byDefault,
      verify: source.verify ?? defaults.verify,
      settings: settings.get(name),
    })
  return {
    repositories,
    sources,
    assertions: new Map(Object.entries(checked.assertions)),
    effective: () => effectiveValue(draft.value, schema(), sources),
    originOf: (path) => originOf(draft, path),
  }
}

function effectiveValue(value: unknown, schema: JsonSchema, sources: ReadonlyMap<string, ConfiguredSource>): unknown {
  const root = withDefaults(value, schema) as Record<string, unknown>
  const effectiveSources: Record<string, unknown> = Object.create(null)
  for (const [name, { type, repositories, verify }] of sources)
    effectiveSources[name] = {
      ...(withDefaults(valueAt(value, ['sources', name]), sourceJsonSchema(schema, type)) as object),
      repositories,
      verify,
    }
  return { ...root, sources: effectiveSources }
}

function originOf(draft: Draft, path: ConfigurationPath): string {
  const [part, name, key, ...rest] = path
  const written = draft.placeOf(path, 'value') ?? draft.placeOf(path, 'key')
  if (written !== undefined) return written.text
  if (part === 'sources' && name !== undefined && key !== undefined && inherited.has(key))
    return draft.placeOf(['defaults', key, ...rest], 'value')?.text ?? 'default'
  return 'default'
}
