import { HoldfastError } from '../../lib/errors.ts'
import type { Command } from '../command.ts'
import { helpDescription } from '../descriptions/help.ts'
import { dispatch } from '../dispatch.ts'
import { renderCommandHelp, renderFolderHelp, renderOverview } from '../help.ts'
import type { NoOptions } from '../options/option.ts'

export const helpCommand: Command<NoOptions> = {
  ...helpDescription,
  async run({ output, registry }, _options, args) {
    const target = dispatch(args, registry)
    switch (target.kind) {
      case 'failure':
        throw target.error
      case 'none':
        output.result(await renderOverview(registry))
        return 0
      case 'folder':
        output.result(await renderFolderHelp(target.folder, registry))
        return 0
      case 'noun':
        output.result(await renderFolderHelp(target.noun, registry))
        return 0
      case 'command': {
        if (target.rest.length > 0)
          throw new HoldfastError('HF_USAGE', `there is no command "${args.join(' ')}"`, {
            hint: `"holdfast help ${target.entry.name}" explains "${target.entry.name}"`,
          })
        output.result(renderCommandHelp(await target.entry.describe()))
        return 0
      }
    }
  },
}
