import { describeConfiguration } from '../../config/describe.ts'
import { configurationJsonSchema } from '../../config/json-schema.ts'
import { loadSourceKinds } from '../../sources/registry.ts'
import type { Command } from '../command.ts'
import { loadConfigured, settingsOf } from '../configured/load.ts'
import { type ConfigShowOptions, configShowDescription } from '../descriptions/config.ts'
import { renderTable } from '../output/table.ts'

export const configShowCommand: Command<ConfigShowOptions> = {
  ...configShowDescription,
  async run(context, options) {
    const { output } = context
    if (options.schema) {
      const schema = configurationJsonSchema(settingsOf(await loadSourceKinds()))
      output.result(JSON.stringify(schema, null, 2))
      return 0
    }
    const { configuration } = await loadConfigured(context)
    const settings = describeConfiguration(configuration)
    if (output.json) output.message(settings)
    else
      output.result(
        renderTable({
          headers: ['Setting', 'Value', 'From'],
          rows: settings.map(({ path, value, origin }) => [path, JSON.stringify(value), origin]),
        }),
      )
    return 0
  },
}
