import type { Command } from '../command.ts'
import { renderCompletion } from '../completion/render.ts'
import { completionDescription, type Shell } from '../descriptions/completion.ts'
import type { NoOptions } from '../options/option.ts'

export const completionCommand: Command<NoOptions> = {
  ...completionDescription,
  async run({ output, registry }, _options, [shell]) {
    output.result(await renderCompletion(shell as Shell, registry))
    return 0
  },
}
