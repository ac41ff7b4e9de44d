import { describeFile } from '../../engine/storage/index.ts'
import { undeleteFiles } from '../../engine/storage/undelete.ts'
import { formatSize } from '../../lib/sizes.ts'
import type { Command } from '../command.ts'
import { type StorageUndeleteOptions, storageUndeleteDescription } from '../descriptions/storage.ts'
import { findStore } from '../named-store.ts'

export const storageUndeleteCommand: Command<StorageUndeleteOptions> = {
  ...storageUndeleteDescription,
  async run(context, { dryRun, withinMs }, [place]) {
    const { output, signal, clock } = context
    const storage = await (await findStore(context, place)).open()
    try {
      const sinceMs = withinMs === undefined ? undefined : Number(clock.now() / 1_000_000n) - withinMs
      const done = dryRun ? 'would bring back' : 'brought back'
      const { files, bytes } = await undeleteFiles(storage, {
        dryRun,
        sinceMs,
        signal,
        onFile: (file, sizeBytes) => {
          if (output.json)
            output.message({
              message_type: dryRun ? 'would_undelete' : 'undeleted',
              kind: file.kind,
              name: file.kind === 'config' ? 'config' : file.name,
              size: sizeBytes,
            })
          else output.detail(`${done} ${describeFile(file)}`)
        },
      })
      if (output.json) output.message({ message_type: 'summary', files, bytes, dry_run: dryRun })
      else output.result(`${done} ${files} files (${formatSize(bytes)})`)
      return 0
    } finally {
      await storage.close()
    }
  },
}
