import { availableParallelism } from 'node:os'
import { copySnapshots } from '../../engine/repository/copy/copy-snapshots.ts'
import type { CopyObserver } from '../../engine/repository/copy/snapshot-copier.ts'
import { shortId } from '../../lib/id.ts'
import { formatSize } from '../../lib/sizes.ts'
import { sourceAccess } from '../access.ts'
import type { Command } from '../command.ts'
import { type CopyOptions, copyDescription } from '../descriptions/copy.ts'
import type { Output } from '../output/output.ts'
import { snapshotLine } from '../output/snapshot-line.ts'
import { progressOf, withRepository } from '../repository-session.ts'
import { loadChosenSnapshots } from '../snapshot-choice.ts'

export const copyCommand: Command<CopyOptions> = {
  ...copyDescription,
  run(context, options, references) {
    const { output } = context
    return withRepository(context, { lock: 'read', early: true, access: sourceAccess(options) }, (source) =>
      withRepository(context, { lock: 'append', early: true }, async (destination) => {
        const signal = AbortSignal.any([source.signal, destination.signal])
        const from = source.repository
        const { snapshots, exitCode } = await loadChosenSnapshots(from, references, options, output, signal)
        await from.loadIndex(signal)
        await destination.repository.loadIndex(signal)
        const { copied, skipped } = await copySnapshots(from, destination.repository, snapshots, {
          threads: availableParallelism(),
          progress: progressOf(context),
          observer: output.json ? jsonObserver(output) : textObserver(output),
          signal,
        })
        await Promise.all([source.settled, destination.settled])
        if (output.json)
          output.message({
            message_type: 'summary',
            copied_snapshots: copied.length,
            skipped_snapshots: skipped.length,
          })
        return exitCode
      }),
    )
  },
}

const jsonObserver = (output: Output): CopyObserver => ({
  onSaved: ({ source, copy }) =>
    output.message({ message_type: 'copied', source_snapshot_id: source.id, snapshot_id: copy.id }),
})

const textObserver = (output: Output): CopyObserver => ({
  onSkipped({ source, copy }) {
    output.detail(`\n${snapshotLine(source)}`)
    output.detail(`skipping source snapshot ${shortId(source.id)}, was already copied to snapshot ${shortId(copy.id)}`)
  },
  onStart(source) {
    output.print(`\n${snapshotLine(source)}`)
    output.print('  copy started, this may take a while...')
  },
  onPlanned(_, { blobs, bytes, packs }) {
    output.detail(`  copy ${blobs} blobs with disk size ${formatSize(bytes)} in ${packs} packfiles\n\n`)
  },
  onSaved({ source, copy }) {
    output.print(`snapshot ${shortId(copy.id)} saved, copied from source snapshot ${shortId(source.id)}`)
  },
})
