import type { Argument } from '../command.ts'
import type { Completion } from '../options/option.ts'
import type { CompletedCommand, CompletedOption, CompletionModel } from './model.ts'

/** A completion function for zsh, for a file named `_holdfast` in a folder of $fpath. */
export function renderZsh(model: CompletionModel): string {
  const single = model.commands.filter(({ words }) => words.length === 1)
  const nested = model.folders.filter(({ name }) => !single.some(({ words }) => words[0] === name))
  const first = [...single.map(({ words, summary }) => ({ name: words[0]!, summary })), ...nested].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )
  return `#compdef holdfast
# zsh completion for holdfast, made by "holdfast completion zsh"

_holdfast_repositories() {
  local -a names=(\${(f)"$(holdfast completion repositories 2>/dev/null)"})
  _alternative "repositories:repository:($names)" 'folders:folder:_files -/'
}

_holdfast() {
  local curcontext=$curcontext state line
  local -a globals commands
  globals=(
${model.globals.map((option) => `    ${optionSpec(option)}\n`).join('')}  )
  _arguments -C -S -s $globals '1: :->command' '*:: :->rest' && return
  case $state in
    command)
      commands=(
${first.map((entry) => `        ${described(entry.name, entry.summary)}\n`).join('')}      )
      _describe -t commands command commands
      ;;
    rest)
      curcontext=\${curcontext%:*:*}:holdfast-$line[1]:
      case $line[1] in
${single
  .filter((command) => !model.folders.some(({ name }) => name === command.words[0]))
  .map((command) => `        ${command.words[0]}) ${argumentsCall(command, '          ')} ;;\n`)
  .join('')}${model.folders.map(({ name }) => folderCase(name, model)).join('')}      esac
      ;;
  esac
}

_holdfast "$@"
`
}

function folderCase(name: string, model: CompletionModel): string {
  const members = model.commands.filter(({ words }) => words[0] === name && words.length > 1)
  const plain = model.commands.find(({ words }) => words[0] === name && words.length === 1)
  return `        ${name})
          if (( CURRENT == 2 )); then
            commands=(
${members.map(({ words, summary }) => `              ${described(words[1]!, summary)}\n`).join('')}            )
            _describe -t commands command commands
          else
            case $words[2] in
${members.map((command) => `              ${command.words[1]}) shift words; (( CURRENT-- )); ${argumentsCall(command, '                ')} ;;\n`).join('')}${plain === undefined ? '' : `              *) ${argumentsCall(plain, '                ')} ;;\n`}            esac
          fi
          ;;
`
}

function argumentsCall(command: CompletedCommand, indent: string): string {
  const specs = [...command.options.map(optionSpec), ...command.arguments.map(argumentSpec)]
  return ['_arguments -S -s $globals', ...specs].join(` \\\n${indent}`)
}

function optionSpec(option: CompletedOption): string {
  const text = `[${option.help.replace(/[[\]\\:]/g, '\\$&')}]`
  const value = option.takesValue ? `:${option.long}:${action(option.completes)}` : ''
  if (option.short === undefined) return quote(`*--${option.long}${text}${value}`)
  return `${quote(`*-${option.short}${text}${value}`)} ${quote(`*--${option.long}${text}${value}`)}`
}

const argumentSpec = (argument: Argument): string =>
  quote(`${argument.repeatable === true ? '*' : ''}:${argument.name}:${action(argument.completes)}`)

function action(completes: Completion | undefined): string {
  if (completes === undefined) return ' '
  if (completes === 'file') return '_files'
  if (completes === 'directory') return '_files -/'
  if (completes === 'repository') return '_holdfast_repositories'
  return `(${completes.join(' ')})`
}

const described = (name: string, summary: string): string => quote(`${name}:${summary.replaceAll(':', '\\:')}`)

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`
