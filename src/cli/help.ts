import type { AnyDescription, Argument, CommandGroup } from './command.ts'
import { globalOptions } from './options/global.ts'
import type { AnyOptionTable, Option } from './options/option.ts'
import type { CommandFolder, Noun, Registry } from './registry.ts'

const groupTitles: Readonly<Record<CommandGroup, string>> = {
  everyday: 'Back up and restore',
  maintenance: 'Look after a repository',
  inspection: 'Look inside a repository',
  program: 'About the program',
}

const WIDTH = 100

/** The overview of all commands. */
export async function renderOverview(registry: Registry): Promise<string> {
  const described = await Promise.all(registry.commands.map((entry) => entry.describe()))
  const lines = [
    ...wrap(
      'Holdfast backs up PostgreSQL, MongoDB, Redis and files into an encrypted, deduplicated repository in restic’s format, brings them back, and proves that it can.',
    ),
    '',
    'Usage: holdfast COMMAND [options] [arguments]',
  ]
  const verbs = await Promise.all(registry.nouns.flatMap((noun) => verbRows(noun)))
  if (verbs.length > 0) lines.push('', 'What holdfast.yaml names:', ...columns(verbs))
  for (const [group, title] of Object.entries(groupTitles)) {
    const rows = [
      ...described
        .filter((command) => command.group === group && !command.name.includes(' '))
        .map(({ name, summary }) => [name, summary]),
      ...registry.folders
        .filter(({ name }) => folderGroup(name, described) === group)
        .map(({ name, summary }) => [name, summary]),
    ]
    if (rows.length > 0) lines.push('', `${title}:`, ...columns(rows.sort(byFirst)))
  }
  lines.push('', 'Options of every command:', ...optionLines(globalOptions.options))
  lines.push('', '"holdfast COMMAND --help" explains a command.', '')
  return lines.join('\n')
}

/** Help for one command. */
export function renderCommandHelp(command: AnyDescription): string {
  const lines = [command.summary, '', `Usage: ${usageLine(command)}`, '', ...wrap(command.description)]
  if (command.examples.length > 0) lines.push('', 'Examples:')
  for (const { line, does } of command.examples) lines.push(`  ${line}`, `      ${does}`)
  if (command.arguments.length > 0)
    lines.push(
      '',
      'Arguments:',
      ...columns(command.arguments.map((argument) => [argument.name.toUpperCase(), argument.help])),
    )
  const own = optionLines(command.options)
  if (own.length > 0) lines.push('', 'Options:', ...own)
  lines.push('', 'Options of every command:', ...optionLines(globalOptions.options), '')
  return lines.join('\n')
}

/** The commands of a folder or the verbs of a noun. */
export async function renderFolderHelp(folder: CommandFolder | Noun, registry: Registry): Promise<string> {
  const entries =
    'verbs' in folder ? folder.verbs : registry.commands.filter(({ name }) => name.startsWith(`${folder.name} `))
  const rows = await Promise.all(
    entries.map(async (entry) => [entry.name.split(' ').at(-1)!, (await entry.describe()).summary]),
  )
  return [
    folder.summary,
    '',
    `Usage: holdfast ${folder.name} COMMAND [options] [arguments]`,
    '',
    'Commands:',
    ...columns(rows),
    '',
    `"holdfast ${folder.name} COMMAND --help" explains a command.`,
    '',
  ].join('\n')
}

/** `holdfast key remove [options] KEY`. */
export function usageLine(command: Pick<AnyDescription, 'name' | 'arguments'>): string {
  return [`holdfast ${command.name} [options]`, ...command.arguments.map(argumentWord)].join(' ')
}

/** `-r, --repo repository`; without the value for a flag. */
export function optionWord(option: Option<unknown>): string {
  const letter = option.short === undefined ? '' : `-${option.short}, `
  const takesValue = option.arity === 'value' || option.arity === 'list'
  return `${letter}--${option.long}${takesValue ? ` ${option.kind.placeholder}` : ''}`
}

/** The help text with what the option is when it is not given, and its variable. */
export function optionText(option: Option<unknown>): string {
  const notes = [
    ...(Array.isArray(option.kind.completes) && option.arity !== 'flag' ? [option.kind.completes.join('|')] : []),
    ...(option.initialText === undefined ? [] : [`default: ${option.initialText}`]),
    ...(option.environment === undefined ? [] : [`HOLDFAST_${option.environment}`]),
  ]
  return notes.length === 0 ? option.help : `${option.help} (${notes.join('; ')})`
}

/** Options by name. */
export const sortedOptions = (table: AnyOptionTable): Option<unknown>[] =>
  Object.values(table).sort((a, b) => (a.long < b.long ? -1 : 1))

function optionLines(table: AnyOptionTable): string[] {
  return columns(
    sortedOptions(table).map((option) => [
      option.short === undefined ? `    ${optionWord(option)}` : optionWord(option),
      optionText(option),
    ]),
  )
}

function argumentWord(argument: Argument): string {
  const word = `${argument.name.toUpperCase()}${argument.repeatable === true ? '...' : ''}`
  return argument.required === true ? word : `[${word}]`
}

/** `backup:run` and what it does, for each verb of a noun. */
const verbRows = ({ name, verbs }: Noun): Promise<string[]>[] =>
  verbs.map(async (verb) => [`${name}:${verb.name}`, (await verb.describe()).summary])

function folderGroup(folder: string, described: readonly AnyDescription[]): CommandGroup | undefined {
  return described.find(({ name }) => name.startsWith(`${folder} `))?.group
}

const byFirst = (a: readonly string[], b: readonly string[]): number => (a[0]! < b[0]! ? -1 : 1)

/** Two columns, the second wrapped. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const width = Math.min(34, Math.max(...rows.map(([first]) => first!.length)))
  return rows.flatMap(([first, second]) => {
    const [line = '', ...more] = wrap(second!, WIDTH - width - 4)
    const start =
      first!.length > width ? [`  ${first}`, `${' '.repeat(width + 4)}${line}`] : [`  ${first!.padEnd(width)}  ${line}`]
    return [...start, ...more.map((text) => `${' '.repeat(width + 4)}${text}`)]
  })
}

/** Lines of at most `width` characters; empty lines between paragraphs stay. */
function wrap(text: string, width: number = WIDTH): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = []
    let line = ''
    for (const word of paragraph.split(' ')) {
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line)
        line = word
      } else line = line === '' ? word : `${line} ${word}`
    }
    return [...lines, line]
  })
}
