import type { Draft, Place, Problem, Reading } from './draft.ts'
import { type Environment, variable } from './environment.ts'
import {
  BUCKET_VARIABLE,
  placeInEnvironment,
  STORAGE_PATH_VARIABLE,
  STORAGE_PROVIDER_VARIABLE,
} from './environment-place.ts'
import { type DefinedPart, type DefinedValue, definedParts, plannedVariables } from './environment-variables.ts'
import type { ConfigurationPath } from './path.ts'
import { trimSecret } from './secret.ts'

export interface EnvironmentReading extends Reading {
  /** One line for each variable that is set and has no effect. */
  readonly warnings: readonly string[]
}

/**
 * What environment variables define, as if it stood in a file.
 * @param types the types of sources that exist
 * @returns undefined when no variable names a location, a source or a key
 */
export function readEnvironmentDraft(
  environment: Environment,
  types: ReadonlySet<string>,
): EnvironmentReading | undefined {
  const reader = new EnvironmentReader(environment)
  for (const part of definedParts) {
    if (part.type === undefined || types.has(part.type)) reader.define(part)
    else
      reader.warn(
        `sources of type ${part.type}`,
        part.values.map(({ names }) => names),
      )
  }
  if (!reader.foundAny) return undefined
  for (const [feature, variables] of Object.entries(plannedVariables)) reader.warn(feature, variables)
  return reader.reading()
}

/** Collects what the variables say, with the variable of every value. */
class EnvironmentReader {
  readonly #environment: Environment
  readonly #parts: Record<DefinedPart['part'], Record<string, unknown>> = { repositories: {}, sources: {} }
  readonly #places = new Map<string, Place>()
  readonly #problems: Problem[] = []
  readonly #warnings: string[] = []
  foundAny = false

  constructor(environment: Environment) {
    this.#environment = environment
  }

  define({ part, name, type, title, values, needs }: DefinedPart): void {
    const record: Record<string, unknown> = {}
    const path = [part, name]
    for (const value of values) {
      const found = this.#valueOf(value)
      if (found === undefined) continue
      if (Object.keys(record).length === 0) this.#note(path, found.place)
      record[value.key] = found.value
      this.#note([...path, value.key], found.place)
      if (found.password === undefined) continue
      const { text: variableName } = found.place
      record.password = `env:${variableName}`
      this.#note([...path, 'password'], found.place)
      this.#refuseOther(found.password, variableName, values.find(({ key }) => key === 'password')?.names ?? [])
      break
    }
    const first = this.#places.get(JSON.stringify(path))
    if (first === undefined) return
    this.foundAny = true
    if (type !== undefined) {
      record.type = type
      this.#note([...path, 'type'], first)
    }
    this.#parts[part][name] = record
    for (const { key, names } of values) {
      const reason = needs[key]
      if (reason !== undefined && record[key] === undefined)
        this.#refuse(first, `${title} also needs ${names.join(' or ')}: ${reason}`)
    }
  }

