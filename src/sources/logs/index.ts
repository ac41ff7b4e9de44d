import { lateSource } from '../late-source.ts'
import type { SourceKind } from '../source.ts'
import { type LogsSettings, logsSettings } from './settings.ts'

/** Logs of programs that go on writing and rotating them. */
export const logsKind: SourceKind<LogsSettings> = {
  type: 'logs',
  summary: 'logs, as far back as a window reaches',
  settings: logsSettings,
  open: (name, settings, services) =>
    lateSource({ name, type: 'logs', paths: settings.paths, canCompare: true }, async () => {
      const { LogsSource } = await import('./logs-source.ts')
      return new LogsSource(name, settings, services)
    }),
}
