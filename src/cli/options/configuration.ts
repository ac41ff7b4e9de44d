import { type OptionTable, value } from './option.ts'
import { fileKind } from './values.ts'

/** For commands that work on what holdfast.yaml describes. */
export interface ConfigurationOptions {
  readonly configurationFile: string | undefined
}

export const configurationOptions: OptionTable<ConfigurationOptions> = {
  configurationFile: value(
    'config',
    fileKind,
    'read the configuration from this file instead of ./holdfast.yaml or /etc/holdfast/holdfast.yaml',
  ),
}
