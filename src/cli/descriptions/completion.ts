import type { CommandDescription } from '../command.ts'
import { type NoOptions, noOptions } from '../options/option.ts'
import { usageError } from './usage.ts'

export const shells = ['bash', 'zsh', 'fish'] as const

/** In the place of a shell: print names of configured repositories, for the scripts. */
export const NAMES = 'repositories'

export type Shell = (typeof shells)[number]

export const completionDescription: CommandDescription<NoOptions> = {
  name: 'completion',
  group: 'program',
  summary: 'Print a script that completes command lines in a shell',
  description:
    'Prints the script for one shell. Load it when the shell starts, or put it where the shell looks for completions. Instead of a shell, `repositories` prints the names that holdfast.yaml gives to repositories; the scripts ask for them.',
  examples: [
    { line: 'source <(holdfast completion bash)', does: 'in ~/.bashrc' },
    { line: 'holdfast completion zsh > ~/.zfunc/_holdfast', does: 'for zsh, with ~/.zfunc in $fpath' },
    { line: 'holdfast completion fish > ~/.config/fish/completions/holdfast.fish', does: 'for fish' },
  ],
  options: noOptions,
  arguments: [{ name: 'shell', help: shells.join(', '), required: true, completes: shells }],
  check(_options, args) {
    if (![...shells, NAMES].includes(args[0] ?? ''))
      throw usageError(`there is no completion for ${JSON.stringify(args[0])}`, `give one of ${shells.join(', ')}`)
  },
}
