import type { Completion } from '../options/option.ts'
import type { CompletedOption, CompletionModel } from './model.ts'

/** Completions for fish. */
export function renderFish(model: CompletionModel): string {
  const { commands, folders, globals } = model
  const single = commands.filter(({ words }) => words.length === 1)
  const first = [
    ...single.map(({ words, summary }) => ({ name: words[0]!, summary })),
    ...folders.filter(({ name }) => !single.some(({ words }) => words[0] === name)),
  ]
  const withValue = globals.filter(({ takesValue }) => takesValue).flatMap(spellings)
  const lines = [
    '# fish completion for holdfast, made by "holdfast completion fish"',
    '',
    '# The words of the command line that are neither options nor their values.',
    'function __holdfast_words',
    '    set -l skip 0',
    '    for word in (commandline -opc)[2..]',
    '        if test $skip = 1',
    '            set skip 0',
    `        else if contains -- $word ${withValue.join(' ')}`,
    '            set skip 1',
    "        else if not string match -q -- '-*' $word",
    '            echo $word',
    '        end',
    '    end',
    'end',
    '',
    '# Whether the command line has these words at its beginning, or none without arguments.',
    'function __holdfast_at',
    '    set -l words (__holdfast_words)',
    '    set -l wanted (count $argv)',
    '    if test $wanted = 0',
    '        test (count $words) = 0',
    '    else if test (count $words) -ge $wanted',
    '        test "$words[1..$wanted]" = "$argv"',
    '    else',
    '        false',
    '    end',
    'end',
    '',
    'complete -c holdfast -f',
    ...globals.map((option) => optionLine(undefined, option)),
    ...first.map(({ name, summary }) => `complete -c holdfast -n __holdfast_at -a ${name} -d ${quote(summary)}`),
  ]
  for (const { name } of folders) {
    const members = commands.filter(({ words }) => words[0] === name && words.length > 1)
    const condition = quote(
      `__holdfast_at ${name}; and not __holdfast_at ${name} ${members.map(({ words }) => words[1]).join(`; and not __holdfast_at ${name} `)}`,
    )
    for (const { words, summary } of members)
      lines.push(`complete -c holdfast -n ${condition} -a ${words[1]} -d ${quote(summary)}`)
  }
  for (const command of commands) {
    const condition = quote(`__holdfast_at ${command.words.join(' ')}`)
    for (const option of command.options) lines.push(optionLine(condition, option))
    for (const argument of command.arguments)
      if (argument.completes !== undefined)
        lines.push(`complete -c holdfast -n ${condition} ${action(argument.completes)}`)
  }
  return `${lines.join('\n')}\n`
}

const spellings = ({ long, short }: CompletedOption): string[] => [
  `--${long}`,
  ...(short === undefined ? [] : [`-${short}`]),
]

function optionLine(condition: string | undefined, option: CompletedOption): string {
  return [
    'complete -c holdfast',
    ...(condition === undefined ? [] : [`-n ${condition}`]),
    `-l ${option.long}`,
    ...(option.short === undefined ? [] : [`-s ${option.short}`]),
    ...(option.takesValue ? [`${option.completes === 'file' ? '-r' : '-x'} ${action(option.completes)}`.trim()] : []),
    `-d ${quote(option.help)}`,
  ].join(' ')
}

function action(completes: Completion | undefined): string {
  if (completes === undefined) return ''
  if (completes === 'file') return '-F'
  if (completes === 'directory') return "-a '(__fish_complete_directories)'"
  if (completes === 'repository')
    return "-a '(holdfast completion repositories 2>/dev/null; __fish_complete_directories)'"
  return `-a ${quote(completes.join(' '))}`
}

const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
