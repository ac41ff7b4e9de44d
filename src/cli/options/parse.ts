import { parseArgs } from 'node:util'
import { HoldfastError, isHoldfastError } from '../../lib/errors.ts'
import { nearest } from '../../lib/nearest.ts'
import { type Environment, readEnvironment } from '../environment.ts'
import type { Option, OptionAlias, OptionTable, RefusedOption, RetiredOption } from './option.ts'

/** Where a value comes from: the command line, a HOLDFAST_ variable or a RESTIC_ variable. Lower is stronger. */
export interface ValueSource {
  readonly rank: 0 | 1 | 2
  /** `--repo` or `RESTIC_REPOSITORY`: for messages. */
  readonly name: string
}

/** The options a command line may use. */
export interface OptionGroup<T> {
  readonly options: OptionTable<T>
  readonly refused?: readonly RefusedOption[]
  readonly retired?: readonly RetiredOption[]
}

export interface ParsedOptions<G, T> {
  readonly global: G
  readonly options: T
  /** Where each option that was given comes from, by its long name. */
  readonly sources: ReadonlyMap<string, ValueSource>
  readonly positionals: readonly string[]
  /** About retired names and options, for people. */
  readonly warnings: readonly string[]
}

type AnyOption = Option<unknown>
type AnyTable = Readonly<Record<string, AnyOption>>
type Known =
  | {
      readonly kind: 'option'
      readonly option: AnyOption
      readonly key: string
      readonly alias?: OptionAlias
      readonly global: boolean
    }
  | { readonly kind: 'refused'; readonly refused: RefusedOption }
  | { readonly kind: 'retired'; readonly retired: RetiredOption }

const PLUS_ONE = '+1'

/**
 * Parses the arguments after the command's name as pflag does, so that command lines made for restic mean the same: options and arguments
 * may be mixed, `--opt value`, `--opt=value`, `--flag=false`, `-qv`, `-vv`, `-rPATH`, `-r=PATH`, `--` ends the options, the last value wins.
 * Options not given get the value of their environment variable, else their initial value.
 * @throws HoldfastError HF_USAGE, HF_UNSUPPORTED for a refused option
 */
export function parseOptions<G, T>(
  args: readonly string[],
  global: OptionGroup<G>,
  local: OptionGroup<T>,
  environment: Environment,
): ParsedOptions<G, T> {
  const known = new Map<string, Known>()
  register(known, global as OptionGroup<unknown>, true)
  register(known, local as OptionGroup<unknown>, false)

  const values = new Map<AnyOption, unknown>()
  const sources = new Map<string, ValueSource>()
  const positionals: string[] = []
  const warnings: string[] = []

  const tokens = lex(args, known)
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const entry = known.get(token.name)
    if (entry === undefined) throw unknownOption(token.rawName, known)
    if (entry.kind === 'refused') throw refusal(entry.refused)
    if (entry.kind === 'retired') {
      warnings.push(`option --${entry.retired.long} has no effect any more: ${entry.retired.note}`)
      continue
    }
    const { option, alias } = entry
    if (alias !== undefined) warnings.push(`option --${alias.long} is deprecated, use ${alias.instead}`)
    let text = token.value
    // pflag strips the equals sign of `-r=PATH`.
    if (text !== undefined && token.inlineValue && !token.rawName.startsWith('--') && /^=./s.test(text))
      text = text.slice(1)
    const after = tokens[i + 1]
    if (after?.kind === 'option' && after.name === '=' && after.index === token.index) {
      // `-v=2`: the lexer took it for the bundle -v -= -2.
      text = args[token.index]!.slice(args[token.index]!.indexOf('=') + 1)
      while (tokens[i + 1]?.index === token.index) i++
    }
    const name = token.rawName
    if (alias?.stands !== undefined) {
      if (text !== undefined) throw new HoldfastError('HF_USAGE', `option ${name} takes no value`)
      text = alias.stands
    }
    if (text === undefined) {
      if (option.arity === 'value' || option.arity === 'list') throw missingValue(name, option)
      text = option.arity === 'count' ? PLUS_ONE : 'true'
    }
    values.set(option, addValue(option, values.get(option), text, name))
    sources.set(option.long, { rank: 0, name: name.startsWith('--') ? name : `--${option.long}` })
  }
  return {
    global: finish(global.options, values, sources, environment),
    options: finish(local.options, values, sources, environment),
    sources,
    positionals,
    warnings,
  }
}

