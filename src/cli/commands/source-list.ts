import type { Command } from '../command.ts'
import { loadConfigured } from '../configured/load.ts'
import { sourceListDescription } from '../descriptions/source.ts'
import type { NoOptions } from '../options/option.ts'
import { renderTable } from '../output/table.ts'

export const sourceListCommand: Command<NoOptions> = {
  ...sourceListDescription,
  async run(context) {
    const { output } = context
    const { configuration, openSource } = await loadConfigured(context)
    const rows = [...configuration.sources.values()].map((source) => ({
      name: source.name,
      type: source.type,
      repositories: source.repositories,
      paths: openSource(source).paths,
    }))
    if (output.json) output.message(rows)
    else
      output.result(
        renderTable({
          headers: ['Source', 'Type', 'Repositories', 'Paths in snapshots'],
          rows: rows.map(({ name, type, repositories, paths }) => [
            name,
            type,
            repositories.join('\n'),
            paths.join('\n'),
          ]),
        }),
      )
    return 0
  },
}
