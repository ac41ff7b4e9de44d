import { type ZodType, z } from 'zod'
import { asRecord, type ConfigurationPath } from './path.ts'
import { commonSourceKeys, shape } from './shape.ts'

export type JsonSchema = z.core.JSONSchema.BaseSchema

/** The own keys of each type of source, by type. */
export type SourceSettings = ReadonlyMap<string, ZodType>

/** The schema of holdfast.yaml for editors: JSON Schema 2020-12, with the keys of every type of source. */
export function configurationJsonSchema(sourceSettings: SourceSettings): JsonSchema {
  const root = inputSchema(shape)
  const sources = asSchema(root.properties?.sources)
  const common = asSchema(sources.additionalProperties)
  const variants = [...sourceSettings].map(([type, settings]) => withCommonKeys(inputSchema(settings), common, type))
  return {
    title: 'holdfast.yaml',
    ...root,
    properties: { ...root.properties, sources: { ...sources, additionalProperties: { anyOf: variants } } },
  }
}

/** The schema of what is written, before defaults and conversions. */
const inputSchema = (schema: ZodType): JsonSchema => z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })

function withCommonKeys(own: JsonSchema, common: JsonSchema, type: string): JsonSchema {
  const { $schema: _, ...schema } = own
  const variants = alternatives(schema)
  if (variants.length > 0) return { anyOf: variants.map((variant) => withCommonKeys(variant, common, type)) }
  return {
    ...schema,
    properties: {
      ...schema.properties,
      ...common.properties,
      type: { ...asSchema(common.properties?.type), const: type },
    },
    required: [...new Set(['type', ...(schema.required ?? [])])],
    additionalProperties: false,
  }
}

/** The keys that `schema` knows at `path`; none where any key may stand. */
export function keysAt(schema: JsonSchema, path: ConfigurationPath): ReadonlySet<string> {
  const keys = new Set<string>()
  const [first, ...rest] = path
  for (const variant of alternatives(schema)) for (const key of keysAt(variant, path)) keys.add(key)
  if (first === undefined) {
    for (const key of Object.keys(schema.properties ?? {})) keys.add(key)
    return keys
  }
  const below =
    typeof first === 'number' ? schema.items : (schema.properties?.[first] ?? schema.additionalProperties ?? undefined)
  for (const one of Array.isArray(below) ? below : [below]) for (const key of keysAt(asSchema(one), rest)) keys.add(key)
  return keys
}

/** `value` as it is written, with the keys that have a default and were not written. */
export function withDefaults(value: unknown, schema: JsonSchema): unknown {
  const record = asRecord(value)
  if (record === undefined) return value
  const full: Record<string, unknown> = Object.create(null)
  for (const [key, written] of Object.entries(record))
    full[key] = withDefaults(written, asSchema(schema.properties?.[key] ?? schema.additionalProperties))
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    const below = asSchema(property)
    if (!Object.hasOwn(full, key) && below.default !== undefined) full[key] = withDefaults(below.default, below)
  }
  return full
}

/** What a source of type `type` may have, for `keysAt` and `withDefaults`. */
export function sourceJsonSchema(schema: JsonSchema, type: unknown): JsonSchema {
  const variants = alternatives(asSchema(asSchema(schema.properties?.sources).additionalProperties))
  const isOfType = (variant: JsonSchema): boolean =>
    asSchema(variant.properties?.type).const === type || alternatives(variant).some(isOfType)
  return variants.find(isOfType) ?? {}
}

const alternatives = (schema: JsonSchema): readonly JsonSchema[] => (schema.anyOf ?? schema.oneOf ?? []).map(asSchema)

const asSchema = (schema: unknown): JsonSchema => (asRecord(schema) ?? {}) as JsonSchema

/** The keys of `record` that belong to the type of the source. */
export function ownKeys(record: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const own: Record<string, unknown> = Object.create(null)
  for (const [key, value] of Object.entries(record)) if (!commonSourceKeys.has(key)) own[key] = value
  return own
}