/** Whether the option after the dashes takes no value of its own; false for one that is not in `table`. */
export function isValueless<T>(table: OptionTable<T>, name: string): boolean {
  for (const option of Object.values(table as AnyTable))
    if (option.long === name || option.short === name) return option.arity === 'flag' || option.arity === 'count'
  return false
}

type Token =
  | { readonly kind: 'positional'; readonly index: number; readonly value: string }
  | { readonly kind: 'option-terminator'; readonly index: number }
  | {
      readonly kind: 'option'
      readonly index: number
      readonly name: string
      readonly rawName: string
      readonly value?: string | undefined
      readonly inlineValue?: boolean | undefined
    }

function lex(args: readonly string[], known: ReadonlyMap<string, Known>): readonly Token[] {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {}
  for (const [name, entry] of known) {
    const option = entry.kind === 'option' ? entry.option : undefined
    const takesValue =
      entry.kind === 'refused'
        ? entry.refused.takesValue
        : option !== undefined &&
          (option.arity === 'value' || option.arity === 'list') &&
          alias(entry)?.stands === undefined
    const short = name === option?.long ? option.short : undefined
    options[name] = { type: takesValue ? 'string' : 'boolean', ...(short === undefined ? {} : { short }) }
  }
  return parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true }).tokens
}

const alias = (entry: Known): OptionAlias | undefined => (entry.kind === 'option' ? entry.alias : undefined)

function register(known: Map<string, Known>, group: OptionGroup<unknown>, global: boolean): void {
  for (const [key, option] of Object.entries(group.options as AnyTable)) {
    known.set(option.long, { kind: 'option', option, key, global })
    for (const alias of option.aliases ?? []) known.set(alias.long, { kind: 'option', option, key, alias, global })
  }
  for (const refused of group.refused ?? []) known.set(refused.long, { kind: 'refused', refused })
  for (const retired of group.retired ?? []) known.set(retired.long, { kind: 'retired', retired })
}

function finish<T>(
  table: OptionTable<T>,
  values: ReadonlyMap<AnyOption, unknown>,
  sources: Map<string, ValueSource>,
  environment: Environment,
): T {
  const result: Record<string, unknown> = {}
  for (const [key, option] of Object.entries(table as AnyTable)) {
    if (values.has(option)) {
      result[key] = values.get(option)
      continue
    }
    const variable = option.environment === undefined ? undefined : readEnvironment(environment, option.environment)
    if (variable === undefined) {
      result[key] = option.initial
      continue
    }
    result[key] = addValue(option, undefined, variable.value, variable.name)
    sources.set(option.long, { rank: variable.name.startsWith('HOLDFAST_') ? 1 : 2, name: variable.name })
  }
  return result as T
}

function addValue(option: AnyOption, before: unknown, text: string, name: string): unknown {
  try {
    return option.add(before, text)
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause
    const what = isHoldfastError(cause) ? cause.message : `${JSON.stringify(text)} ${cause.message}`
    throw new HoldfastError('HF_USAGE', `${name}: ${what}`, {
      cause,
      hint: `give ${option.kind.expects}`,
      context: { option: option.long },
    })
  }
}

function missingValue(name: string, option: AnyOption): HoldfastError {
  return new HoldfastError('HF_USAGE', `option ${name} needs a value`, {
    hint: `give ${option.kind.expects}, as in --${option.long} ${option.kind.placeholder}`,
  })
}

function refusal(option: RefusedOption): HoldfastError {
  return new HoldfastError('HF_UNSUPPORTED', `option --${option.long} is not supported: ${option.reason}`)
}

function unknownOption(rawName: string, known: ReadonlyMap<string, Known>): HoldfastError {
  const long = rawName.startsWith('--')
  const offered = [...known]
    .filter(([, entry]) => entry.kind === 'option' && alias(entry) === undefined)
    .map(([name]) => name)
  const close = long ? nearest(rawName.slice(2), offered) : undefined
  return new HoldfastError('HF_USAGE', `unknown option ${rawName}`, {
    hint: close === undefined ? '--help lists the options' : `did you mean --${close}? --help lists the options`,
  })
}
