import { lateSource } from '../late-source.ts'
import type { SourceKind } from '../source.ts'
import { type FilesSettings, filesSettings } from './settings.ts'

/** Files and folders of this machine, at their real paths. */
export const filesKind: SourceKind<FilesSettings> = {
  type: 'files',
  summary: 'files and folders',
  settings: filesSettings,
  open: (name, settings) =>
    lateSource({ name, type: 'files', paths: settings.paths, canCompare: true }, async () => {
      const [{ FilesSource }, { noSecrets }] = await Promise.all([
        import('./file-source.ts'),
        import('./secret-names.ts'),
      ])
      return new FilesSource({ name, type: 'files', secrets: noSecrets }, settings)
    }),
}
