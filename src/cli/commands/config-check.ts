import type { Command } from '../command.ts'
import { loadConfigured } from '../configured/load.ts'
import { configCheckDescription } from '../descriptions/config.ts'
import type { NoOptions } from '../options/option.ts'

export const configCheckCommand: Command<NoOptions> = {
  ...configCheckDescription,
  async run(context) {
    const { configuration } = await loadConfigured(context)
    const { file, repositories, sources, warnings } = configuration
    const { output } = context
    if (output.json)
      output.message({
        message_type: 'configuration',
        file,
        repositories: [...repositories.keys()],
        sources: [...sources.keys()],
        warnings,
      })
    else
      output.print(
        `${file ?? 'the environment'} is in order: ${repositories.size} ${repositories.size === 1 ? 'repository' : 'repositories'}, ${sources.size} ${sources.size === 1 ? 'source' : 'sources'}`,
      )
    return 0
  },
}
