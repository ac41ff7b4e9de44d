import type { CommandDescription } from '../command.ts'
import { flag, type NoOptions } from '../options/option.ts'

export const configCheckDescription: CommandDescription<NoOptions> = {
  name: 'config:check',
  group: 'inspection',
  summary: 'Check the configuration',
  description:
    'Reads holdfast.yaml, or the environment variables that stand for it, and names every mistake with its line and column. Nothing is connected to, and no secret is read.',
  examples: [{ line: 'holdfast config:check', does: 'check the configuration that other commands would use' }],
  options: {},
  arguments: [],
  exitCodes: [2],
}

export interface ConfigShowOptions {
  readonly schema: boolean
}

export const configShowDescription: CommandDescription<ConfigShowOptions> = {
  name: 'config:show',
  group: 'inspection',
  summary: 'Show the configuration and where each value comes from',
  description:
    'Prints every value with its origin: a line of the file, a variable, or a default. Secrets are shown as the reference that names them.',
  examples: [
    { line: 'holdfast config:show', does: 'show all values' },
    { line: 'holdfast config:show --schema', does: 'print the JSON Schema of holdfast.yaml, for editors' },
  ],
  options: { schema: flag('schema', 'print the JSON Schema of the file instead') },
  arguments: [],
  exitCodes: [2],
}
