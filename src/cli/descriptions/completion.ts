import type { CommandDescription } from '../command.ts'
import { type NoOptions, noOptions } from '../options/option.ts'
import { usageError } from './usage.ts'

export const shells = ['bash', 'zsh', 'fish'] as const

export type Shell = (typeof shells)[number]

export const completionDescription: CommandDescription<NoOptions> = {
  name: 'completion',
  group: 'program',
  summary: 'Print a script that completes command lines in a shell',
  description:
    'Prints the script for one shell. Load it when the shell starts, or put it where the shell looks for completions.',
  examples: [
    { line: 'source <(holdfast completion bash)', does: 'in ~/.bashrc' },
    { line: 'holdfast completion zsh > ~/.zfunc/_holdfast', does: 'for zsh, with ~/.zfunc in $fpath' },
    { line: 'holdfast completion fish > ~/.config/fish/completions/holdfast.fish', does: 'for fish' },
  ],
  options: noOptions,
  arguments: [{ name: 'shell', help: shells.join(', '), required: true, completes: shells }],
  check(_options, args) {
    if (!(shells as readonly (string | undefined)[]).includes(args[0]))
      throw usageError(`there is no completion for ${JSON.stringify(args[0])}`, `give one of ${shells.join(', ')}`)
  },
}
