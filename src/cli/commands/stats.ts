import { countSnapshots, type Stats, statsJson } from '../../engine/repository/stats.ts'
import { formatSize } from '../../lib/sizes.ts'
import type { Command } from '../command.ts'
import { type StatsMode, type StatsOptions, statsDescription } from '../descriptions/stats.ts'
import { progressOf, withRepository } from '../repository-session.ts'
import { loadChosenSnapshots } from '../snapshot-choice.ts'

export const statsCommand: Command<StatsOptions> = {
  ...statsDescription,
  run(context, options, references) {
    const { output } = context
    const { mode } = options
    return withRepository(context, { lock: 'read' }, async ({ repository, signal }) => {
      if (!output.json) output.result('scanning...')
      const { snapshots, exitCode } = await loadChosenSnapshots(repository, references, options, output, signal)
      await repository.loadIndex(signal)
      const stats = await countSnapshots(repository, snapshots, { mode, progress: progressOf(context), signal })
      if (output.json) output.message(statsJson(stats))
      else output.result(statsText(mode, stats))
      return exitCode
    })
  },
}

function statsText(mode: StatsMode, stats: Stats): string {
  const lines = [
    `Stats in ${mode} mode:`,
    `     Snapshots processed:  ${stats.snapshots}`,
    stats.totalBlobs > 0 && `        Total Blob Count:  ${stats.totalBlobs}`,
    stats.totalFiles > 0 && `        Total File Count:  ${stats.totalFiles}`,
    stats.uncompressedBytes > 0 && ` Total Uncompressed Size:  ${formatSize(stats.uncompressedBytes).padEnd(5)}`,
    `              Total Size:  ${formatSize(stats.totalBytes).padEnd(5)}`,
    stats.compressionProgress > 0 && `    Compression Progress:  ${stats.compressionProgress.toFixed(2)}%`,
    stats.compressionRatio > 0 && `       Compression Ratio:  ${stats.compressionRatio.toFixed(2)}x`,
    stats.compressionSpaceSaving > 0 && `Compression Space Saving:  ${stats.compressionSpaceSaving.toFixed(2)}%`,
  ]
  return lines.filter((line) => line !== false).join('\n')
}
