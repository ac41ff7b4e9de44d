import { HoldfastError } from '../lib/errors.ts'
import { nearest } from '../lib/nearest.ts'
import type { CommandFamily } from './command.ts'
import { globalOptions } from './options/global.ts'
import { isValueless } from './options/parse.ts'
import type { CommandEntry, CommandFolder, Noun, Registry } from './registry.ts'

/** What a command line names; `rest` are the arguments without the words that name it. */
export type Dispatch =
  | { readonly kind: 'none'; readonly rest: readonly string[] }
  | {
      readonly kind: 'command'
      readonly entry: CommandEntry
      readonly family: CommandFamily
      readonly rest: readonly string[]
      /** The deprecated name that was used. */
      readonly deprecatedName?: string
    }
  | { readonly kind: 'folder'; readonly folder: CommandFolder; readonly rest: readonly string[] }
  | { readonly kind: 'noun'; readonly noun: Noun; readonly rest: readonly string[] }
  | { readonly kind: 'failure'; readonly family: CommandFamily; readonly error: HoldfastError }

interface Word {
  readonly text: string
  readonly index: number
  /** An option before it is not a global one, so the word may be its value. */
  readonly doubtful: boolean
}

/**
 * Finds the command of a command line. Global options may stand before it; any other option before the command is taken to have a value, as
 * in restic. A noun and a verb win over a repository command and its first argument: back up a folder named like a verb as `./run`.
 */
export function dispatch(args: readonly string[], registry: Registry): Dispatch {
  const first = nextWord(args, 0)
  if (first === undefined) return { kind: 'none', rest: args }
  const second = nextWord(args, first.index + 1)

  if (first.text.includes(':')) return dispatchColon(first, args, registry)

  const noun = registry.nouns.find(({ name }) => name === first.text)
  const verb =
    second !== undefined && !second.doubtful ? noun?.verbs.find(({ name }) => name === second.text) : undefined
  if (verb !== undefined)
    return { kind: 'command', entry: verb, family: 'configured', rest: without(args, first, second!) }

  const entry = registry.commands.find(({ name }) => name === first.text)
  if (entry !== undefined) return { kind: 'command', entry, family: 'repository', rest: without(args, first) }
  const renamed = registry.commands.find(({ deprecatedNames }) => deprecatedNames?.includes(first.text))
  if (renamed !== undefined)
    return {
      kind: 'command',
      entry: renamed,
      family: 'repository',
      rest: without(args, first),
      deprecatedName: first.text,
    }

  const folder = registry.folders.find(({ name }) => name === first.text)
  if (folder !== undefined) {
    if (second === undefined) return { kind: 'folder', folder, rest: without(args, first) }
    const member = registry.commands.find(({ name }) => name === `${folder.name} ${second.text}`)
    if (member !== undefined)
      return { kind: 'command', entry: member, family: 'repository', rest: without(args, first, second) }
    const members = membersOf(folder, registry)
    return failure(
      'repository',
      `unknown command "${folder.name} ${second.text}"`,
      suggestion(second.text, members, folder.name),
    )
  }

  if (noun !== undefined)
    return second === undefined || second.doubtful
      ? { kind: 'noun', noun, rest: without(args, first) }
      : unknownVerb(noun, second.text)

  const reason = Object.hasOwn(registry.refused, first.text) ? registry.refused[first.text] : undefined
  if (reason !== undefined)
    return {
      kind: 'failure',
      family: 'repository',
      error: new HoldfastError('HF_UNSUPPORTED', `command "${first.text}" is not supported: ${reason}`),
    }
  const names = [
    ...registry.commands.map(({ name }) => name),
    ...registry.folders.map(({ name }) => name),
    ...registry.nouns.map(({ name }) => name),
  ]
  const hint = first.doubtful
    ? 'options of a command come after its name; "holdfast help" lists the commands'
    : suggestion(first.text, names, '')
  return failure('repository', `unknown command "${first.text}"`, hint)
}

/** Second words of the commands of a folder. */
export const membersOf = (folder: CommandFolder, registry: Registry): string[] =>
  registry.commands
    .filter(({ name }) => name.startsWith(`${folder.name} `))
    .map(({ name }) => name.slice(folder.name.length + 1))

function dispatchColon(word: Word, args: readonly string[], registry: Registry): Dispatch {
  const cut = word.text.indexOf(':')
  const noun = registry.nouns.find(({ name }) => name === word.text.slice(0, cut))
  if (noun === undefined) {
    const names = registry.nouns.map(({ name }) => name)
    return failure('configured', `unknown command "${word.text}"`, suggestion(word.text.slice(0, cut), names, ''))
  }
  const verb = noun.verbs.find(({ name }) => name === word.text.slice(cut + 1))
  if (verb === undefined) return unknownVerb(noun, word.text.slice(cut + 1))
  return { kind: 'command', entry: verb, family: 'configured', rest: without(args, word) }
}

const unknownVerb = (noun: Noun, verb: string): Dispatch =>
  failure(
    'configured',
    `unknown command "${noun.name} ${verb}"`,
    suggestion(
      verb,
      noun.verbs.map(({ name }) => name),
      noun.name,
    ),
  )

function suggestion(word: string, names: readonly string[], before: string): string {
  const close = nearest(word, names)
  const all = before === '' ? '"holdfast help" lists the commands' : `${before} can be followed by ${names.join(', ')}`
  return close === undefined ? all : `did you mean "${before === '' ? '' : `${before} `}${close}"? ${all}`
}

const failure = (family: CommandFamily, message: string, hint: string): Dispatch => ({
  kind: 'failure',
  family,
  error: new HoldfastError('HF_USAGE', message, { hint }),
})

function nextWord(args: readonly string[], from: number): Word | undefined {
  let doubtful = false
  for (let index = from; index < args.length; index++) {
    const arg = args[index]!
    if (arg === '--') return undefined
    const name = /^--([^=]+)$/s.exec(arg)?.[1] ?? /^-(.)$/su.exec(arg)?.[1]
    if (name !== undefined && name !== '-') {
      if (isValueless(globalOptions.options, name)) continue
      if (!isGlobal(name)) doubtful = true
      index++
    } else if (!arg.startsWith('-') && arg !== '') return { text: arg, index, doubtful }
  }
  return undefined
}

const isGlobal = (name: string): boolean =>
  Object.values(globalOptions.options).some((option) => option.long === name || option.short === name)

const without = (args: readonly string[], ...words: readonly Word[]): string[] =>
  args.filter((_, index) => !words.some((word) => word.index === index))
