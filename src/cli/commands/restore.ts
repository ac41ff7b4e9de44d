import { createRestoreSelector, patternSources, readPatternFiles } from '../../engine/archive/filter/index.ts'
import { rootOf } from '../../engine/repository/snapshot.ts'
import { textToByteString } from '../../engine/repository/tree/node.ts'
import { describeArchived, findArchivedPacks } from '../../engine/restore/archived-packs.ts'
import { executeRestore } from '../../engine/restore/execute.ts'
import { planRestore } from '../../engine/restore/plan.ts'
import { plannedItems, type RestorePlan, type RestorePlanOptions } from '../../engine/restore/restore-plan.ts'
import { RestoreThreads } from '../../engine/restore/restore-threads.ts'
import { resolveFolder } from '../../engine/restore/snapshot-folder.ts'
import { verifyRestore } from '../../engine/restore/verify.ts'
import { monotonicMilliseconds } from '../../lib/clock.ts'
import { formatGoDuration } from '../../lib/durations.ts'
import { HoldfastError } from '../../lib/errors.ts'
import type { Command } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { type RestoreOptions, restoreDescription } from '../descriptions/restore.ts'
import { createCounter } from '../output/counter.ts'
import { RestoreReport } from '../output/restore-report.ts'
import { snapshotLine } from '../output/snapshot-line.ts'
import { type RepositorySession, withRepository } from '../repository-session.ts'
import { chooseSnapshot } from '../snapshot-choice.ts'

export const restoreCommand: Command<RestoreOptions> = {
  ...restoreDescription,
  async run(context, options, [reference]) {
    const { output } = context
    const target = options.target!
    const selection = await selectionOf(context, options)
    return await withRepository(context, { lock: 'read', early: true }, async (session) => {
      const { repository, signal } = session
      // Not earlier: they would take the processors from the derivation of the key.
      await using threads = new RestoreThreads()
      const { snapshot, subfolder } = await chooseSnapshot(repository, reference!, options, signal)
      await repository.loadIndex(signal)
      const tree = await resolveFolder(repository, rootOf(snapshot), textToByteString(subfolder), signal)
      output.print(`restoring ${snapshotLine(snapshot)} to ${target}`)
      const report = new RestoreReport(context)
      try {
        const plan = await planRestore(
          repository,
          tree,
          {
            target,
            ...selection,
            overwrite: options.overwrite,
            deleteOthers: options.delete,
            sparse: options.sparse,
            ownershipByName: options.ownershipByName,
            excludeXattrs: patternSources(options.excludeXattrs),
            includeXattrs: patternSources(options.includeXattrs),
            signal,
          },
          threads,
        )
        report.begin(plan.totals)
        const failed = options.dryRun
          ? await rehearse(session, plan, report)
          : await execute(session, plan, threads, report)
        await session.settled
        report.finish()
        refuseErrors(report)
        if (options.verify) await verify(context, session, { plan, failed, threads, target, report })
        return 0
      } finally {
        report.stop()
      }
    })
  },
}

async function selectionOf(
  { environment }: CommandContext,
  options: RestoreOptions,
): Promise<Pick<RestorePlanOptions, 'selector'>> {
  const patterns = async (texts: readonly string[], files: readonly string[], name: string) => [
    ...patternSources(texts),
    ...(await readPatternFiles(files, name, environment)),
  ]
  const include = await patterns(options.includes, options.includeFiles, '--include-file')
  const iinclude = await patterns(options.insensitiveIncludes, options.insensitiveIncludeFiles, '--iinclude-file')
  const exclude = await patterns(options.excludes, options.excludeFiles, '--exclude-file')
  const iexclude = await patterns(options.insensitiveExcludes, options.insensitiveExcludeFiles, '--iexclude-file')
  if (include.length + iinclude.length + exclude.length + iexclude.length === 0) return {}
  return { selector: createRestoreSelector({ include, iinclude, exclude, iexclude }) }
}

/** Tells what would be done. */
async function rehearse(
  { repository, signal }: RepositorySession,
  plan: RestorePlan,
  report: RestoreReport,
): Promise<ReadonlySet<number>> {
  const archived = await findArchivedPacks(repository, plan, signal)
  if (archived !== undefined) report.observer().onWarning?.(describeArchived(archived))
  for (const { path, error } of plan.problems) report.itemFailed(path, error)
  if (report.showsItems) for (const item of plannedItems(plan)) report.showItem(item)
  const { files, bytes, deletedFiles } = plan.totals
  report.update({ files, bytes, deletedFiles })
  return new Set()
}

async function execute(
  { repository, signal }: RepositorySession,
  plan: RestorePlan,
  threads: RestoreThreads,
  report: RestoreReport,
): Promise<ReadonlySet<number>> {
  const options = { observer: report.observer(), signal }
  const { progress, failed } = await executeRestore(repository, plan, options, threads)
  report.update(progress)
  return failed
}

interface Verification {
  readonly plan: RestorePlan
  readonly failed: ReadonlySet<number>
  readonly threads: RestoreThreads
  readonly target: string
  readonly report: RestoreReport
}

async function verify(
  context: CommandContext,
  { repository, signal }: RepositorySession,
  { plan, failed, threads, target, report }: Verification,
): Promise<void> {
  const { output } = context
  output.print(`verifying files in ${target}`)
  const startMs = monotonicMilliseconds()
  const counter = createCounter(context, 'files verified', { terminalOnly: true })
  const { files } = await verifyRestore(
    repository,
    plan,
    {
      except: failed,
      onError: (item, error) => report.itemFailed(item, error),
      onFile: (_, total) => {
        counter.setTotal(total)
        counter.add(1)
      },
      signal,
    },
    threads,
  )
  counter.done()
  refuseErrors(report)
  const took = formatGoDuration(BigInt(Math.round(monotonicMilliseconds() - startMs)) * 1_000_000n)
  output.print(`finished verifying ${files} files in ${target} (took ${took})`)
}

function refuseErrors({ errors, files, filesTotal }: RestoreReport): void {
  if (errors === 0) {
    if (files === filesTotal) return
    throw new HoldfastError('HF_INTERNAL', `only ${files} of ${filesTotal} items were restored, and nothing says why`, {
      hint: 'please report this; run the restore again',
    })
  }
  throw new HoldfastError('HF_RESTORE_FAILED', `There were ${errors} errors`, {
    hint: 'they are named above; everything else was restored',
  })
}
