import { lateSource } from '../late-source.ts'
import type { SourceKind } from '../source.ts'
import { type ConfigSettings, configSettings } from './settings.ts'

/** Configuration of programs, with passwords and keys in it: files as any others, some of which are never named. */
export const configKind: SourceKind<ConfigSettings> = {
  type: 'config',
  summary: 'configuration files, with secrets among them',
  settings: configSettings,
  open: (name, settings) =>
    lateSource({ name, type: 'config', paths: settings.paths, canCompare: true }, async () => {
      const { ConfigSource } = await import('./config-source.ts')
      return new ConfigSource(name, settings)
    }),
}
