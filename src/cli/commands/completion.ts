import type { Command } from '../command.ts'
import { renderCompletion } from '../completion/render.ts'
import { completionDescription, NAMES, type Shell } from '../descriptions/completion.ts'
import type { NoOptions } from '../options/option.ts'

/** What shells may take as a word without looking into it. */
const PLAIN_NAME = /^[\w-][\w.-]*$/

export const completionCommand: Command<NoOptions> = {
  ...completionDescription,
  async run(context, _options, [shell]) {
    const { output, registry } = context
    if (shell !== NAMES) output.result(await renderCompletion(shell as Shell, registry))
    else {
      const { configuredNames } = await import('../configured/named-repository.ts')
      for (const name of await configuredNames(context)) if (PLAIN_NAME.test(name)) output.result(name)
    }
    return 0
  },
}
