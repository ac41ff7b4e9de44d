import type { Completion } from '../options/option.ts'
import type { CompletedOption, CompletionModel } from './model.ts'

/** A completion script for bash that needs no other package. */
export function renderBash(model: CompletionModel): string {
  const { commands, folders, globals } = model
  const firstWords = [
    ...new Set([...commands.map(({ words }) => words[0]!), ...folders.map(({ name }) => name)]),
  ].sort()
  const withValue = [
    ...globals.flatMap((option) => valueSpellings(option).map((name) => `*:${name}`)),
    ...commands.flatMap(({ words, options }) =>
      options.flatMap(valueSpellings).map((name) => quote(`${words.join(' ')}:${name}`)),
    ),
  ]
  return `# bash completion for holdfast, made by "holdfast completion bash"
_holdfast() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command= option= position=0 i word
  [[ $cur == = ]] && cur= && prev=\${COMP_WORDS[COMP_CWORD-1]}
  [[ $prev == = ]] && prev=\${COMP_WORDS[COMP_CWORD-2]}
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "$command:$word" in
      ${withValue.join(' | ')}) ((i++)); [[ \${COMP_WORDS[i]} == = ]] && ((i++)) ;;
      *:-* | *:=) ;;
      *)
        if [[ -z $command ]]; then
          command=$word
        else
          case "$command $word" in
            ${cases(commands.filter(({ words }) => words.length > 1).map(({ words }) => words.join(' ')))}) command="$command $word" ;;
            *) ((position++)) ;;
          esac
        fi
        ;;
    esac
  done
  COMPREPLY=()
  case "$command:$prev" in
${commands.flatMap((command) => command.options.flatMap((option) => valueCase(command.words.join(' '), option))).join('')}${globals.flatMap((option) => valueCase('*', option)).join('')}  esac
  if [[ $cur == -* ]]; then
    local options=${quote(globals.flatMap(spellings).join(' '))}
    case $command in
${commands.map((command) => `      ${quote(command.words.join(' '))}) options+=${quote(` ${command.options.flatMap(spellings).join(' ')}`)} ;;\n`).join('')}    esac
    COMPREPLY=($(compgen -W "$options" -- "$cur"))
    return
  fi
  case "$command:$position" in
    :0) COMPREPLY=($(compgen -W ${quote(firstWords.join(' '))} -- "$cur")) ;;
${folders.map(({ name }) => `    ${quote(`${name}:0`)}) ${offer(secondWords(model, name))};;&\n`).join('')}${commands.flatMap(argumentCases).join('')}  esac
}
complete -o bashdefault -F _holdfast holdfast
`
}

const secondWords = (model: CompletionModel, first: string): string[] =>
  model.commands.filter(({ words }) => words[0] === first && words.length > 1).map(({ words }) => words[1]!)

const spellings = ({ long, short }: CompletedOption): string[] => [
  `--${long}`,
  ...(short === undefined ? [] : [`-${short}`]),
]

const cases = (patterns: readonly string[]): string => (patterns.length === 0 ? '""' : patterns.map(quote).join(' | '))

const valueSpellings = (option: CompletedOption): string[] => (option.takesValue ? spellings(option) : [])

function valueCase(command: string, option: CompletedOption): string[] {
  if (!option.takesValue) return []
  const patterns = spellings(option).map((name) => (command === '*' ? `*:${name}` : quote(`${command}:${name}`)))
  return [`    ${patterns.join(' | ')}) ${offer(option.completes)}return ;;\n`]
}

function argumentCases(command: CompletionModel['commands'][number]): string[] {
  return command.arguments.flatMap((argument, position) => {
    if (argument.completes === undefined) return []
    const at = argument.repeatable === true ? '*' : String(position)
    return [`    ${quote(`${command.words.join(' ')}:`)}${at}) ${offer(argument.completes)};;\n`]
  })
}

/** Commands that add to COMPREPLY. */
function offer(completes: Completion | undefined): string {
  if (completes === undefined) return ''
  if (completes === 'repository')
    return `COMPREPLY+=($(compgen -W "$(holdfast completion repositories 2>/dev/null)" -- "$cur")); ${offer('directory')}`
  if (completes === 'file' || completes === 'directory') {
    const kind = completes === 'file' ? '-f' : '-d'
    return `compopt -o filenames 2>/dev/null; mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen ${kind} -- "$cur"); `
  }
  return `COMPREPLY+=($(compgen -W ${quote(completes.join(' '))} -- "$cur")); `
}

/** A word of the shell that stands for exactly this text. */
const quote = (text: string): string => (/^[\w./:@,+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)
