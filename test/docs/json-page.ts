/** A type as the page of JSON output writes it. */
export interface FieldType {
  /** `string`, `number`, `boolean`, `time`, `id`, or the name of an object that the page describes. */
  readonly name: string
  readonly isList: boolean
  readonly isNullable: boolean
  readonly isOptional: boolean
}

/** Fields by name. */
export type Shape = ReadonlyMap<string, FieldType>

/** What the page says of one command. */
export interface CommandOutput {
  /** By message type. */
  readonly messages: ReadonlyMap<string, Shape>
  readonly documents: readonly FieldType[]
}

export interface JsonPage {
  readonly commands: ReadonlyMap<string, CommandOutput>
  readonly objects: ReadonlyMap<string, Shape>
  /** Messages of every command. */
  readonly everywhere: CommandOutput
}

const SCALARS = new Set(['string', 'number', 'boolean', 'time', 'id'])

/** Reads docs/reference/json.md: headings of commands and objects, below them headings of messages, and tables of fields. */
export function parseJsonPage(markdown: string): JsonPage {
  const commands = new Map<string, CommandOutput>()
  const objects = new Map<string, Shape>()
  const everywhere = newOutput()
  let output: ReturnType<typeof newOutput> | undefined
  let inObjects = false
  let shape: Map<string, FieldType> | undefined
  for (const [i, line] of markdown.split('\n').entries()) {
    const section = /^## (.+)$/.exec(line)?.[1]
    const part = /^### (.+)$/.exec(line)?.[1]
    const row = /^\| `([^`]+)` \| ([^|]+) \|/.exec(line)
    if (section !== undefined) {
      inObjects = section === 'Objects'
      output = section === 'Every command' ? everywhere : section.startsWith('`') ? newOutput() : undefined
      if (output !== undefined && output !== everywhere) commands.set(section.slice(1, -1), output)
      shape = undefined
    } else if (part !== undefined) {
      shape = new Map()
      const document = /^document: (.+)$/.exec(part)?.[1]
      if (document !== undefined) output!.documents.push(parseType(document))
      else if (inObjects) objects.set(part, shape)
      else output!.messages.set(part.slice(1, -1), shape)
    } else if (row !== null) {
      if (shape === undefined) throw new Error(`line ${i + 1}: a field of nothing`)
      shape.set(row[1]!, parseType(row[2]!.trim()))
    }
  }
  const page = { commands, objects, everywhere }
  requireKnownTypes(page)
  return page
}

const newOutput = () => ({ messages: new Map<string, Shape>(), documents: [] as FieldType[] })

function parseType(text: string): FieldType {
  const [, list, name, nullable, optional] = /^(list of )?(.+?)( or null)?(, optional)?$/.exec(text)!
  return {
    name: name!,
    isList: list !== undefined,
    isNullable: nullable !== undefined,
    isOptional: optional !== undefined,
  }
}

function requireKnownTypes({ commands, objects }: JsonPage): void {
  const shapes = [...objects.values(), ...[...commands.values()].flatMap(({ messages }) => [...messages.values()])]
  const types = [
    ...shapes.flatMap((shape) => [...shape.values()]),
    ...[...commands.values()].flatMap(({ documents }) => documents),
  ]
  for (const { name } of types)
    if (!SCALARS.has(name) && !objects.has(name)) throw new Error(`the page does not say what ${name} is`)
}

/** Compares values with the page, and remembers what of the page they have shown. */
export class JsonPageCheck {
  readonly #page: JsonPage
  readonly #seen = new Set<string>()

  constructor(page: JsonPage) {
    this.#page = page
  }

  /** What is wrong with a value that a command printed: a message, or a whole document. */
  problems(command: string, value: unknown): string[] {
    const output = this.#page.commands.get(command)
    const type = messageType(value)
    if (type !== undefined) {
      const name = output?.messages.has(type) ? command : 'every command'
      const shape = output?.messages.get(type) ?? this.#page.everywhere.messages.get(type)
      if (shape === undefined) return [`${command} has no message ${type}`]
      const { message_type: _, ...fields } = value as Record<string, unknown>
      this.#seen.add(`${name} ${type}`)
      return this.#shapeProblems(`${name} ${type}`, shape, fields)
    }
    const attempts = (output?.documents ?? []).map((document) => ({
      document,
      problems: this.#typeProblems(`${command} document`, document, value),
    }))
    const fit = attempts.find(({ problems }) => problems.length === 0)
    if (fit !== undefined) this.#seen.add(`${command} document ${fit.document.name}`)
    return fit !== undefined ? [] : (attempts[0]?.problems ?? [`${command} has no document`])
  }

  /** What the page describes and no value has shown. */
  unseen(): string[] {
    const { commands, objects, everywhere } = this.#page
    const wanted: string[] = []
    const addShape = (place: string, shape: Shape): void => {
      for (const field of shape.keys()) if (field !== '...') wanted.push(`${place}.${field}`)
    }
    for (const [command, { messages, documents }] of [...commands, ['every command', everywhere] as const]) {
      for (const [type, shape] of messages) {
        wanted.push(`${command} ${type}`)
        addShape(`${command} ${type}`, shape)
      }
      for (const { name } of documents) wanted.push(`${command} document ${name}`)
    }
    for (const [name, shape] of objects) addShape(name, shape)
    return wanted.filter((name) => !this.#seen.has(name))
  }

  #shapeProblems(place: string, shape: Shape, value: Readonly<Record<string, unknown>>): string[] {
    const inherited = shape.get('...')
    const base = inherited && this.#page.objects.get(inherited.name)!
    const problems: string[] = []
    for (const [field, content] of Object.entries(value)) {
      const owner = shape.has(field) ? place : inherited?.name
      const type = shape.get(field) ?? base?.get(field)
      if (type === undefined || owner === undefined) problems.push(`${place} has no field ${field}`)
      else {
        this.#seen.add(`${owner}.${field}`)
        problems.push(...this.#typeProblems(`${place}.${field}`, type, content))
      }
    }
    for (const [field, { isOptional }] of [...shape, ...(base ?? [])])
      if (field !== '...' && !isOptional && !(field in value)) problems.push(`${place}: ${field} is missing`)
    return problems
  }

  #typeProblems(place: string, type: FieldType, value: unknown): string[] {
    if (value === null) return type.isNullable ? [] : [`${place} is null`]
    if (type.isList) {
      if (!Array.isArray(value)) return [`${place} is no list`]
      return value.flatMap((item) => this.#typeProblems(place, { ...type, isList: false, isNullable: false }, item))
    }
    const shape = this.#page.objects.get(type.name)
    if (shape === undefined) return isScalar(type.name, value) ? [] : [`${place} is no ${type.name}: ${String(value)}`]
    if (typeof value !== 'object' || Array.isArray(value)) return [`${place} is no object`]
    return this.#shapeProblems(type.name, shape, value as Record<string, unknown>)
  }
}

function messageType(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('message_type' in value)) return undefined
  return String(value.message_type)
}

/** Recordings have words in place of what varies. */
function isScalar(name: string, value: unknown): boolean {
  switch (name) {
    case 'number':
      return typeof value === 'number' || value === '<number>'
    case 'boolean':
      return typeof value === 'boolean'
    case 'time':
      return (
        typeof value === 'string' && /^(<time>|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))$/.test(value)
      )
    case 'id':
      return typeof value === 'string' && /^(<id>|[0-9a-f]{64})$/.test(value)
    default:
      return typeof value === 'string'
  }
}
