import type { AnyDescription, CommandGroup } from '../../src/cli/command.ts'
import { environmentPrefixes } from '../../src/cli/environment.ts'
import { optionText, optionWord, sortedOptions, usageLine } from '../../src/cli/help.ts'
import { globalOptions } from '../../src/cli/options/global.ts'
import type { AnyOptionTable, RefusedOption } from '../../src/cli/options/option.ts'
import type { Registry } from '../../src/cli/registry.ts'
import { code, generatedNotice, table } from './markdown.ts'

const groups: Readonly<Record<CommandGroup, string>> = {
  everyday: 'Back up and restore',
  maintenance: 'Look after a repository',
  inspection: 'Look inside a repository',
  program: 'About the program',
}

/** Variables that stand for no option. */
const otherVariables: readonly (readonly [string, string])[] = [
  ['PASSWORD', 'the password itself; a file or a command is safer'],
  ['FROM_PASSWORD', 'the password of the source repository'],
  ['PROGRESS_FPS', 'how often progress is shown, in times per second; in pipes it is shown only when this is set'],
]

/** `docs/reference/cli.md`. */
export async function renderCliPage(registry: Registry): Promise<string> {
  const commands = await Promise.all(registry.commands.map((entry) => entry.describe()))
  const configured = await Promise.all(registry.nouns.flatMap(({ verbs }) => verbs.map((entry) => entry.describe())))
  return `${[
    '# Command line',
    generatedNotice,
    'A command line is `holdfast COMMAND [options] [arguments]`. Options and arguments may be mixed; `--` ends the options. ' +
      '`--option value`, `--option=value`, `-o value` and `-ovalue` are the same, letters of options without a value may be joined (`-qn`), and ' +
      'the last value of an option counts unless it is repeatable. The commands, options, JSON messages and exit codes are those of restic 0.19.',
    'What a command ends with is in [exit codes](exit-codes.md), what can go wrong in [errors](errors.md).',
    ...overview(commands),
    '## Work on what is configured',
    'These commands work on what `holdfast.yaml` describes: the file that `--config` or `HOLDFAST_CONFIG` names, else `./holdfast.yaml`, else ' +
      '`/etc/holdfast/holdfast.yaml`. `holdfast backup run` and `holdfast backup:run` are the same.',
    commandTable(configured),
    '## Options of every command',
    optionTable(globalOptions.options),
    ...refusedList(globalOptions.refused),
    '## Environment',
    'A variable counts when the option is not given. `HOLDFAST_` variables come before `RESTIC_` variables of the same name; an empty one ' +
      'counts as not set.',
    environmentTable(commands),
    ...[...commands, ...configured].flatMap((command) => commandSection(command, registry)),
    '## Commands of restic that are refused',
    table([['Command', 'Why'], ...Object.entries(registry.refused).map(([name, reason]) => [code(name), reason])]),
  ].join('\n\n')}\n`
}

function overview(commands: readonly AnyDescription[]): string[] {
  return Object.entries(groups).flatMap(([group, title]) => {
    const members = commands.filter((command) => command.group === group)
    return members.length === 0 ? [] : [`## ${title}`, commandTable(members)]
  })
}

const commandTable = (commands: readonly AnyDescription[]): string =>
  table([
    ['Command', 'What it does'],
    ...commands.map(({ name, summary }) => [`[${code(name)}](#${anchor(name)})`, summary]),
  ])

function commandSection(command: AnyDescription, registry: Registry): string[] {
  const { description, examples, options } = command
  const older = registry.commands.find(({ name }) => name === command.name)?.deprecatedNames ?? []
  return [
    `## ${command.name}`,
    `${command.summary}.`,
    code(usageLine(command)),
    description,
    ...older.map((name) => `${code(name)} is an older name for it.`),
    ...(command.arguments.length === 0
      ? []
      : [
          table([
            ['Argument', 'Meaning'],
            ...command.arguments.map(({ name, help }) => [code(name.toUpperCase()), help]),
          ]),
        ]),
    ...(Object.keys(options).length === 0 ? [] : [optionTable(options)]),
    ...refusedList(command.refused),
    ...(command.retired ?? []).map(
      ({ long, note }) => `${code(`--${long}`)} is accepted with a warning and has no effect: ${note}.`,
    ),
    'Examples:',
    ['```', ...examples.flatMap(({ line, does }) => [`# ${does}`, line]), '```'].join('\n'),
    `Exit codes: ${[0, 1, ...(command.exitCodes ?? []), 130].map((exitCode) => code(String(exitCode))).join(', ')}.`,
  ]
}

/** As web pages make it of a heading. */
const anchor = (name: string): string => name.replaceAll(' ', '-').replaceAll(':', '')

function optionTable(options: AnyOptionTable): string {
  return table([
    ['Option', 'Meaning'],
    ...sortedOptions(options).map((option) => [code(optionWord(option)), optionText(option)]),
  ])
}

const refusedList = (refused: readonly RefusedOption[] = []): string[] =>
  refused.length === 0
    ? []
    : [`Refused: ${refused.map(({ long, reason }) => `${code(`--${long}`)} (${reason})`).join('; ')}.`]

function environmentTable(commands: readonly AnyDescription[]): string {
  const tables: readonly AnyOptionTable[] = [
    globalOptions.options,
    ...commands.map(({ options }) => options as AnyOptionTable),
  ]
  const variables = new Map<string, string>(otherVariables)
  for (const options of tables)
    for (const { environment, long } of Object.values(options))
      if (environment !== undefined) variables.set(environment, `${code(`--${long}`)}`)
  const rows = [...variables]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, meaning]) => [environmentPrefixes.map((prefix) => code(prefix + name)).join(', '), meaning])
  return table([['Variable', 'Stands for'], ...rows])
}
