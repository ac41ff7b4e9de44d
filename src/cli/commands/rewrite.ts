import { createRestoreSelector, patternSources, readPatternFiles } from '../../engine/archive/filter/index.ts'
import { divideByRetention } from '../../engine/repository/retention/retained-files.ts'
import {
  type RewriteOptions as EngineOptions,
  type RewriteOutcome,
  rewriteSnapshots,
} from '../../engine/repository/rewrite.ts'
import type { Command } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { type RewriteOptions, rewriteDescription } from '../descriptions/rewrite.ts'
import { hasPatterns } from '../descriptions/usage.ts'
import { printChangedCount, printRewritten } from '../output/rewrite-report.ts'
import { progressOf, withRepository } from '../repository-session.ts'
import { printRetained, refuseRetained } from '../retained-snapshots.ts'
import { loadChosenSnapshots } from '../snapshot-choice.ts'

export const rewriteCommand: Command<RewriteOptions> = {
  ...rewriteDescription,
  async run(context, options, references) {
    const { output } = context
    const { forget, dryRun } = options
    const selection = await selectionOf(context, options)
    if (forget) output.print('create exclusive lock for repository')
    return withRepository(context, { lock: forget ? 'exclusive' : 'append', dryRun }, async (session) => {
      const { repository, signal } = session
      const { snapshots, exitCode } = await loadChosenSnapshots(repository, references, options, output, signal)
      await repository.loadIndex(signal)
      const { free, retained } = await (forget
        ? divideByRetention(repository, snapshots, signal)
        : { free: snapshots, retained: { snapshots: [], earliestMs: Number.POSITIVE_INFINITY } })
      const settings: EngineOptions = {
        ...selection,
        newHost: options.newHost,
        newTime: options.newTime,
        summary: options.snapshotSummary,
        forget,
        dryRun,
        progress: progressOf(context),
        signal,
      }
      const onSnapshot: EngineOptions['onSnapshot'] = (outcome) => printRewritten(output, outcome, options)
      const outcomes = await rewriteSnapshots(repository, free, { ...settings, onSnapshot })
      printChangedCount(output, outcomes.filter(hasChanged).length, dryRun)
      if (retained.snapshots.length === 0) return exitCode
      // Those that would be the same afterwards are nobody's concern.
      const kept = await rewriteSnapshots(repository, retained.snapshots, { ...settings, dryRun: true })
      const unchanged = { ...retained, snapshots: kept.filter(hasChanged).map(({ snapshot }) => snapshot) }
      printRetained(output, unchanged, 'stay as they are')
      refuseRetained(unchanged, 'rewritten')
      return exitCode
    })
  },
}

const hasChanged = ({ changed }: RewriteOutcome): boolean => changed !== undefined

async function selectionOf(
  { environment }: CommandContext,
  options: RewriteOptions,
): Promise<Pick<EngineOptions, 'selector' | 'mayEmpty'>> {
  const given = hasPatterns(options)
  if (!given.includes && !given.excludes) return {}
  const patterns = async (texts: readonly string[], files: readonly string[], name: string) => [
    ...patternSources(texts),
    ...(await readPatternFiles(files, name, environment)),
  ]
  const selector = createRestoreSelector({
    include: await patterns(options.includes, options.includeFiles, '--include-file'),
    iinclude: await patterns(options.insensitiveIncludes, options.insensitiveIncludeFiles, '--iinclude-file'),
    exclude: await patterns(options.excludes, options.excludeFiles, '--exclude-file'),
    iexclude: await patterns(options.insensitiveExcludes, options.insensitiveExcludeFiles, '--iexclude-file'),
  })
  return { selector, mayEmpty: given.excludes }
}