  /** Warns once of each variable that is set and belongs to a feature that does not exist. */
  warn(feature: string, variables: readonly (readonly string[])[]): void {
    for (const names of variables) {
      this.#refuseDifference(names)
      for (const name of names)
        if (variable(this.#environment, name) !== undefined)
          this.#warnings.push(`${name} has no effect: this version does not have ${feature} yet`)
    }
  }

  reading(): EnvironmentReading {
    const places = this.#places
    const first = [...places.values()].toSorted((a, b) => a.order - b.order)[0]
    const draft: Draft = {
      value: { version: 1, ...this.#parts },
      start: first ?? { text: 'environment', order: 0 },
      placeOf: (path) => places.get(JSON.stringify(path)),
    }
    return { draft, problems: this.#problems, warnings: this.#warnings }
  }

  #valueOf({
    names,
    kind,
  }: DefinedValue): { readonly value: unknown; readonly place: Place; readonly password?: string } | undefined {
    if (kind === 'place') return this.#repositoryPlace()
    const name = names.find((candidate) => this.#textOf(candidate, kind) !== undefined)
    if (name === undefined) return undefined
    const text = this.#textOf(name, kind)!
    const place = this.#place(name)
    this.#refuseDifference(names, kind)
    if (kind === 'secret') return { value: `env:${name}`, place }
    if (isQuoted(text)) this.#refuse(place, QUOTED)
    const split = kind === 'url' ? splitPassword(text) : undefined
    if (split !== undefined) return { value: split.url, place, password: split.password }
    return { value: kind === 'number' && /^\d{1,15}$/.test(text) ? Number(text) : text, place }
  }

  #repositoryPlace(): { readonly value: unknown; readonly place: Place } | undefined {
    const quoted = [STORAGE_PROVIDER_VARIABLE, STORAGE_PATH_VARIABLE, BUCKET_VARIABLE].find((name) =>
      isQuoted(variable(this.#environment, name) ?? ''),
    )
    const found = placeInEnvironment(this.#environment)
    if (found === undefined) return undefined
    const place = this.#place(found.from)
    if (quoted !== undefined) this.#refuse(this.#place(quoted), QUOTED)
    else if ('problem' in found) this.#refuse(place, found.problem)
    // A place that cannot be understood is told once; all else is looked at as if it were there.
    return { value: 'url' in found ? found.url : '/', place }
  }

  /**
   * The value of a variable. One that holds nothing but a line end is no secret, and no port is what Kubernetes sets for a service called
   * `redis`: REDIS_PORT=tcp://10.0.0.1:6379.
   */
  #textOf(name: string, kind: DefinedValue['kind']): string | undefined {
    const text = variable(this.#environment, name)
    if (text === undefined || (kind === 'secret' && trimSecret(text) === '')) return undefined
    return kind === 'number' && /^(tcp|udp|sctp):\/\//.test(text) ? undefined : text
  }

  #refuseDifference(names: readonly string[], kind: DefinedValue['kind'] = 'text'): void {
    const [first, ...others] = names.filter((name) => this.#textOf(name, kind) !== undefined)
    if (first === undefined) return
    const plain = (name: string): string => trimSecret(this.#textOf(name, kind)!)
    for (const other of others)
      if (plain(other) !== plain(first))
        this.#refuse(this.#place(first), `${first} and ${other} mean the same and differ; unset one of them`)
  }

  /** A password that stands in a URL and in a variable of its own is to be one. */
  #refuseOther(password: string, from: string, names: readonly string[]): void {
    for (const name of names) {
      const other = this.#textOf(name, 'secret')
      if (other !== undefined && !isSameSecret(password, trimSecret(other)))
        this.#refuse(this.#place(from), `the password in ${from} and ${name} differ; unset one of them`)
    }
  }

  #refuse(place: Place, what: string): void {
    this.foundAny = true
    this.#problems.push({ place, what })
  }

  #note(path: ConfigurationPath, place: Place): void {
    this.#places.set(JSON.stringify(path), place)
  }

  #place = (name: string): Place => ({ text: name, order: variableOrder.get(name) ?? variableOrder.size })
}

/** Readers of env files as simple as `docker run --env-file` keep quotes and comments as part of the value (S1-B11). */
const isQuoted = (text: string): boolean => /^(["']).*\1(\s+#.*)?$/s.test(text)
const QUOTED = 'has quotes around its value; whatever reads the env file keeps them, so leave them out'

/** A URL and the password in it, as it stands there; undefined when it has none. */
function splitPassword(text: string): { readonly url: string; readonly password: string } | undefined {
  const found = /^([a-z][a-z0-9+.-]*:\/\/)([^/?#]*)@([^@]*)$/is.exec(text)
  const [, scheme, login = '', rest] = found ?? []
  const colon = login.indexOf(':')
  return colon < 0 ? undefined : { url: `${scheme}${login.slice(0, colon)}@${rest}`, password: login.slice(colon + 1) }
}

function isSameSecret(encoded: string, plain: string): boolean {
  try {
    return decodeURIComponent(encoded) === plain
  } catch {
    return false
  }
}

const variableOrder: ReadonlyMap<string, number> = new Map(
  [
    STORAGE_PROVIDER_VARIABLE,
    ...definedParts.flatMap(({ values }) => values.flatMap(({ names }) => names)),
    ...Object.values(plannedVariables).flat(2),
  ].map((name, order) => [name, order]),
)
