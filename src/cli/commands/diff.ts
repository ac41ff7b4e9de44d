import { rootOf, type StoredSnapshot } from '../../engine/repository/snapshot.ts'
import { byteStringToText, textToByteString } from '../../engine/repository/tree/node.ts'
import { type DiffCounts, type DiffStatistics, diffTrees } from '../../engine/restore/browse/diff.ts'
import { resolveFolder } from '../../engine/restore/snapshot-folder.ts'
import { HoldfastError } from '../../lib/errors.ts'
import type { Id } from '../../lib/id.ts'
import { shortId } from '../../lib/id.ts'
import { formatSize } from '../../lib/sizes.ts'
import type { Command } from '../command.ts'
import { type DiffOptions, diffDescription } from '../descriptions/diff.ts'
import { jsonLine } from '../output/json.ts'
import { LineWriter } from '../output/line-writer.ts'
import type { Output } from '../output/output.ts'
import { type RepositorySession, withRepository } from '../repository-session.ts'
import { chooseSnapshot, noSnapshotFilter } from '../snapshot-choice.ts'

export const diffCommand: Command<DiffOptions> = {
  ...diffDescription,
  run(context, options, references) {
    const { output } = context
    return withRepository(context, { lock: 'read' }, async (session) => {
      const { repository, signal } = session
      const [before, after] = (await Promise.all(
        references.map((reference) => chooseSnapshot(repository, reference, noSnapshotFilter, signal)),
      )) as [Side, Side]
      output.print(`comparing snapshot ${shortId(before.snapshot.id)} to ${shortId(after.snapshot.id)}:\n\n`)
      await repository.loadIndex(signal)
      const lines = new LineWriter(output)
      let errors = 0
      const statistics = await diffTrees(
        repository,
        await treeOfSide(session, before),
        await treeOfSide(session, after),
        {
          onChange: (path, modifier) => {
            if (output.verbosity === 0) return
            const change = { message_type: 'change', path: byteStringToText(path), modifier }
            if (output.json) lines.write(textToByteString(jsonLine(change)))
            else lines.line(modifier.padEnd(5), path)
          },
          onError: (path, error) => {
            errors++
            output.warn(`error: ${byteStringToText(path)}: ${error.message}`)
          },
        },
        { metadata: options.metadata, signal },
      )
      lines.flush()
      printStatistics(output, statistics, references)
      if (errors > 0)
        throw new HoldfastError('HF_DATA_DAMAGED', `${errors} parts of the snapshots could not be compared`, {
          hint: 'they are named above; run "holdfast check"',
        })
      return 0
    })
  },
}

interface Side {
  readonly snapshot: StoredSnapshot
  readonly subfolder: string
}

const treeOfSide = ({ repository, signal }: RepositorySession, { snapshot, subfolder }: Side): Promise<Id> =>
  resolveFolder(repository, rootOf(snapshot), textToByteString(subfolder), signal)

function printStatistics(output: Output, statistics: DiffStatistics, references: readonly string[]): void {
  const { changedFiles, added, removed } = statistics
  if (output.json) {
    output.message({
      message_type: 'statistics',
      source_snapshot: references[0],
      target_snapshot: references[1],
      changed_files: changedFiles,
      added: countsJson(added),
      removed: countsJson(removed),
    })
    return
  }
  const row = (what: string, key: keyof DiffCounts): string =>
    `${what.padEnd(12)} ${five(added[key])} new, ${five(removed[key])} removed`
  output.result(`
${row('Files:', 'files')}, ${five(changedFiles)} changed
${row('Dirs:', 'dirs')}
${row('Others:', 'others')}
${row('Data Blobs:', 'dataBlobs')}
${row('Tree Blobs:', 'treeBlobs')}
  Added:   ${formatSize(added.bytes).padEnd(5)}
  Removed: ${formatSize(removed.bytes).padEnd(5)}`)
}

const five = (count: number): string => String(count).padStart(5)

const countsJson = ({ files, dirs, others, dataBlobs, treeBlobs, bytes }: DiffCounts): object => ({
  files,
  dirs,
  others,
  data_blobs: dataBlobs,
  tree_blobs: treeBlobs,
  bytes,
})
